"""Surfaces from reports, and every block's marks and risk rows."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives import pricing
from holdfast.primitives.codec import Record
from holdfast.primitives.pricing import Grid, Options, Slices
from holdfast.primitives.units import MINUTE_MS, PPM, div_ceil, div_floor, value_per_lot_atoms
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments.handlers import get_listing, set_halted
from holdfast.protocol.instruments.params import CONTRACT_SPECS, UNDERLYINGS
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.limits import ROW_ATOMS_MAX, SCENARIOS
from holdfast.protocol.oracle import rules as oracle
from holdfast.protocol.oracle.messages import Report
from holdfast.protocol.oracle.params import ORACLE_PARAMS
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.surface import params, rules
from holdfast.protocol.surface.messages import SurfaceUpdated
from holdfast.protocol.surface.params import SURFACE_PARAMS
from holdfast.protocol.surface.state import (
    MARKS,
    RISK_ARRAY,
    RISK_ROWS,
    ROW_BYTES,
    SURFACES,
    VERSION_SVI,
    Int64Array,
    Lines,
    Mark,
    RiskArray,
    Surface,
)
from holdfast.state.draft import Draft

Fixings = Mapping[tuple[int, int], tuple[int, int]]

_AVERAGING_MS: Final = 30 * MINUTE_MS
_NOTHING_FIXED: Final = (0, PPM)
_LINE_WORDS: Final = 8
_WORD_BITS: Final = 3


def apply_reports(
    draft: Draft, block: BlockContext, reports: Sequence[tuple[int, int, Report]], total_power: int
) -> tuple[Record, ...]:
    """Take (validator, power, report) of the last commit into every underlying's surface; without a quorum it stays."""
    events: list[Record] = []
    for underlying in UNDERLYINGS:
        candidates = rules.list_candidates(draft[ORACLE_PARAMS][0], underlying, reports)
        agreed = rules.compute_agreed(candidates, total_power, block.time_ms)
        if agreed is None:
            continue
        draft[SURFACES].put(
            underlying,
            Surface(VERSION_SVI, agreed.slices, block.time_ms, block.height),
        )
        events.append(SurfaceUpdated(underlying, len(agreed.slices), agreed.included_power, agreed.is_fallback))
    return tuple(events)


def set_range(draft: Draft, underlying: int, range_ppm: int) -> None:
    """Write the grid of an underlying's spot range; rows and collateral follow with the next repricing."""
    grid = params.make_grid(range_ppm)
    params.check(grid)
    draft[SURFACE_PARAMS].put(underlying, grid)


def reprice(draft: Draft, block: BlockContext, fixings: Fixings) -> tuple[Record, ...]:
    """Write marks and risk rows of every instrument that can be priced, then the risk array over all of them.

    `fixings` gives, for a series inside its settlement window, what its average has already fixed and the share that is
    still open. An instrument whose row would pass the ceiling is halted and keeps its last row.
    """
    events: list[Record] = []
    priced, excessive = _price(draft, block, fixings)
    if priced is not None:
        events.extend(_write(draft, priced))
    for instrument_id in excessive:
        events.extend(set_halted(draft, instrument_id, is_halted=True))
    rebuild(draft)
    return tuple(events)


def remove(draft: Draft, instrument_id: int) -> None:
    """Forget a retired instrument's mark and row; the risk array follows with the next repricing."""
    if instrument_id in draft[MARKS]:
        draft[MARKS].delete(instrument_id)
        draft[RISK_ROWS].delete(instrument_id)


def rebuild(draft: Draft) -> None:
    """Rebuild the risk array, which exists as soon as anything has a price."""
    if draft[FEEDS].keys():
        draft[RISK_ARRAY].put(0, build_array(draft))


