"""Committed rows of an exchange with many accounts, made directly in the tables: no order was ever sent."""

from itertools import count
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast.lab.solo import FIRST_ACCOUNT, PRICES, Solo
from holdfast.primitives.units import E8, MINUTE_MS, value_per_lot_atoms
from holdfast.protocol import rebuild
from holdfast.protocol.block import BlockContext
from holdfast.protocol.instruments.params import CONTRACT_SPECS
from holdfast.protocol.instruments.rules import compute_instrument
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.state import BALANCES, BTC, ETH, USDC
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.state import MARKS
from holdfast.state.draft import Draft
from holdfast.state.store import Changed, Sealed, State
from holdfast.state.tree import StateTree

IntArray = NDArray[np.int64]

POSITIONS_EACH: Final = 20
_CASH_ATOMS: Final = 1_000_000 * 10**6
# At most so much of each, on half of the accounts.
_COINS_MAX_ATOMS: Final = {BTC: 5 * 10**8, ETH: 100 * 10**8}
_FIRST_BLOCKS: Final = 2
_LOTS_MAX: Final = 9
# About what a block of 2,048 orders fills.
_FILLS: Final = 400
_STRIKE_SHARE_MIN: Final = 0.5
_STEP_E8: Final = {1: 250 * E8, 2: 10 * E8}


class World(NamedTuple):
    """The committed state, and the next block."""

    state: State
    context: BlockContext
    accounts: int
    instruments: int
    fills: int  # of the block before: what margin keeps of those accounts is out of date

    def draft(self) -> Draft:
        """Open a draft over the committed rows."""
        return self.state.draft()


def make_world(accounts: int, instruments: int) -> World:
    """Return an exchange where so many accounts hold 20 positions each, in at least so many instruments.

    Half of the accounts have BTC and ETH beside their cash.
    """
    solo = Solo(1, rebuilds=False)
    solo.run(_FIRST_BLOCKS)
    state, source = State(solo.app.state.tables), solo.draft()
    context = BlockContext(solo.height + 1, solo.time_ms + MINUTE_MS, solo.time_ms, 0)
    # Committed as it grows: a draft that holds all the rows is slow to walk. What is derived is made anew.
    draft = state.draft()
    for table in state.tables:
        if table.tag is not None:
            draft[table].fill(source[table].as_dict())
    _list_more(draft, instruments)
    draft = _commit(state, draft)
    surface.reprice(draft, context, {})
    ids = draft[MARKS].keys()
    lot_values = [value_per_lot_atoms(draft[MARKS][each].mark_e8, draft[INSTRUMENTS][each].lot_e8) for each in ids]
    draft = state.draft()
    _hold(draft, accounts, np.array(ids, dtype=np.int64), np.array(lot_values, dtype=np.int64))
    draft = _commit(state, draft)
    rebuild.rebuild(draft)
    draft = _commit(state, draft)
    run_risk_step(draft, context)
    fills = _trade(draft, accounts)
    rebuild.refresh_columns(draft)
    _commit(state, draft)
    following = BlockContext(context.height + 1, context.time_ms + MINUTE_MS, context.time_ms, 0)
    return World(state, following, accounts, len(ids), fills)


def run_risk_step(draft: Draft, context: BlockContext) -> None:
    """Reprice and re-margin all as a block does when it opens."""
    surface.reprice(draft, context, {})
    rebuild.refresh_columns(draft)
    margin.revalue(draft)


def _list_more(draft: Draft, instruments: int) -> None:
    """List further strikes of the series that are there, calls and puts, in turn."""
    table = draft[INSTRUMENTS]
    series = sorted({(one.underlying, one.expiry_ms) for _, one in table.items()})
    next_id = max(table.keys()) + 1
    missing = instruments - len(table.keys())
    taken = {(one.underlying, one.expiry_ms, one.strike_e8) for _, one in table.items()}
    firsts = {key: round(_STRIKE_SHARE_MIN * PRICES[key[0]]) // _STEP_E8[key[0]] for key in series}
    for turn in count():
        for underlying, expiry_ms in series:
            if missing <= 0:
                return
            strike_e8 = (firsts[underlying, expiry_ms] + turn) * _STEP_E8[underlying]
            if (underlying, expiry_ms, strike_e8) in taken:
                continue
            for kind in (Kind.CALL, Kind.PUT):
                spec = draft[CONTRACT_SPECS][underlying]
                table.put(next_id, compute_instrument(spec, underlying, kind, expiry_ms, strike_e8, 1))
                next_id += 1
                missing -= 1


def _hold(draft: Draft, accounts: int, ids: IntArray, lot_values: IntArray) -> None:
    """Give each two accounts opposite positions, every account its cash, and half of them coins."""
    rng = np.random.default_rng(1)
    pairs = (accounts + 1) // 2
    gaps = rng.integers(1, len(ids) // POSITIONS_EACH + 1, (pairs, POSITIONS_EACH))
    places = np.sort((rng.integers(0, len(ids), (pairs, 1)) + gaps.cumsum(axis=1)) % len(ids), axis=1)
    lots = rng.integers(1, _LOTS_MAX + 1, places.shape) * rng.choice((-1, 1), places.shape)
    both_lots = np.stack([lots, -lots], axis=1).reshape(-1, POSITIONS_EACH)[:accounts]
    both_places = np.repeat(places, 2, axis=0)[:accounts]
    account_ids = np.arange(accounts) + FIRST_ACCOUNT
    keys = zip(np.repeat(account_ids, POSITIONS_EACH).tolist(), ids[both_places].ravel().tolist(), strict=True)
    costs = (both_lots * lot_values[both_places]).ravel().tolist()
    draft[POSITIONS].fill(dict(zip(keys, map(Position, both_lots.ravel().tolist(), costs), strict=True)))
    draft[BALANCES].fill(dict.fromkeys(((account_id, USDC) for account_id in account_ids.tolist()), _CASH_ATOMS))
    owners = np.sort(rng.choice(account_ids, accounts // 2, replace=False)).tolist()
    for asset_id, most in _COINS_MAX_ATOMS.items():
        amounts = rng.integers(1, most, len(owners), endpoint=True).tolist()
        draft[BALANCES].fill({(owner, asset_id): amount for owner, amount in zip(owners, amounts, strict=True)})


def _trade(draft: Draft, accounts: int) -> int:
    """Let each of some pairs of accounts add to its first, opposite positions; return how many did."""
    fills = min(_FILLS, accounts // 2)
    positions, balances = draft[POSITIONS], draft[BALANCES]
    for pair in np.linspace(0, accounts // 2 - 1, fills, dtype=np.int64).tolist():
        for account_id in (FIRST_ACCOUNT + 2 * pair, FIRST_ACCOUNT + 2 * pair + 1):
            instrument_id = portfolio.get_holdings(draft, account_id)[0]
            held = positions[account_id, instrument_id]
            sign = 1 if held.lots > 0 else -1
            positions.put((account_id, instrument_id), Position(held.lots + sign, held.cost_atoms + sign))
            balances.put((account_id, USDC), balances[account_id, USDC] - sign)
    return fills


def _commit(state: State, draft: Draft) -> Draft:
    """Commit a draft without its part of the tree, since nobody asks for a root here, and open the next."""
    state.commit(Sealed(Changed(state.tables, draft), (), StateTree().plan(()), state.root))
    return state.draft()
