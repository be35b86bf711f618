"""Tables of pandas and Polars, in and out. The extra `frames` installs them; nothing else of the package needs them.

portfolio = portfolio_of_frames({"account": account, "positions": positions, "marks": marks, ...})
to_pandas(compute_margin(portfolio))  # its scenarios
to_polars(compare_models(portfolio))  # one row a model
to_pandas(measure(fit_chain(chains_of_frame(quotes)[0])))  # one row an expiry
to_polars(run(Request(paths=(Path("prices.csv"),))))  # one row a history and model
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Final, Literal, Protocol, runtime_checkable

from holdfast.risk.chain import Chain, choose_columns, gather_chains
from holdfast.risk.document_positions import read_document
from holdfast.risk.documents import FIELDS, PARAMETERS, Document
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import MarginResult
from holdfast.risk.rows import InputError, Row, as_row

Library = Literal["pandas", "polars"]
Columns = Mapping[str, Sequence[object]]
Comparison = Mapping[str, MarginResult | InputError]

_MIDNIGHT: Final = "T00:00:00"
_EXTRA: Final = "pip install 'holdfast[frames]'"


class PandasIndex(Protocol):
    """The labels of a pandas frame's rows."""

    @property
    def names(self) -> Sequence[object]:
        """Return what the labels are called, each None where it has no name."""


@runtime_checkable
class PandasFrame(Protocol):
    """What is read of a pandas frame."""

    @property
    def columns(self) -> object:
        """Return the names of the columns, which a single row of pandas has not."""

    @property
    def index(self) -> PandasIndex:
        """Return the labels of the rows."""

    def reset_index(self) -> "PandasFrame":
        """Return the frame with the labels as columns."""

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

    A missing value (None, null, and in pandas NaN and NaT) is a field that is not given, as an empty cell of CSV. A
    named index of pandas is a column. A date of `expiry` is 08:00 UTC, as midnight without a zone is, which is how
    pandas writes a date.

    Refuses: what a document would be refused for, by section, row and field; what is neither a frame nor rows.
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


def chains_of_frame(quotes: Table) -> list[Chain]:
    """Return the chains of a frame or rows of quotes, one an underlying, in either form that a chain's file has.

    Refuses: what a file would be refused for, by row and column.
    """
    records = _list_records("chain", quotes)
    if not records:
        raise InputError("chain", "", "has no rows")
    columns = choose_columns(list(records[0]), "chain")
    rows = ({key: record[name] for key, name in columns.items() if record.get(name) is not None} for record in records)
    return gather_chains(Row(f"chain[{place}]", _write_time(row)) for place, row in enumerate(rows))


@runtime_checkable
class Tabular(Protocol):
    """What tells itself in columns: a margin's scenarios, a grid, a fit's expiries, backtests."""

    def to_columns(self) -> Columns:
        """Return columns of one length, by name."""


def to_pandas(result: Tabular | Comparison) -> object:
    """Return a result as a pandas DataFrame: a row a scenario, a grid's cell, a model, an expiry or a backtest.

    Refuses: where pandas is not installed.
    """
    return _make_frame("pandas", _list_columns(result))


def to_polars(result: Tabular | Comparison) -> object:
    """Return a result as a Polars DataFrame: a row a scenario, a grid's cell, a model, an expiry or a backtest.

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
        Row(f"{section}[{place}]", {name: value for name, value in record.items() if value is not None})
        for place, record in enumerate(_list_records(section, table))
    ]


def _list_records(section: str, table: Table) -> list[dict[str, object]]:
    """Return the rows of a table in plain values; what is missing is None."""
    if isinstance(table, PolarsFrame):
        rows: Sequence[Mapping[str, object]] = table.to_dicts()
    elif isinstance(table, PandasFrame):
        labelled = any(name is not None for name in table.index.names)
        rows = [_drop_missing(row) for row in (table.reset_index() if labelled else table).to_dict("records")]
    elif _is_rows(table):
        rows = table
    else:
        raise InputError(section, "", f"{type(table).__name__} is neither a frame nor a list of rows with fields")
    return [{str(name): _plain(str(name), value) for name, value in row.items()} for row in rows]


def _is_rows(table: object) -> bool:
    return isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table)


def _drop_missing(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of pandas without the cells that hold nothing: NaN and NaT do not equal themselves."""
    return {
        name: None if type(value).__name__ == "NAType" or value != value else value  # noqa: PLR0124 -- what NaN is known by
        for name, value in row.items()
    }


def _write_time(row: Mapping[str, object]) -> dict[str, object]:
    """Return a quote with its time as text, as a file has it."""
    return {name: str(value) if name == "time" else value for name, value in row.items()}


def _plain(name: str, value: object) -> object:
    """Return a NumPy number as Python's, a decimal as its text, and a moment as its text in ISO 8601."""
    item = getattr(value, "item", None)
    if callable(item):
        plain: object = item()
        return plain
    if isinstance(value, Decimal):
        return str(value)
    if not isinstance(value, dt.date):
        return value
    text = value.isoformat()
    return text.removesuffix(_MIDNIGHT) if name == "expiry" else text
