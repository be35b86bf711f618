"""The documented input as rows: one portfolio with its market data and parameters, in sections of JSON or lines of CSV.

`docs/risk.md` lists the sections and their fields. Both forms become the same rows, so that the same is refused; an
error names the row by its place in the document, or by its line.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from holdfast.risk.rows import InputError, Row

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "account": frozenset(("valuation_time", "cash", "stable_price")),
    "positions": frozenset(("instrument", "amount", "entry_price", "profit", "funding")),
    "collaterals": frozenset(
        "asset amount price confidence haircut_maintenance haircut_initial risk_cancelling".split()
    ),
    "underlyings": frozenset(
        (
            *("underlying", "spot", "spot_confidence", "perpetual", "perpetual_confidence"),
            *("spot_margin", "mmp_margin", "open_orders_margin"),
            *("oracle_confidence", "degraded"),
        )
    ),
    "expiries": frozenset("underlying expiry forward forward_confidence rate rate_confidence vol_confidence".split()),
    "marks": frozenset(("instrument", "vol", "bid", "ask")),
    "surfaces": frozenset(
        (
            *("underlying", "expiry", "vol", "total_variance", "rho", "eta", "shift", "width"),
            *("theta_e12", "rho_ppm", "eta_ppm", "shift_ppm", "width_ppm"),
        )
    ),
    "orders": frozenset(("instrument", "amount", "price", "quote")),
    "protections": frozenset(("underlying", "amount")),
}
PARAMETERS: Final = "parameters"
PUBLISHED: Final = "published"

_LINES_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """The rows of each section; parameters, and what is published of the portfolio, by model."""

    account: Row
    sections: Mapping[str, list[Row]]
    parameters: Mapping[str, Row] = field(default_factory=dict)
    published: Mapping[str, Row] = field(default_factory=dict)


def split_json(document: Row) -> Document:
    """Return the rows of a JSON document."""
    document.refuse_others(frozenset((*FIELDS, PARAMETERS, PUBLISHED)))
    parameters, published = (
        dict(document.row(name).items()) if document.has(name) else {} for name in (PARAMETERS, PUBLISHED)
    )
    return Document(
        account=document.row("account"),
        sections={name: document.rows(name, required=False) for name in FIELDS if name != "account"},
        parameters=parameters,
        published=published,
    )


def split_csv(text: str) -> Document:
    """Return the rows of a CSV file: a column `section`, and one for each field; an empty cell is a field not given.

    Parameters are lines of section `parameters` with `model`, `name` (`Margin.IM_LOSS_FACTOR`) and `value`; published
    figures are such lines of section `published`.
    """
    lines = csv.reader(text.splitlines(), strict=True)
    sections: dict[str, list[Row]] = {name: [] for name in (*FIELDS, PARAMETERS, PUBLISHED)}
    try:
        header = _read_header(next(lines, []))
        for cells in lines:
            if row := _read_line(lines.line_num, header, cells):
                section = row.text("section")
                if section not in sections:
                    raise row.refuse("section", f"{section!r} is none of {', '.join(sections)}")
                values = {name: value for name, value in row.values.items() if name != "section"}
                sections[section].append(Row(f"{row.label} ({section})", values))
    except csv.Error as error:
        raise InputError(f"line {lines.line_num}", "", str(error)) from None
    accounts = sections.pop("account")
    if len(accounts) != 1:
        raise InputError("account", "", f"{len(accounts)} lines of section account; one is needed")
    parameters, published = (sections.pop(name) for name in (PARAMETERS, PUBLISHED))
    return Document(accounts[0], sections, _gather(PARAMETERS, parameters), _gather(PUBLISHED, published, levels=1))


def _read_header(cells: list[str]) -> list[str]:
    header = [name.strip() for name in cells]
    if "section" not in header or len(set(header)) != len(header):
        raise InputError("line 1", "section", "the first line has to name the columns, each once, `section` among them")
    return header


def _read_line(number: int, header: list[str], cells: list[str]) -> Row | None:
    if number > _LINES_MAX:
        raise InputError(f"line {number}", "", f"more than {_LINES_MAX} lines")
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) > len(header):
        raise InputError(f"line {number}", "", f"{len(cells)} cells under {len(header)} columns")
    return Row(
        f"line {number}", {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
    )


def _gather(section: str, lines: list[Row], levels: int = 2) -> dict[str, Row]:
    """Return names and values by model; of two levels, what stands before a name's last point is its group."""
    gathered: dict[str, dict[str, object]] = {}
    for line in lines:
        line.refuse_others(frozenset(("model", "name", "value")))
        group, _, name = line.text("name").rpartition(".") if levels > 1 else ("", "", line.text("name"))
        values = gathered.setdefault(line.text("model"), {})
        if group:
            inner = values.setdefault(group, {})
            values = inner if isinstance(inner, dict) else values
        if name in values:
            raise line.refuse("name", f"{name} is given twice")
        values[name] = line.text("value")
    return {model: Row(f"{section}.{model}", values) for model, values in gathered.items()}
