"""What a block's prices make of every instrument: marks and rows are written, then read as numbers a lot."""

from struct import pack, unpack
from typing import Final, NamedTuple

from holdfast.lab.reference import averages, surface
from holdfast.lab.reference.listing import set_halted
from holdfast.lab.reference.pricing import Inputs, price_all
from holdfast.lab.reference.rounding import PPM, down, up, worth_atoms
from holdfast.lab.reference.world import UNDERLYINGS, World
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.surface.state import Mark

_FORWARD_MAX_E8: Final = 2**52
_ROW_MAX_ATOMS: Final = 2**36
_E9: Final = 10**9
_AVERAGING_MS: Final = 30 * 60_000


class Line(NamedTuple):
    """One instrument's value of a lot, and what each scenario adds to it, in atoms."""

    value: int
    row: tuple[int, ...]
    underlying: int
    is_future: bool
    strike: tuple[int, int, int]  # underlying, expiry and strike: the same for a call and its put


class Valuation(NamedTuple):
    """Every priced instrument at a block's prices, and what a lot of each underlying is worth at the index."""

    lines: dict[int, Line]
    lot_worth: dict[int, int]
    prices_e8: dict[int, int]
    confidences_e8: dict[int, int]


class _Slice(NamedTuple):
    forward: int
    theta: int
    rho: int
    eta: int
    fixed: int
    open_ppm: int
    remaining: int
    shift: int
    width: int


def reprice(world: World) -> None:
    """Write mark and row of every instrument that can be priced; halt what would pass the ceiling."""
    grids = [world.grids[underlying] for underlying in UNDERLYINGS]
    inputs: list[Inputs] = []
    too_high: list[int] = []
    slices = {key: _slice(world, key) for key in world.series()}
    for instrument_id, one in sorted(world.instruments.items()):
        part = slices[one.underlying, one.expiry_ms]
        if part is None:
            continue
        if part.forward > _FORWARD_MAX_E8:
            too_high.append(instrument_id)
            continue
        is_call = one.kind != Kind.PUT
        place = UNDERLYINGS.index(one.underlying)
        smile = (part.shift, part.width)
        inputs.append(Inputs(instrument_id, *part[:-2], place, *smile, one.strike_e8, is_call, one.lot_e8))
    for given, priced in zip(inputs, price_all(inputs, grids), strict=True):
        instrument = world.instruments[given.instrument_id]
        largest = max([worth_atoms(priced.mark.mark_e8, instrument.lot_e8), *map(abs, priced.row)])
        set_halted(world, given.instrument_id, is_halted=largest > _ROW_MAX_ATOMS)
        if largest > _ROW_MAX_ATOMS:
            continue
        mark = priced.mark
        if instrument.kind == Kind.FUTURE:
            mark = Mark(mark.mark_e8, 0, mark.delta_ppm, 0, 0, 0)
        world.marks[given.instrument_id] = mark
        world.risk_rows[given.instrument_id] = pack("<32q", *priced.row)
    for instrument_id in too_high:
        set_halted(world, instrument_id, is_halted=True)


def _slice(world: World, key: tuple[int, int]) -> _Slice | None:
    """Return what a series' prices come from, or None where nothing tells them."""
    underlying, expiry_ms = key
    fixed, open_ppm = averages.fixing(world, key)
    if fixed > _FORWARD_MAX_E8:
        return None
    if open_ppm == 0:
        return _Slice(1, 0, 0, 1, fixed, 0, 0, 0, PPM)
    shape, feed, now = world.surfaces.get(underlying), world.feeds.get(underlying), world.now_ms
    nodes = [] if shape is None else surface.ahead(shape, now)
    if shape is None or feed is None or not nodes:
        return None
    end = max(expiry_ms, now + 1)
    if expiry_ms <= now:
        # What its average lacks is still to come.
        end = now + max(1, up(_AVERAGING_MS * open_ppm, PPM))
    ratio = surface.ratio_at([(expiry, ratio) for expiry, ratio, _ in nodes], end, now)
    theta = surface.theta_at([(expiry, theta) for expiry, _, theta in nodes], end, now)
    forward = max(1, down(feed.price_e8 * ratio, _E9))
    smile = surface.shape_at(shape, end, now)
    return _Slice(
        forward,
        theta,
        smile.rho_ppm,
        smile.eta_ppm,
        fixed,
        open_ppm,
        end - now,
        smile.shift_ppm,
        smile.width_ppm,
    )


def value(world: World) -> Valuation | None:
    """Read marks and rows as numbers a lot; None before the first price."""
    if not world.feeds:
        return None
    lines = {}
    for instrument_id, mark in sorted(world.marks.items()):
        one = world.instruments[instrument_id]
        lines[instrument_id] = Line(
            worth_atoms(mark.mark_e8, one.lot_e8),
            unpack("<32q", world.risk_rows[instrument_id]),
            one.underlying,
            one.kind == Kind.FUTURE,
            (one.underlying, one.expiry_ms, one.strike_e8),
        )
    return Valuation(
        lines,
        {
            underlying: worth_atoms(world.feeds[underlying].price_e8, world.contract_specs[underlying].lot_e8)
            for underlying in UNDERLYINGS
            if underlying in world.feeds
        },
        {feed_id: feed.price_e8 for feed_id, feed in world.feeds.items()},
        {feed_id: feed.confidence_e8 for feed_id, feed in world.feeds.items()},
    )
