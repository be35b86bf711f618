"""How a position changes, and where a future's profit goes."""

from holdfast.lab.reference import margin
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.rounding import down
from holdfast.lab.reference.world import CLEARING_POTS, World
from holdfast.primitives.reject import Code
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.portfolio.state import Position

ACCOUNT_LOTS_MAX = 2**26
POSITIONS_MAX = 512
_COST_MAX = 2**60


def check_room(world: World, account_id: int, instrument_id: int, lots: int) -> None:
    """Refuse more lots than an account may hold, or one position too many."""
    held = world.lots(account_id, instrument_id)
    refuse_if(abs(held + lots) > max(ACCOUNT_LOTS_MAX, abs(held)), Code.LOTS_TOO_MANY)
    refuse_if(held == 0 and len(world.holdings(account_id)) >= POSITIONS_MAX, Code.POSITIONS_FULL)


def check_cost(world: World, account_id: int, instrument_id: int, lots: int, value: int) -> None:
    """Refuse a cost that a growing position cannot hold."""
    position = world.positions.get((account_id, instrument_id))
    if position is not None and (position.lots > 0) == (lots > 0):
        refuse_if(abs(position.cost_atoms + value) > _COST_MAX, Code.SIZE_TOO_LARGE)


def change(world: World, account_id: int, instrument_id: int, lots: int, value: int) -> None:
    """Add signed lots that cost a signed value; what a future's closed part has gained comes out of its pot."""
    key = (account_id, instrument_id)
    held = world.positions.get(key)
    realised = 0
    if held is None:
        if len(world.holdings(account_id)) >= POSITIONS_MAX:
            raise RefusedError(Code.POSITIONS_FULL)
        world.positions[key] = Position(lots, value)
    elif (held.lots > 0) == (lots > 0):
        refuse_if(abs(held.lots + lots) > max(ACCOUNT_LOTS_MAX, abs(held.lots)), Code.LOTS_TOO_MANY)
        check_cost(world, account_id, instrument_id, lots, value)
        world.positions[key] = Position(held.lots + lots, held.cost_atoms + value)
    else:
        refuse_if(abs(held.lots + lots) > max(ACCOUNT_LOTS_MAX, abs(held.lots)), Code.LOTS_TOO_MANY)
        closed = min(abs(held.lots), abs(lots))
        cost_closed = down(held.cost_atoms * closed, abs(held.lots))
        value_closed = down(value * closed, abs(lots))
        rest = Position(held.lots + lots, held.cost_atoms - cost_closed + value - value_closed)
        if rest.lots == 0:
            del world.positions[key]
        else:
            world.positions[key] = rest
        realised = -value_closed - cost_closed
    margin.note_holding(world, account_id)
    if world.instruments[instrument_id].kind == Kind.FUTURE:
        world.pay(CLEARING_POTS + instrument_id, account_id, realised)


def trade(world: World, buyer_id: int, seller_id: int, instrument_id: int, lots: int, value: int) -> None:
    """Move lots (or, where negative, take them back) from seller to buyer for a value; an option is paid in cash."""
    change(world, seller_id, instrument_id, -lots, -value)
    change(world, buyer_id, instrument_id, lots, value)
    if world.instruments[instrument_id].kind != Kind.FUTURE:
        world.pay(buyer_id, seller_id, value)
