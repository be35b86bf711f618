"""The documented input: one portfolio with its market data and parameters, as JSON sections or as lines of CSV.

`docs/risk.md` lists the sections and their fields. Both forms become the same rows, so that the same is refused; an
error names the row by its place in the document, or by its line.
"""

import csv
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from holdfast.risk.black import Terms
from holdfast.risk.derive_pm2_parameters import check_known
from holdfast.risk.market_checks import Mark, check_quote, check_smiles
from holdfast.risk.names import Instrument, parse_instrument, parse_moment
from holdfast.risk.portfolio import (
    Collateral,
    Expiry,
    FuturePosition,
    OptionPosition,
    Portfolio,
    Underlying,
    split_forward,
)
from holdfast.risk.rows import AMOUNT_MAX, SECONDS_MAX, InputError, Row

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
        )
    ),
    "expiries": frozenset("underlying expiry forward forward_confidence rate rate_confidence vol_confidence".split()),
    "marks": frozenset(("instrument", "vol", "bid", "ask")),
}
PARAMETERS: Final = "parameters"

Key = TypeVar("Key")
Value = TypeVar("Value")

_VOL_MAX: Final = 100.0
_RATE_MAX: Final = 10.0
_LINES_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """The rows of each section."""

    account: Row
    sections: Mapping[str, list[Row]]
    parameters: Mapping[str, Row] = field(default_factory=dict)


def split_json(document: Row) -> Document:
    """Return the rows of a JSON document."""
    document.refuse_others(frozenset((*FIELDS, PARAMETERS)))
    parameters = document.row(PARAMETERS) if document.has(PARAMETERS) else Row(PARAMETERS, {})
    return Document(
        account=document.row("account"),
        sections={name: document.rows(name, required=False) for name in FIELDS if name != "account"},
        parameters=dict(parameters.items()),
    )


def split_csv(text: str) -> Document:
    """Return the rows of a CSV file: a column `section`, and one for each field; an empty cell is a field not given.

    Parameters are lines of section `parameters` with `model`, `name` (`Margin.IM_LOSS_FACTOR`) and `value`.
    """
    lines = csv.reader(text.splitlines(), strict=True)
    header = [name.strip() for name in next(lines, [])]
    if "section" not in header or len(set(header)) != len(header):
        raise InputError("line 1", "section", "the first line has to name the columns, each once, `section` among them")
    sections: dict[str, list[Row]] = {name: [] for name in (*FIELDS, PARAMETERS)}
    try:
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
    return Document(accounts[0], sections, _gather_parameters(sections.pop(PARAMETERS)))


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


def _gather_parameters(lines: list[Row]) -> dict[str, Row]:
    gathered: dict[str, dict[str, object]] = {}
    for line in lines:
        line.refuse_others(frozenset(("model", "name", "value")))
        group, _, name = line.text("name").rpartition(".")
        values = gathered.setdefault(line.text("model"), {})
        if group:
            inner = values.setdefault(group, {})
            values = inner if isinstance(inner, dict) else values
        if name in values:
            raise line.refuse("name", f"{name} is given twice")
        values[name] = line.text("value")
    return {model: Row(f"{PARAMETERS}.{model}", values) for model, values in gathered.items()}


def read_document(document: Document) -> Portfolio:
    """Return the portfolio of a document.

    Refuses: unknown fields, unknown and expired instruments, volatility not above zero, crossed quotes, arbitrage.
    """
    account = document.account
    for name, rows in (("account", [account]), *document.sections.items()):
        for row in rows:
            row.refuse_others(FIELDS[name])
    if "derive-pm2" in document.parameters:
        check_known(document.parameters["derive-pm2"])
    market = _read_market(document, _read_moment(account, "valuation_time"))
    positions: dict[str, OptionPosition | FuturePosition] = {}
    for row in document.sections["positions"]:
        position = _read_position(row, market)
        _add(positions, row.text("instrument"), position, row, "instrument")
    return Portfolio(
        cash=account.number("cash", default=0.0),
        options=tuple(position for position in positions.values() if isinstance(position, OptionPosition)),
        futures=tuple(position for position in positions.values() if isinstance(position, FuturePosition)),
        collaterals=tuple(map(_read_collateral, document.sections["collaterals"])),
        underlyings=market.underlyings,
        expiries=market.expiries,
        stable_price=account.positive("stable_price", default=1.0),
        parameters=document.parameters,
    )


