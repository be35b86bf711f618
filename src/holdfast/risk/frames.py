"""Tables of pandas and Polars, in and out. The extra `frames` installs them; nothing else of the package needs them.

portfolio = portfolio_of_frames({"account": account, "positions": positions, "marks": marks, ...})
to_pandas(compute_margin(portfolio))  # its scenarios
to_polars(compare_models(portfolio))  # one row a model
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, Literal, Protocol, runtime_checkable

from holdfast.risk.document_positions import read_document
from holdfast.risk.documents import FIELDS, PARAMETERS, Document
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError, Row, as_row

Library = Literal["pandas", "polars"]
Columns = Mapping[str, Sequence[object]]
Comparison = Mapping[str, MarginResult | InputError]

_EXTRA: Final = "pip install 'holdfast[frames]'"


@runtime_checkable
class PandasFrame(Protocol):
    """What is read of a pandas frame."""

    def to_dict(self, orient: Literal["records"]) -> list[dict[str, object]]:
        """Return one mapping a row."""


@runtime_checkable
class PolarsFrame(Protocol):
    """What is read of a Polars frame."""

    def to_dicts(self) -> list[dict[str, object]]:
        """Return one mapping a row."""


Table = PandasFrame | PolarsFrame | Sequence[Mapping[str, object]]


def portfolio_of_frames(
    sections: Mapping[str, Table], parameters: Mapping[str, Mapping[str, object]] | None = None
) -> Portfolio:
    """Return the portfolio of frames or lists of rows, one a section of the documented input; `account` has one row.

    A missing value (None, NaN, NaT, null) is a field that is not given, as an empty cell of CSV.

    Refuses: what a document would be refused for, by section, row and field.
    """
    for name in sections:
        if name not in FIELDS:
            raise InputError("", name, f"is no section; known are {', '.join(FIELDS)}")
    rows = {name: _read_rows(name, sections[name]) if name in sections else [] for name in FIELDS}
    accounts = rows.pop("account")
    if len(accounts) != 1:
        raise InputError("account", "", f"{len(accounts)} rows; one is needed")
    given = {model: as_row(dict(values), f"{PARAMETERS}.{model}") for model, values in (parameters or {}).items()}
    return read_document(Document(accounts[0], rows, given))


@runtime_checkable
class Tabular(Protocol):
    """What tells itself in columns: a margin's scenarios, a grid."""

    def to_columns(self) -> Columns:
        """Return columns of one length, by name."""


def to_pandas(result: Tabular | Comparison) -> object:
    """Return a result as a pandas DataFrame: a margin's scenarios, a grid's cells, or a comparison's models.

    Refuses: where pandas is not installed.
    """
    return _make_frame("pandas", _list_columns(result))


def to_polars(result: Tabular | Comparison) -> object:
    """Return a result as a Polars DataFrame: a margin's scenarios, a grid's cells, or a comparison's models.

    Refuses: where Polars is not installed.
    """
    return _make_frame("polars", _list_columns(result))


def _list_columns(result: Tabular | Comparison) -> Columns:
    if isinstance(result, Tabular):
        return result.to_columns()
    rows = [_list_margins(model, answer) for model, answer in result.items()]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _list_margins(model: str, answer: MarginResult | InputError) -> dict[str, object]:
    """Return a model's row of a comparison, in USD; one that refuses says why instead."""
    if isinstance(answer, InputError):
        margins: tuple[float | None, ...] = (None, None, None)
        worst, refusal = None, str(answer)
    else:
        usd = answer.usd_per_unit
        told = (answer.initial_requirement, answer.maintenance_requirement, answer.mark_to_market)
        # A sum of nothing is an integer, and Polars takes no column of both.
        margins = tuple(float(margin * usd) for margin in told)
        worst, refusal = answer.worst_scenario, None
    names = ("model", "initial", "maintenance", "mark_to_market", "worst_scenario", "refusal")
    return dict(zip(names, (model, *margins, worst, refusal), strict=True))


def _make_frame(library: Library, columns: Columns) -> object:
    try:
        module = import_module(library)
    except ModuleNotFoundError:
        message = f"{library} is not installed: {_EXTRA}"
        raise ModuleNotFoundError(message, name=library) from None
    frame: object = module.DataFrame({name: list(values) for name, values in columns.items()})
    return frame


def _read_rows(section: str, table: Table) -> list[Row]:
    return [
        Row(f"{section}[{place}]", {str(name): _plain(value) for name, value in row.items() if not _is_missing(value)})
        for place, row in enumerate(_list_rows(table))
    ]


def _list_rows(table: Table) -> Sequence[Mapping[str, object]]:
    if isinstance(table, PolarsFrame):
        return table.to_dicts()
    if isinstance(table, PandasFrame):
        return table.to_dict("records")
    return table


def _is_missing(value: object) -> bool:
    """Return whether a cell holds nothing; NaN and NaT are the values that do not equal themselves."""
    return value is None or type(value).__name__ == "NAType" or value != value  # noqa: PLR0124 -- what NaN is known by


def _plain(value: object) -> object:
    """Return a NumPy number as Python's, and a moment as its text in ISO 8601."""
    item = getattr(value, "item", None)
    if callable(item):
        plain: object = item()
        return plain
    moment = getattr(value, "isoformat", None)
    return moment() if callable(moment) else value
