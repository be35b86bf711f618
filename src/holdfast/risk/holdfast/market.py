"""The exchange's market rows for a portfolio: parameters, feeds, instruments, marks, risk rows and the risk array."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

import msgspec
import numpy as np

from holdfast.primitives import codec, pricing
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing import Grid, Options, Slices
from holdfast.primitives.smiles import Smile
from holdfast.primitives.units import E8
from holdfast.protocol.genesis import Genesis, build
from holdfast.protocol.instruments.params import DEFAULT_SPECS, E8_PER_ATOM
from holdfast.protocol.instruments.params import UNDERLYINGS as LISTED
from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument, Kind
from holdfast.protocol.ledger.state import ASSET_NAMES, USDC, USDT
from holdfast.protocol.limits import INSTRUMENTS_MAX, ROW_ATOMS_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS, MarginParams, check
from holdfast.protocol.oracle.state import FEEDS, Feed, Status
from holdfast.protocol.schema import TABLES
from holdfast.protocol.staking.state import Validator
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.params import MOVES, SURFACE_PARAMS
from holdfast.protocol.surface.state import MARKS, RISK_ROWS, Mark
from holdfast.risk.black import YEAR_S
from holdfast.risk.holdfast import amounts
from holdfast.risk.holdfast.surfaces import Key, Slice, choose_slices
from holdfast.risk.portfolio import SETTLEMENT_S, Collateral, Portfolio
from holdfast.risk.rows import InputError, Row
from holdfast.state.draft import Draft
from holdfast.state.store import State

MODEL: Final = "holdfast"
NOW_MS: Final = 1_700_000_000_000
# Parameters by coin, beside those of margin.
RANGES: Final = "range_ppm"
SCALES: Final = "charge_scale_ppm"
_PARAMETER_MAX: Final = 2**53
_STEPS: Final = MOVES // 2
_SECONDS_MAX: Final = 10 * YEAR_S
_KEY: Final = bytes(32)


class Contract(NamedTuple):
    """An instrument of the exchange: an option, or a dated future, which has strike 0 and counts as a call."""

    underlying: str
    seconds: float
    strike: float
    is_call: bool

    @property
    def key(self) -> Key:
        return self.underlying, self.seconds


class Market(NamedTuple):
    """A draft with every market row, the instruments' numbers in it, and each expiry's surface."""

    draft: Draft
    ids: Mapping[Contract, int]
    slices: Mapping[Key, Slice]


def open_market(portfolio: Portfolio, contracts: Mapping[Contract, str]) -> Market:
    """Return the market rows of a portfolio for contracts, each with the row that an error names.

    Refuses: what the exchange does not list, price or carry, and parameters outside of their hard bounds.
    """
    if len(contracts) > INSTRUMENTS_MAX:
        raise InputError("positions", "", f"{len(contracts)} instruments; the exchange lists at most {INSTRUMENTS_MAX}")
    for contract, row in contracts.items():
        amounts.get_underlying(contract.underlying, row)
        if not 0 < contract.seconds <= _SECONDS_MAX:
            problem = "has expired" if contract.seconds <= 0 else "is more than ten years away, which is absurd"
            raise InputError(row, "expiry", f"an expiry in {contract.seconds:g} seconds {problem}")
    draft = _start(portfolio.parameters.get(MODEL))
    _put_feeds(draft, portfolio)
    optional = [contract.key for contract in contracts if contract.strike]
    slices = choose_slices(portfolio, optional)
    ids = {contract: number for number, contract in enumerate(contracts, 1)}
    for contract, number in ids.items():
        draft[INSTRUMENTS].put(number, _make_instrument(contract, contracts[contract]))
    if ids:
        _put_marks(draft, portfolio, contracts, slices)
    surface.rebuild(draft)
    return Market(draft, ids, slices)


def make_inputs(
    portfolio: Portfolio, contracts: Iterable[Contract], slices: Mapping[Key, Slice]
) -> tuple[Slices, Options]:
    """Return the pricing kernel's columns for contracts."""
    places: dict[Key, int] = {}
    rows: list[tuple[int, ...]] = []
    columns: list[tuple[int, int, int, int]] = []
    for contract in contracts:
        if contract.key not in places:
            places[contract.key] = len(rows)
            rows.append(_make_slice(portfolio, contract.key, slices.get(contract.key)))
        underlying = amounts.get_underlying(contract.underlying, "")
        strike_e8 = amounts.to_strike_e8(contract.strike, "") if contract.strike else 0
        columns.append((places[contract.key], strike_e8, int(contract.is_call), DEFAULT_SPECS[underlying].lot_e8))
    return (
        Slices(*np.ascontiguousarray(np.array(rows, dtype=np.int64).reshape(-1, len(Slices._fields)).T)),
        Options(*np.ascontiguousarray(np.array(columns, dtype=np.int64).reshape(-1, 4).T)),
    )