@dataclass(frozen=True, slots=True)
class _Market:
    """What prices a position: coins, expiries by coin and seconds, marks by instrument."""

    now: dt.datetime
    underlyings: dict[str, Underlying]
    expiries: dict[tuple[str, float], Expiry]
    marks: dict[str, Mark]


def _add(table: dict[Key, Value], key: Key, value: Value, row: Row, name: str) -> None:
    if key in table:
        raise row.refuse(name, "is given twice")
    table[key] = value


def _read_market(document: Document, now: dt.datetime) -> _Market:
    market = _Market(now, {}, {}, {})
    for row in document.sections["underlyings"]:
        underlying = _read_underlying(row)
        _add(market.underlyings, underlying.name, underlying, row, "underlying")
    for row in document.sections["expiries"]:
        expiry = _read_expiry(row, market)
        _add(market.expiries, (expiry.underlying, expiry.seconds), expiry, row, "expiry")
    for row in document.sections["marks"]:
        mark = _read_mark(row, market)
        _add(market.marks, row.text("instrument"), mark, row, "instrument")
        check_quote(mark)
    check_smiles(market.marks.values())
    return market


def _read_underlying(row: Row) -> Underlying:
    return Underlying(
        name=row.text("underlying"),
        spot=row.positive("spot"),
        spot_confidence=row.share("spot_confidence", default=1.0),
        perpetual=row.positive("perpetual") if row.has("perpetual") else None,
        perpetual_confidence=row.share("perpetual_confidence", default=1.0),
        spot_margin=row.number("spot_margin", least=0.0, default=0.0),
        mmp_margin=row.number("mmp_margin", least=0.0, default=0.0),
        open_orders_margin=row.number("open_orders_margin", least=0.0, default=0.0),
    )


def _read_expiry(row: Row, market: _Market) -> Expiry:
    underlying = row.text("underlying")
    if underlying not in market.underlyings:
        raise row.refuse("underlying", f"{underlying!r} is in no row of underlyings")
    seconds = _count_seconds(_read_moment(row, "expiry"), market, row, "expiry")
    variable, fixed = split_forward(row.positive("forward"), seconds)
    return Expiry(
        underlying=underlying,
        seconds=seconds,
        forward_variable=variable,
        forward_fixed=fixed,
        forward_confidence=row.share("forward_confidence", default=1.0),
        rate=row.number("rate", least=-_RATE_MAX, most=_RATE_MAX, default=0.0),
        rate_confidence=row.share("rate_confidence", default=1.0),
        vol_confidence=row.share("vol_confidence", default=1.0),
    )


def _read_mark(row: Row, market: _Market) -> Mark:
    instrument = _read_instrument(row)
    if instrument.expiry is None or instrument.strike is None:
        raise row.refuse("instrument", f"{instrument.name} is no option; marks are of options")
    expiry = _find_expiry(instrument, market, row)
    return Mark(
        row=row,
        terms=Terms(instrument.strike, expiry.seconds, instrument.is_call),
        vol=row.positive("vol", most=_VOL_MAX),
        is_inverse=instrument.is_inverse,
        expiry=expiry,
    )


def _read_position(row: Row, market: _Market) -> OptionPosition | FuturePosition:
    instrument = _read_instrument(row)
    if instrument.underlying not in market.underlyings:
        raise row.refuse(
            "instrument", f"{instrument.name} is unknown: {instrument.underlying} is in no row of underlyings"
        )
    if instrument.strike is None:
        return _read_future(row, instrument, market)
    expiry = _find_expiry(instrument, market, row)
    mark = market.marks.get(instrument.name)
    if mark is None:
        raise row.refuse("instrument", f"{instrument.name} is unknown: no row of marks gives its vol")
    for name in ("entry_price", "profit", "funding"):
        if row.has(name):
            raise row.refuse(name, "an option has none: its premium is in the cash")
    return OptionPosition(
        row=_label(row, instrument),
        underlying=instrument.underlying,
        seconds=expiry.seconds,
        strike=mark.terms.strike,
        is_call=instrument.is_call,
        amount=row.number("amount", least=-AMOUNT_MAX, most=AMOUNT_MAX),
        vol=mark.vol,
        is_inverse=instrument.is_inverse,
    )