def build_array(draft: Draft) -> RiskArray:
    """Return the risk array over the stored marks and rows."""
    marks, stored = draft[MARKS], draft[RISK_ROWS]
    ids = marks.keys()
    listing = get_listing(draft)
    instrument_ids = _freeze(np.array(ids, dtype=np.int64))
    if np.array_equal(instrument_ids, listing.ids):
        # The same array from block to block, so that whoever keeps it sees at once that nothing was listed.
        instrument_ids = listing.ids
    # An instrument without a mark has no line.
    at = np.searchsorted(listing.ids, instrument_ids)
    underlyings, is_future, groups, tick_values, lots_e8 = (
        _freeze(column[at])
        for column in (
            listing.underlyings,
            listing.is_future,
            listing.strike_groups,
            listing.tick_values_atoms,
            listing.lots_e8,
        )
    )
    rows = np.frombuffer(b"".join([stored[instrument_id] for instrument_id in ids]), dtype="<i8")
    rows = _freeze(_align(rows.astype(np.int64, copy=False)).reshape(-1, SCENARIOS))
    prices_e8 = np.array([marks[instrument_id].mark_e8 for instrument_id in ids], dtype=np.int64)
    values = _freeze(rules.values_per_lot_atoms(prices_e8, lots_e8))
    feeds = dict(draft[FEEDS].items())
    return RiskArray(
        lines=Lines(ids, rows, (values, underlyings, is_future, groups, tick_values)),
        instrument_ids=instrument_ids,
        values_atoms=values,
        rows=rows,
        underlyings=underlyings,
        is_future=is_future,
        strike_groups=groups,
        tick_values_atoms=tick_values,
        lot_value_atoms={
            underlying: value_per_lot_atoms(feeds[underlying].price_e8, draft[CONTRACT_SPECS][underlying].lot_e8)
            for underlying in UNDERLYINGS
            if underlying in feeds
        },
        prices_e8={feed_id: feeds[feed_id].price_e8 for feed_id in feeds},
        confidences_e8={feed_id: feeds[feed_id].confidence_e8 for feed_id in feeds},
    )


class _SliceRow(NamedTuple):
    """One series' entry among the slices, in the order of the kernel's columns."""

    forward_e8: int
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    fixed_e8: int
    variable_ppm: int
    remaining_ms: int
    grid_index: int
    shift_ppm: int
    width_ppm: int


# Stands for a series that nothing prices; what it comes to is not used.
_NO_SLICE: Final = _SliceRow(1, 0, 0, 1, 0, 0, 0, 0, 0, PPM)


class _Priced(NamedTuple):
    """What the kernel has computed, instrument by instrument, as arrays."""

    instrument_ids: Int64Array
    is_future: Int64Array
    lots_e8: Int64Array
    marks: pricing.Marks
    rows: Int64Array


def _price(draft: Draft, block: BlockContext, fixings: Fixings) -> tuple[_Priced | None, list[int]]:
    """Run the kernel over what can be priced; also return the instruments whose forwards it does not take."""
    listing = get_listing(draft)
    made = [_make_slice(draft, block, key, fixings.get(key, _NOTHING_FIXED)) for key in listing.series]
    is_priced = np.array([row is not None for row in made], dtype=bool)[listing.series_index]
    slices = [_NO_SLICE if row is None else row for row in made]
    is_excessive = np.array([row.forward_e8 > rules.FORWARD_MAX_E8 for row in slices], dtype=bool)[listing.series_index]
    excessive: list[int] = listing.ids[is_excessive].tolist()
    live = np.flatnonzero(is_priced & ~is_excessive)
    if not len(live):
        return None, excessive
    fits = [row._replace(forward_e8=min(row.forward_e8, rules.FORWARD_MAX_E8)) for row in slices]
    inputs = Slices(*np.ascontiguousarray(np.array(fits, dtype=np.int64).T))
    options = Options(
        listing.series_index[live], listing.strikes_e8[live], listing.is_call[live], listing.lots_e8[live]
    )
    marks = pricing.compute_marks(inputs, options)
    rows = pricing.compute_rows(inputs, options, _make_grid(draft), marks.mark_e8)
    return _Priced(listing.ids[live], listing.is_future[live], options.lot_e8, marks, rows), excessive


