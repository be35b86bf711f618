"""Listing and retiring."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from holdfast.primitives.codec import Record
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments import rules
from holdfast.protocol.instruments.messages import (
    InstrumentHalted,
    InstrumentListed,
    InstrumentResumed,
    InstrumentRetired,
)
from holdfast.protocol.instruments.params import CONTRACT_SPECS, INSTRUMENT_PARAMS, UNDERLYINGS
from holdfast.protocol.instruments.rules import Tenor
from holdfast.protocol.instruments.state import (
    INSTRUMENTS,
    LISTING,
    NAMES,
    NEXT_INSTRUMENT,
    SERIES,
    Instrument,
    Kind,
    Listing,
)
from holdfast.protocol.limits import EXPIRIES_PER_UNDERLYING_MAX, INSTRUMENTS_MAX
from holdfast.state.draft import Draft


def list_due(draft: Draft, block: BlockContext, forwards_e8: Mapping[int, int]) -> tuple[Record, ...]:
    """List what the rule asks for around each underlying's price; without a price nothing is listed.

    Nearest expiries come first, so that a block's budget goes to what trades most.
    """
    params = draft[INSTRUMENT_PARAMS][0]
    room = min(params.listings_per_block, INSTRUMENTS_MAX - len(draft[INSTRUMENTS].keys()))
    events: list[Record] = []
    for expiry_ms, tenors in rules.compute_expiries(params, block.time_ms):
        for underlying in UNDERLYINGS:
            if underlying not in forwards_e8:
                continue
            for kind, strike_e8 in _list_wanted(draft, underlying, expiry_ms, tenors, forwards_e8[underlying]):
                if len(events) >= room:
                    return tuple(events)
                events.append(_list(draft, block, underlying, kind, expiry_ms, strike_e8))
    return tuple(events)


def retire(draft: Draft, instrument_id: int) -> InstrumentRetired:
    """Remove an instrument that is settled and empty."""
    instrument = draft[INSTRUMENTS][instrument_id]
    draft[INSTRUMENTS].delete(instrument_id)
    _outdate_listing(draft)
    draft[NAMES].delete(instrument.name)
    key = (instrument.underlying, instrument.expiry_ms)
    rest = tuple(member for member in draft[SERIES][key] if member != instrument_id)
    if rest:
        draft[SERIES].put(key, rest)
    else:
        draft[SERIES].delete(key)
    return InstrumentRetired(instrument_id)


def set_halted(draft: Draft, instrument_id: int, *, is_halted: bool) -> tuple[Record, ...]:
    """Halt an instrument, or let it trade again; no event where nothing changes."""
    instrument = draft[INSTRUMENTS][instrument_id]
    if instrument.is_halted == is_halted:
        return ()
    draft[INSTRUMENTS].put(instrument_id, replace(instrument, is_halted=is_halted))
    return (InstrumentHalted(instrument_id) if is_halted else InstrumentResumed(instrument_id),)


def get_listing(draft: Draft) -> Listing:
    """Return the listed instruments as arrays, made when the first asks after a listing or retirement."""
    listing = draft[LISTING].get(0)
    if listing is None:
        listing = rules.compute_listing(draft[INSTRUMENTS].items())
        draft[LISTING].put(0, listing)
    return listing


def rebuild(draft: Draft) -> None:
    """Rebuild the indices from the instruments."""
    names: dict[str, int] = {}
    series: dict[tuple[int, int], list[int]] = {}
    for instrument_id, instrument in draft[INSTRUMENTS].items():
        names[instrument.name] = instrument_id
        series.setdefault((instrument.underlying, instrument.expiry_ms), []).append(instrument_id)
    draft[NAMES].fill(names)
    draft[SERIES].fill({key: tuple(series[key]) for key in series})


def _list_wanted(
    draft: Draft, underlying: int, expiry_ms: int, tenors: tuple[Tenor, ...], forward_e8: int
) -> Iterator[tuple[Kind, int]]:
    """Yield what a series lacks; a new series also needs room among its underlying's expiries."""
    members = draft[SERIES].get((underlying, expiry_ms))
    if members is None and _count_expiries(draft, underlying) >= EXPIRIES_PER_UNDERLYING_MAX:
        return
    listed = [draft[INSTRUMENTS][instrument_id] for instrument_id in members or ()]
    if tenors != (Tenor.DAILY,) and not any(instrument.kind == Kind.FUTURE for instrument in listed):
        yield Kind.FUTURE, 0
    params, spec = draft[INSTRUMENT_PARAMS][0], draft[CONTRACT_SPECS][underlying]
    has = dict.fromkeys(instrument.strike_e8 for instrument in listed if instrument.kind == Kind.PUT)
    for strike_e8 in rules.compute_strikes(
        forward_e8, rules.compute_step_e8(spec, tenors[0]), params.strikes_each_side
    ):
        if strike_e8 not in has:
            # The put comes second: where it is, its call is too, whichever block's budget ended between them.
            if _find(draft, underlying, Kind.CALL, expiry_ms, strike_e8) is None:
                yield Kind.CALL, strike_e8
            yield Kind.PUT, strike_e8


def _list(
    draft: Draft, block: BlockContext, underlying: int, kind: Kind, expiry_ms: int, strike_e8: int
) -> InstrumentListed:
    instrument_id = draft[NEXT_INSTRUMENT].get(0) or 1
    draft[NEXT_INSTRUMENT].put(0, instrument_id + 1)
    spec = draft[CONTRACT_SPECS][underlying]
    instrument = rules.compute_instrument(spec, underlying, kind, expiry_ms, strike_e8, block.height)
    draft[INSTRUMENTS].put(instrument_id, instrument)
    _outdate_listing(draft)
    _index(draft, instrument_id, instrument)
    return InstrumentListed(instrument_id, instrument.name)


def _outdate_listing(draft: Draft) -> None:
    if 0 in draft[LISTING]:
        draft[LISTING].delete(0)


def _find(draft: Draft, underlying: int, kind: Kind, expiry_ms: int, strike_e8: int) -> int | None:
    return draft[NAMES].get(rules.format_name(underlying, kind, expiry_ms, strike_e8))


def _count_expiries(draft: Draft, underlying: int) -> int:
    return sum(asset == underlying for asset, _ in draft[SERIES].keys())  # noqa: SIM118 -- a table, not a dict


def _index(draft: Draft, instrument_id: int, instrument: Instrument) -> None:
    draft[NAMES].put(instrument.name, instrument_id)
    key = (instrument.underlying, instrument.expiry_ms)
    members = draft[SERIES].get(key) or ()
    place = bisect_left(members, instrument_id)
    draft[SERIES].put(key, (*members[:place], instrument_id, *members[place:]))