def _read_future(row: Row, instrument: Instrument, market: _Market) -> FuturePosition:
    underlying = market.underlyings[instrument.underlying]
    if instrument.expiry is None:
        if underlying.perpetual is None:
            raise row.refuse("instrument", f"{instrument.name} is unknown: its underlying's row has no field perpetual")
        mark, seconds = underlying.perpetual, None
    else:
        expiry = _find_expiry(instrument, market, row)
        mark, seconds = expiry.forward, expiry.seconds
    amount = row.number("amount", least=-AMOUNT_MAX, most=AMOUNT_MAX)
    profit = row.number("profit", default=0.0)
    if row.has("entry_price"):
        if row.has("profit"):
            raise row.refuse("profit", "is given beside entry_price; give one of them")
        entry = row.positive("entry_price")
        # An inverse contract is a number of dollars, so that its profit in coin is at the entry's price.
        profit = amount * (mark - entry) / entry * underlying.spot if instrument.is_inverse else amount * (mark - entry)
    return FuturePosition(
        row=_label(row, instrument),
        underlying=instrument.underlying,
        amount=amount,
        mark=mark,
        seconds=seconds,
        profit=profit,
        funding=row.number("funding", default=0.0),
        is_inverse=instrument.is_inverse,
    )


def _read_collateral(row: Row) -> Collateral:
    return Collateral(
        row=row.label,
        asset=row.text("asset"),
        amount=row.number("amount", least=0.0, most=AMOUNT_MAX),
        price=row.positive("price"),
        confidence=row.share("confidence", default=1.0),
        haircut_maintenance=row.share("haircut_maintenance") if row.has("haircut_maintenance") else None,
        haircut_initial=row.share("haircut_initial") if row.has("haircut_initial") else None,
        is_risk_cancelling=row.flag("risk_cancelling", default=False),
    )


def _label(row: Row, instrument: Instrument) -> str:
    return f"{row.label} {instrument.name}"


def _read_instrument(row: Row) -> Instrument:
    name = row.text("instrument")
    instrument = parse_instrument(name)
    if instrument is None:
        form = "BTC_USDC-27MAR26-100000-C, BTC-27MAR26 or BTC-PERPETUAL"
        raise row.refuse("instrument", f"{name!r} is an unknown instrument; names are such as {form}")
    if instrument.strike is not None and instrument.strike <= 0:
        raise row.refuse("instrument", f"{name!r} has a strike of zero")
    return instrument


def _find_expiry(instrument: Instrument, market: _Market, row: Row) -> Expiry:
    if instrument.expiry is None:
        raise row.refuse("instrument", f"{instrument.name} has no expiry")
    seconds = _count_seconds(instrument.expiry, market, row, "instrument")
    expiry = market.expiries.get((instrument.underlying, seconds))
    if expiry is None:
        raise row.refuse("instrument", f"{instrument.name} is unknown: no row of expiries gives its forward")
    return expiry


def _count_seconds(moment: dt.datetime, market: _Market, row: Row, name: str) -> float:
    seconds = (moment - market.now).total_seconds()
    if seconds <= 0:
        raise row.refuse(name, f"{row.text(name)} expired at {moment:%Y-%m-%d %H:%M} UTC, not after the valuation time")
    if seconds > SECONDS_MAX:
        raise row.refuse(name, f"{row.text(name)} is more than ten years away, which is absurd")
    return seconds


def _read_moment(row: Row, name: str) -> dt.datetime:
    value = row.values.get(name)
    moment = parse_moment(str(value)) if isinstance(value, str | int | float) else None
    if moment is None:
        problem = "is missing" if value is None else f"{str(value)[:40]!r} is no time"
        raise row.refuse(name, f"{problem}: write 2026-01-15T08:00:00Z, 15JAN26, or seconds since 1970")
    return moment
