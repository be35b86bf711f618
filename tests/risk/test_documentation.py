"""The commands and the Python of docs/risk.md, and the risk commands of README.md, run as they stand."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.support.margin_cases import account_document

REPOSITORY = Path(__file__).parents[2]
PAGES = "\n".join((REPOSITORY / page).read_text(encoding="utf-8") for page in ("README.md", "docs/risk.md"))
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGES, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "command",
    [
        # To fit and to backtest takes a while.
        pytest.param(line, id=line, marks=[pytest.mark.slow] if line.startswith(("risk fit", "risk backtest")) else [])
        for line in dict.fromkeys(re.findall(r"^holdfast (risk [a-z]+ [^#\n]*)", PAGES, re.MULTILINE))
    ],
)
def test_command__runs_as_it_stands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the extra `report` (matplotlib) is not installed")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, shlex.split(command), prog_name="holdfast", catch_exceptions=False)
    assert (result.exit_code, result.stderr if result.exit_code else "") == (0, "")
    assert result.stdout.strip()
    for option, file in re.findall(r"(--svg|--html|--report) (\S+)", command):
        assert (tmp_path / file / ("index.html" if option == "--report" else "")).exists()


def test_examples__of_arrays_and_margins__run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    exec(compile(_find("scenario_grid("), "docs/risk.md", "exec"), {})  # noqa: S102 -- our own page
    lines = capsys.readouterr().out.splitlines()
    assert "BTC spot-16% vol-down" in lines[0]
    assert lines[1].startswith("True ")


def test_examples__of_frames__run() -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` (pandas) is not installed")
    pytest.importorskip("polars", reason="the extra `frames` (polars) is not installed")
    sections = {name: rows if isinstance(rows, list) else [rows] for name, rows in account_document().items()}
    names: dict[str, object] = {name: pandas.DataFrame(rows) for name, rows in sections.items()}
    imports = _find("scenario_grid(").partition("portfolio =")[0]
    exec(compile(imports + _find("portfolio_of_frames("), "docs/risk.md", "exec"), names)  # noqa: S102 -- our own page


def _find(word: str) -> str:
    block: str
    (block,) = [block for block in BLOCKS if word in block and "portfolio = " in block]
    return block