def _make_slice(draft: Draft, block: BlockContext, key: tuple[int, int], fixing: tuple[int, int]) -> _SliceRow | None:
    """Return a series' slice, or None where nothing tells its price.

    What has expired without a price is still open for as much of the averaging time as its average lacks.
    """
    underlying, expiry_ms = key
    fixed_e8, variable_ppm = fixing
    grid_index = UNDERLYINGS.index(underlying)
    if fixed_e8 > rules.FORWARD_MAX_E8:
        return None
    if variable_ppm == 0:
        return _SliceRow(1, 0, 0, 1, fixed_e8, 0, 0, grid_index, 0, PPM)
    surface = draft[SURFACES].get(underlying)
    price = oracle.get_price(draft, underlying)
    if surface is None or price is None:
        return None
    now_ms = block.time_ms
    nodes, thetas, ratios = rules.list_nodes(surface, now_ms)
    if not nodes:
        return None
    end_ms = max(expiry_ms, now_ms + 1)
    if expiry_ms <= now_ms:
        end_ms = now_ms + max(1, div_ceil(_AVERAGING_MS * variable_ppm, PPM))
    smile = rules.get_smile(surface, end_ms, now_ms)
    return _SliceRow(
        max(1, div_floor(price * rules.interpolate_ratio_e9(nodes, ratios, end_ms, now_ms), rules.E9)),
        rules.interpolate_theta_e12(nodes, thetas, end_ms, now_ms),
        smile.rho_ppm,
        smile.eta_ppm,
        fixed_e8,
        variable_ppm,
        end_ms - now_ms,
        grid_index,
        smile.shift_ppm,
        smile.width_ppm,
    )


def _make_grid(draft: Draft) -> Grid:
    grids = [draft[SURFACE_PARAMS][underlying] for underlying in UNDERLYINGS]
    return Grid(
        np.array([grid.spot_ppm for grid in grids], dtype=np.int64),
        np.array([grid.vol_ppm for grid in grids], dtype=np.int64),
        np.array([grid.rho_shift_ppm for grid in grids], dtype=np.int64),
        np.array([grid.dampen_ppm for grid in grids], dtype=np.int64),
    )


def _write(draft: Draft, priced: _Priced) -> tuple[Record, ...]:
    """Store marks and rows that keep under the ceiling; halt what does not, resume what does again."""
    events: list[Record] = []
    ids, marks = priced.instrument_ids.tolist(), priced.marks
    values = rules.values_per_lot_atoms(marks.mark_e8, priced.lots_e8)
    largest = np.maximum(np.maximum(priced.rows.max(axis=1), -priced.rows.min(axis=1)), values)
    excessive = (largest > ROW_ATOMS_MAX).tolist()
    instruments = draft[INSTRUMENTS]
    for instrument_id, is_excessive in zip(ids, excessive, strict=True):
        if is_excessive != instruments[instrument_id].is_halted:
            events.extend(set_halted(draft, instrument_id, is_halted=is_excessive))
    # A future has no volatility of its own, only its linear part.
    is_option = 1 - priced.is_future
    columns = (
        marks.mark_e8,
        marks.iv_ppm * is_option,
        marks.delta_ppm,
        *(column * is_option for column in (marks.gamma_e12, marks.vega_e8, marks.theta_e8)),
    )
    data = priced.rows.astype("<i8", copy=False).tobytes()
    starts = range(0, len(data), ROW_BYTES)
    kept = [place for place, is_excessive in enumerate(excessive) if not is_excessive]
    fields = list(zip(*(column.tolist() for column in columns), strict=True))
    draft[MARKS].fill({ids[place]: Mark(*fields[place]) for place in kept})
    draft[RISK_ROWS].fill({ids[place]: data[starts[place] : starts[place] + ROW_BYTES] for place in kept})
    return tuple(events)


def _align(array: Int64Array) -> Int64Array:
    """Return a copy that begins at a multiple of a cache line.

    Why: a row is four whole lines then, not parts of five. Where memory lies changes no value.
    """
    room: Int64Array = np.empty(len(array) + _LINE_WORDS, dtype=np.int64)
    skipped = -(room.ctypes.data >> _WORD_BITS) % _LINE_WORDS
    aligned = room[skipped : skipped + len(array)]
    aligned[:] = array
    return aligned


def _freeze(array: Int64Array) -> Int64Array:
    array.setflags(write=False)
    return array