def get_grid(draft: Draft) -> Grid:
    """Return the exchange's scenarios as the kernel takes them, one row an underlying."""
    grids = [draft[SURFACE_PARAMS][underlying] for underlying in LISTED]
    return Grid(
        np.array([grid.spot_ppm for grid in grids], dtype=np.int64),
        np.array([grid.vol_ppm for grid in grids], dtype=np.int64),
        np.array([grid.rho_shift_ppm for grid in grids], dtype=np.int64),
        np.array([grid.dampen_ppm for grid in grids], dtype=np.int64),
    )


@cache
def _make_first_state() -> State:
    """Return a chain's first state, which no draft changes."""
    state = State(TABLES)
    draft = state.draft()
    build(draft, codec.encode(Genesis("risk", NOW_MS, (Validator(_KEY, 1),), _KEY)))
    state.commit(state.seal(draft))
    return state


def _start(parameters: Row | None) -> Draft:
    """Return a draft of a chain's first state, with what was given in place of its parameters."""
    draft = _make_first_state().draft()
    if parameters is not None:
        try:
            _put_parameters(draft, parameters)
        except BrokenInvariantError as error:
            raise InputError(parameters.label, "", f"outside of the hard bounds: {error} does not hold") from None
    return draft


def _put_parameters(draft: Draft, parameters: Row) -> None:
    names = [field.name for field in msgspec.structs.fields(MarginParams)]
    parameters.refuse_others(frozenset((*names, RANGES, SCALES)))
    given = {name: _whole(parameters, name) for name in names if parameters.has(name)}
    params = msgspec.structs.replace(draft[MARGIN_PARAMS][0], **given)
    check(params)
    draft[MARGIN_PARAMS].put(0, params)
    by_coin = frozenset(amounts.UNDERLYINGS)
    for field, put in ((RANGES, surface.set_range), (SCALES, margin.set_charge_scale)):
        row = parameters.row(field) if parameters.has(field) else Row(field, {})
        row.refuse_others(by_coin)
        for name in row.values:
            number = _whole(row, name)
            if field == RANGES and number % _STEPS:
                raise row.refuse(name, f"{number} is not a multiple of {_STEPS}, which makes whole steps of the grid")
            put(draft, amounts.UNDERLYINGS[name], number)


def _whole(row: Row, name: str) -> int:
    number = row.number(name, least=0, most=_PARAMETER_MAX)
    if number != round(number):
        raise row.refuse(name, f"{number:g} is not a whole number")
    return round(number)


def _put_feeds(draft: Draft, portfolio: Portfolio) -> None:
    stable = amounts.to_price_e8(portfolio.stable_price, "account", "stable_price")
    draft[FEEDS].put(USDC, _make_feed(stable, 0, is_degraded=False))
    for name, asset_id in amounts.UNDERLYINGS.items():
        underlying = portfolio.underlyings.get(name)
        if underlying is not None:
            price_e8 = amounts.to_price_e8(underlying.spot, underlying.row, "spot")
            confidence_e8 = round(underlying.oracle_confidence * E8)
            if confidence_e8 > price_e8:
                raise InputError(underlying.row, "oracle_confidence", "is above the spot itself")
            draft[FEEDS].put(asset_id, _make_feed(price_e8, confidence_e8, is_degraded=underlying.is_degraded))
    for coin in portfolio.collaterals:
        _put_coin(draft, coin)


