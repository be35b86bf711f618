"""How every plot looks, and how a figure becomes bytes: the same of the same data. Needs matplotlib."""

from io import BytesIO, StringIO
from typing import Final

from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

INK: Final = "#1f2933"
GRID: Final = "#e4e7eb"
# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a000")
STYLE: Final[dict[RcKeyType, object]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9aa5b1",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": GRID,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "holdfast",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_DPI: Final = 110


def to_svg(figure: Figure) -> str:
    """Return a figure as an SVG element, without the head of an XML file."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    image = BytesIO()
    figure.savefig(image, format="png", dpi=_DPI, metadata={"Software": None})
    return image.getvalue()
