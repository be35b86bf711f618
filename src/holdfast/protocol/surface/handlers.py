"""Surfaces from reports, and every block's marks and risk rows."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

import numpy as np

from holdfast.primitives import pricing
from holdfast.primitives.codec import Record
from holdfast.primitives.pricing import Grid, Options, Slices
from holdfast.primitives.units import MINUTE_MS, PPM, div_ceil, div_floor, value_per_lot_atoms
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments.handlers import set_halted
from holdfast.protocol.instruments.params import CONTRACT_SPECS, UNDERLYINGS
from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument, Kind
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
    VERSION_SSVI,
    Int64Array,
    Mark,
    RiskArray,
    RiskLine,
    Surface,
)
from holdfast.state.draft import Draft

Fixings = Mapping[tuple[int, int], tuple[int, int]]

_AVERAGING_MS: Final = 30 * MINUTE_MS
_NOTHING_FIXED: Final = (0, PPM)


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
            Surface(VERSION_SSVI, agreed.rho_ppm, agreed.eta_ppm, agreed.slices, block.time_ms, block.height),
        )
        events.append(
            SurfaceUpdated(
                underlying,
                agreed.rho_ppm,
                agreed.eta_ppm,
                len(agreed.slices),
                agreed.included_power,
                agreed.is_fallback,
            )
        )
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
    ids = draft[MARKS].keys()
    instruments = [draft[INSTRUMENTS][instrument_id] for instrument_id in ids]
    rows = np.frombuffer(b"".join([draft[RISK_ROWS][instrument_id] for instrument_id in ids]), dtype="<i8")
    rows = rows.astype(np.int64, copy=False).reshape(-1, SCENARIOS)
    values = [
        value_per_lot_atoms(draft[MARKS][instrument_id].mark_e8, instrument.lot_e8)
        for instrument_id, instrument in zip(ids, instruments, strict=True)
    ]
    underlyings = [instrument.underlying for instrument in instruments]
    is_future = [instrument.kind == Kind.FUTURE for instrument in instruments]
    groups = _number_strikes(instruments)
    feeds = dict(draft[FEEDS].items())
    return RiskArray(
        lines={
            instrument_id: RiskLine(*line)
            for instrument_id, *line in zip(ids, count(), values, rows, underlyings, is_future, groups)
        },
        instrument_ids=_freeze(ids),
        values_atoms=_freeze(values),
        rows=rows,
        underlyings=_freeze(underlyings),
        is_future=_freeze(is_future),
        strike_groups=_freeze(groups),
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


class _Priced(NamedTuple):
    """What the kernel has computed, instrument by instrument."""

    instruments: list[tuple[int, Instrument]]
    marks: pricing.Marks
    rows: Int64Array


def _price(draft: Draft, block: BlockContext, fixings: Fixings) -> tuple[_Priced | None, list[int]]:
    """Run the kernel over what can be priced; also return the instruments whose forwards it does not take."""
    series: dict[tuple[int, int], int | None] = {}
    slices: list[_SliceRow] = []
    live: list[tuple[int, Instrument]] = []
    columns: list[tuple[int, int, int, int]] = []
    excessive: list[int] = []
    for instrument_id, instrument in draft[INSTRUMENTS].items():
        key = (instrument.underlying, instrument.expiry_ms)
        if key not in series:
            row = _make_slice(draft, block, key, fixings.get(key, _NOTHING_FIXED))
            series[key] = None if row is None else len(slices)
            slices.extend(() if row is None else (row,))
        index = series[key]
        if index is None:
            continue
        if slices[index].forward_e8 > rules.FORWARD_MAX_E8:
            excessive.append(instrument_id)
            continue
        live.append((instrument_id, instrument))
        columns.append((index, instrument.strike_e8, instrument.kind != Kind.PUT, instrument.lot_e8))
    if not live:
        return None, excessive
    fits = [row._replace(forward_e8=min(row.forward_e8, rules.FORWARD_MAX_E8)) for row in slices]
    inputs = Slices(*np.ascontiguousarray(np.array(fits, dtype=np.int64).T))
    options = Options(*np.ascontiguousarray(np.array(columns, dtype=np.int64).T))
    marks = pricing.compute_marks(inputs, options)
    return _Priced(live, marks, pricing.compute_rows(inputs, options, _make_grid(draft), marks.mark_e8)), excessive


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
        return _SliceRow(1, 0, 0, 1, fixed_e8, 0, 0, grid_index)
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
    return _SliceRow(
        max(1, div_floor(price * rules.interpolate_ratio_e9(nodes, ratios, end_ms, now_ms), rules.E9)),
        rules.interpolate_theta_e12(nodes, thetas, end_ms, now_ms),
        surface.rho_ppm,
        surface.eta_ppm,
        fixed_e8,
        variable_ppm,
        end_ms - now_ms,
        grid_index,
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
    put_mark, put_row = draft[MARKS].put, draft[RISK_ROWS].put
    data = priced.rows.astype("<i8", copy=False).tobytes()
    largest = np.abs(priced.rows).max(axis=1).tolist()
    fields = zip(*(column.tolist() for column in priced.marks), strict=True)
    for place, ((instrument_id, instrument), mark) in enumerate(zip(priced.instruments, fields, strict=True)):
        is_excessive = max(largest[place], value_per_lot_atoms(mark[0], instrument.lot_e8)) > ROW_ATOMS_MAX
        if is_excessive != instrument.is_halted:
            events.extend(set_halted(draft, instrument_id, is_halted=is_excessive))
        if not is_excessive:
            # A future has no volatility of its own, only its linear part.
            put_mark(
                instrument_id, Mark(mark[0], 0, mark[2], 0, 0, 0) if instrument.kind == Kind.FUTURE else Mark(*mark)
            )
            put_row(instrument_id, data[place * ROW_BYTES : (place + 1) * ROW_BYTES])
    return tuple(events)


def _number_strikes(instruments: Sequence[Instrument]) -> list[int]:
    """Return a number for each (underlying, expiry, strike), shared by its call and its put; -1 for futures."""
    numbers: dict[tuple[int, int, int], int] = {}
    return [
        -1
        if instrument.kind == Kind.FUTURE
        else numbers.setdefault((instrument.underlying, instrument.expiry_ms, instrument.strike_e8), len(numbers))
        for instrument in instruments
    ]


def _freeze(values: Sequence[int]) -> Int64Array:
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array
