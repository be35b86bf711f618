"""The only writer of positions."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import div_floor
from holdfast.protocol.accounts.state import PAGE_BITS
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, AMOUNT_ATOMS_MAX, POSITIONS_PER_ACCOUNT_MAX
from holdfast.protocol.portfolio.state import (
    HOLDERS,
    HOLDINGS,
    INSTRUMENT_BITS,
    POSITION_PAGES,
    POSITIONS,
    Position,
)
from holdfast.state.columns import Columns, Located, make_pages, refresh_pages
from holdfast.state.draft import Draft
from holdfast.state.table import Table

_COLUMNS: Final = 2  # lots, cost


def get_lots(draft: Draft, account_id: int, instrument_id: int) -> int:
    """Return an account's signed lots of an instrument."""
    position = draft[POSITIONS].get((account_id, instrument_id))
    return 0 if position is None else position.lots


def change(draft: Draft, account_id: int, instrument_id: int, lots: int, value_atoms: int) -> int:
    """Add signed lots that cost a signed value; return the profit or loss that it realises.

    Realised is what the closed part fetched less its share of the cost; for a future it is due in cash.
    Rounds: the closed part's share of the cost toward minus infinity; nothing is lost, the rest stays in the position.
    Refuses: POSITIONS_FULL, LOTS_TOO_MANY; SIZE_TOO_LARGE for a cost that a position cannot hold. Never what closes.
    """
    ensure(lots != 0, "a change of a position moves lots")
    positions = draft[POSITIONS]
    key = (account_id, instrument_id)
    before = positions.get(key)
    if before is None:
        _add_to_index(draft, account_id, instrument_id)
        positions.put(key, Position(lots, value_atoms))
        return 0
    after_lots = before.lots + lots
    if abs(after_lots) > max(ACCOUNT_LOTS_MAX, abs(before.lots)):
        raise RejectedError(Code.LOTS_TOO_MANY, limit=ACCOUNT_LOTS_MAX)
    if (before.lots > 0) == (lots > 0):
        if abs(before.cost_atoms + value_atoms) > AMOUNT_ATOMS_MAX:
            raise RejectedError(Code.SIZE_TOO_LARGE, instrument_id=instrument_id, field="cost", limit=AMOUNT_ATOMS_MAX)
        positions.put(key, Position(after_lots, before.cost_atoms + value_atoms))
        return 0
    closed = min(abs(before.lots), abs(lots))
    cost_closed = div_floor(before.cost_atoms * closed, abs(before.lots))
    value_closed = value_atoms if closed == abs(lots) else div_floor(value_atoms * closed, abs(lots))
    if after_lots == 0:
        positions.delete(key)
        _drop_from_index(draft, account_id, instrument_id)
    else:
        positions.put(key, Position(after_lots, before.cost_atoms - cost_closed + value_atoms - value_closed))
    return -value_closed - cost_closed


def set_cost(draft: Draft, account_id: int, instrument_id: int, cost_atoms: int) -> None:
    """Rewrite a position's cost after its profit has been paid in cash."""
    position = draft[POSITIONS][account_id, instrument_id]
    draft[POSITIONS].put((account_id, instrument_id), Position(position.lots, cost_atoms))


def remove(draft: Draft, account_id: int, instrument_id: int) -> Position:
    """Remove a whole position, whose worth the caller settles; return what it was."""
    position = draft[POSITIONS][account_id, instrument_id]
    draft[POSITIONS].delete((account_id, instrument_id))
    _drop_from_index(draft, account_id, instrument_id)
    return position


def get_holdings(draft: Draft, account_id: int) -> tuple[int, ...]:
    """Return the instruments that an account holds, ascending."""
    return draft[HOLDINGS].get(account_id) or ()


def get_holders(draft: Draft, instrument_id: int) -> tuple[int, ...]:
    """Return the accounts that hold an instrument, ascending."""
    return draft[HOLDERS].get(instrument_id) or ()


def refresh(draft: Draft) -> None:
    """Bring the pages up to the positions as of now."""
    refresh_pages(draft[POSITION_PAGES], _locate(draft[POSITIONS].changes().items()), _COLUMNS)


def make_position_pages(draft: Draft) -> dict[int, Columns]:
    """Return the pages of all positions, made anew."""
    return make_pages(_locate(draft[POSITIONS].items()), _COLUMNS)


def rebuild(draft: Draft) -> None:
    """Rebuild both indices and the pages."""
    draft[POSITION_PAGES].fill(make_position_pages(draft))
    holdings: dict[int, list[int]] = {}
    holders: dict[int, list[int]] = {}
    for account_id, instrument_id in draft[POSITIONS].keys():  # noqa: SIM118 -- a table, not a dict
        holdings.setdefault(account_id, []).append(instrument_id)
        holders.setdefault(instrument_id, []).append(account_id)
    draft[HOLDINGS].fill({account_id: tuple(holdings[account_id]) for account_id in holdings})
    draft[HOLDERS].fill({instrument_id: tuple(holders[instrument_id]) for instrument_id in holders})


def _locate(rows: Iterable[tuple[tuple[int, int], Position | None]]) -> Iterator[Located]:
    for (account_id, instrument_id), position in rows:
        ensure(instrument_id < 1 << INSTRUMENT_BITS, "an instrument's number fits the key of a page")
        page = account_id >> PAGE_BITS
        key = (account_id - (page << PAGE_BITS)) << INSTRUMENT_BITS | instrument_id
        yield page, key, None if position is None else (position.lots, position.cost_atoms)


def _add_to_index(draft: Draft, account_id: int, instrument_id: int) -> None:
    if len(get_holdings(draft, account_id)) >= POSITIONS_PER_ACCOUNT_MAX:
        raise RejectedError(Code.POSITIONS_FULL, limit=POSITIONS_PER_ACCOUNT_MAX)
    _insert(draft, HOLDINGS, account_id, instrument_id)
    _insert(draft, HOLDERS, instrument_id, account_id)


def _drop_from_index(draft: Draft, account_id: int, instrument_id: int) -> None:
    _remove(draft, HOLDINGS, account_id, instrument_id)
    _remove(draft, HOLDERS, instrument_id, account_id)


def _insert(draft: Draft, index: Table[int, tuple[int, ...]], key: int, member: int) -> None:
    members = draft[index].get(key) or ()
    place = bisect_left(members, member)
    draft[index].put(key, (*members[:place], member, *members[place:]))


def _remove(draft: Draft, index: Table[int, tuple[int, ...]], key: int, member: int) -> None:
    members = draft[index][key]
    place = bisect_left(members, member)
    ensure(members[place] == member, "an index lists what is removed from it")
    rest = members[:place] + members[place + 1 :]
    if rest:
        draft[index].put(key, rest)
    else:
        draft[index].delete(key)