def _put_coin(draft: Draft, coin: Collateral) -> None:
    """Give a coin that nothing else prices its price; the exchange has one price of each."""
    known = {**amounts.UNDERLYINGS, ASSET_NAMES[USDT]: USDT}
    if coin.asset not in known:
        problem = "is cash: put it into the account's" if coin.asset == ASSET_NAMES[USDC] else "is no coin that counts"
        raise InputError(coin.row, "asset", f"{coin.asset} {problem}; the exchange takes {', '.join(known)}")
    price_e8 = amounts.to_price_e8(coin.price, coin.row, "price")
    feed = draft[FEEDS].get(known[coin.asset])
    if feed is not None and feed.price_e8 != price_e8:
        problem = f"{coin.price:g} is not the other price of {coin.asset}, {feed.price_e8 / E8:g}; the exchange has one"
        raise InputError(coin.row, "price", problem)
    if feed is None:
        draft[FEEDS].put(known[coin.asset], _make_feed(price_e8, 0, is_degraded=False))


def _make_feed(price_e8: int, confidence_e8: int, *, is_degraded: bool) -> Feed:
    status = Status.DEGRADED if is_degraded else Status.LIVE
    return Feed(price_e8, confidence_e8, status, 1, NOW_MS, 1, NOW_MS, 1, 0, None, is_flagged=False)


def _make_instrument(contract: Contract, row: str) -> Instrument:
    spec = DEFAULT_SPECS[amounts.UNDERLYINGS[contract.underlying]]
    kind = Kind.FUTURE if not contract.strike else Kind.CALL if contract.is_call else Kind.PUT
    return Instrument(
        name="",
        kind=kind,
        underlying=amounts.UNDERLYINGS[contract.underlying],
        expiry_ms=NOW_MS + _count_ms(contract.seconds),
        strike_e8=amounts.to_strike_e8(contract.strike, row) if contract.strike else 0,
        tick_e8=spec.tick_e8,
        tick_value_atoms=spec.tick_e8 * spec.lot_e8 // E8_PER_ATOM,
        lot_e8=spec.lot_e8,
        is_halted=False,
        listed_height=1,
    )


def _make_slice(portfolio: Portfolio, key: Key, part: Slice | None) -> tuple[int, ...]:
    """Return an expiry's entry among the kernel's slices; where only futures need it, it has no volatility."""
    expiry = portfolio.expiries[key]
    theta, rho, eta, shift, width = part.smile if part else Smile(0, 0, 1)
    open_share = min(1.0, expiry.seconds / SETTLEMENT_S)
    forward_e8 = amounts.to_price_e8(expiry.forward_variable / open_share, expiry.row, "forward")
    fixed_e8 = amounts.to_price_e8(expiry.forward_fixed, expiry.row, "forward") if expiry.forward_fixed else 0
    return (
        forward_e8,
        theta,
        rho,
        eta,
        fixed_e8,
        max(1, round(open_share * amounts.PPM)),
        _count_ms(expiry.seconds),
        LISTED.index(amounts.UNDERLYINGS[key[0]]),
        shift,
        width,
    )


def _count_ms(seconds: float) -> int:
    return max(1, round(seconds * 1_000))


def _put_marks(
    draft: Draft, portfolio: Portfolio, contracts: Mapping[Contract, str], slices: Mapping[Key, Slice]
) -> None:
    """Write marks and rows as a repricing does; what it would halt is refused."""
    inputs, options = make_inputs(portfolio, contracts, slices)
    marks = pricing.compute_marks(inputs, options)
    rows = pricing.compute_rows(inputs, options, get_grid(draft), marks.mark_e8)
    columns = zip(*(column.tolist() for column in marks), strict=True)
    for number, ((contract, row), mark) in enumerate(zip(contracts.items(), columns, strict=True), 1):
        entry = rows[number - 1]
        if int(np.abs(entry).max()) > ROW_ATOMS_MAX:
            raise InputError(row, "instrument", "its risk is beyond the ceiling at which the exchange halts it")
        draft[MARKS].put(number, Mark(*mark) if contract.strike else Mark(mark[0], 0, mark[2], 0, 0, 0))
        draft[RISK_ROWS].put(number, entry.astype("<i8").tobytes())
