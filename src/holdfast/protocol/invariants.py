"""The promises of the whole state, checked after every block. One that does not hold halts the replica.

`SUMS` look at what a block has changed and run after every block. `REBUILDS` make anew what is kept incrementally; they
run after every block in tests, simulation and replay, elsewhere as a rotating share.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from holdfast.primitives.check import BrokenInvariantError, ensure
from holdfast.protocol.accounts.state import (
    ACCOUNTS,
    CLEARING_BASE,
    FEE_POT,
    FUND_DEBT,
    INSURANCE_FUND,
    NONCES,
    NonceWindow,
)
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book.state import ORDERS, SIDES, Side
from holdfast.protocol.instruments.rules import compute_listing
from holdfast.protocol.instruments.state import INSTRUMENTS, LISTING, Kind, Listing
from holdfast.protocol.ledger.handlers import get_held_atoms
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES, DUST, USDC, VAULT
from holdfast.protocol.limits import NONCE_WINDOW
from holdfast.protocol.liquidation.handlers import list_unhealthy
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.margin.handlers import get_risk
from holdfast.protocol.margin.params import MARGIN_PARAMS, UNIVERSES
from holdfast.protocol.margin.rules import compute_matrix, compute_need_atoms, get_row, make_sources
from holdfast.protocol.margin.state import CHARGES, RISK, RISK_MATRIX, AccountRisk
from holdfast.protocol.oracle.rules import Action, is_action_allowed
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio.handlers import get_holders
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.ranges.params import RANGE_LIMITS, RANGE_PARAMS
from holdfast.protocol.ranges.state import CORRELATIONS, RANGES
from holdfast.protocol.rebuild import DERIVED, rebuild
from holdfast.protocol.settlement.state import SETTLEMENTS
from holdfast.protocol.surface.params import SURFACE_PARAMS
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.state.draft import Draft

_ALL_USED: Final = (1 << NONCE_WINDOW) - 1

Invariant = Callable[[Draft, BlockContext], None]


def check(draft: Draft, block: BlockContext, *, rebuilds: bool) -> tuple[str, ...]:
    """Check the named promises; return the names of those checked. The first that is broken halts."""
    checked: list[str] = []
    for name, invariant in (*SUMS, *(REBUILDS if rebuilds else ())):
        try:
            invariant(draft, block)
        except BrokenInvariantError as broken:
            message = f"{name}: {broken} (height {block.height})"
            raise BrokenInvariantError(message) from None
        checked.append(name)
    return tuple(checked)


def cash_conserved(draft: Draft, block: BlockContext) -> None:
    """What a block adds to the balances of each asset is what it has taken in less what it has paid out."""
    balances, vault = draft[BALANCES], draft[VAULT]
    added = [0] * len(ASSET_NAMES)
    for (account_id, asset_id), amount in balances.changes().items():  # det-ok: a sum
        added[asset_id] += (amount or 0) - (balances.get_base((account_id, asset_id)) or 0)
    for asset_id, total in enumerate(added):
        gained = get_held_atoms(vault.get(asset_id)) - get_held_atoms(vault.get_base(asset_id))
        ensure(total == gained, f"{ASSET_NAMES[asset_id]} is conserved")


def cash_adds_up(draft: Draft, block: BlockContext) -> None:
    """The balances of each asset add up to its deposits less its withdrawals."""
    totals = [0] * len(ASSET_NAMES)
    for (_, asset_id), amount in draft[BALANCES].items():
        totals[asset_id] += amount
    for asset_id, total in enumerate(totals):
        ensure(total == get_held_atoms(draft[VAULT].get(asset_id)), f"the balances of {ASSET_NAMES[asset_id]} add up")


def longs_equal_shorts(draft: Draft, block: BlockContext) -> None:
    """What a block adds to each instrument's lots is nothing; a clearing pot gains what its positions' costs lose.

    Why by what changes: from a state that keeps the promise nothing else can break it. `POSITIONS_ADD_UP` looks at all.
    """
    positions, balances = draft[POSITIONS], draft[BALANCES]
    lots: dict[int, int] = {}
    costs: dict[int, int] = {}
    for (account_id, instrument_id), position in positions.changes().items():  # det-ok: a sum
        before = positions.get_base((account_id, instrument_id))
        for one, sign in ((position, 1), (before, -1)):
            if one is not None:
                lots[instrument_id] = lots.get(instrument_id, 0) + sign * one.lots
                costs[instrument_id] = costs.get(instrument_id, 0) + sign * one.cost_atoms
    for instrument_id in sorted(lots):
        ensure(lots[instrument_id] == 0, f"longs equal shorts of instrument {instrument_id}")
    instruments = draft[INSTRUMENTS]
    moved = sorted(account_id for account_id, _ in balances.changes() if account_id >= CLEARING_BASE)
    pots = [account_id - CLEARING_BASE for account_id in moved]
    for instrument_id in sorted(dict.fromkeys([*pots, *lots])):
        listed = instruments.get(instrument_id) or instruments.get_base(instrument_id)
        if listed is not None and listed.kind == Kind.FUTURE:
            key = (CLEARING_BASE + instrument_id, USDC)
            gained = (balances.get(key) or 0) - (balances.get_base(key) or 0)
            is_owed = gained == -costs.get(instrument_id, 0)
            ensure(is_owed, f"the clearing pot of {instrument_id} is what is owed")


def positions_add_up(draft: Draft, block: BlockContext) -> None:
    """The lots of every instrument add up to nothing; a clearing pot holds what its positions' costs say."""
    lots: dict[int, int] = {}
    costs: dict[int, int] = {}
    for (_, instrument_id), position in draft[POSITIONS].items():
        lots[instrument_id] = lots.get(instrument_id, 0) + position.lots
        costs[instrument_id] = costs.get(instrument_id, 0) + position.cost_atoms
    for instrument_id in sorted(lots):
        ensure(lots[instrument_id] == 0, f"longs equal shorts of instrument {instrument_id}")
    for instrument_id, instrument in draft[INSTRUMENTS].items():
        if instrument.kind == Kind.FUTURE:
            pot = draft[BALANCES].get((CLEARING_BASE + instrument_id, USDC)) or 0
            ensure(pot == -costs.get(instrument_id, 0), f"the clearing pot of {instrument_id} is what is owed")


def unhealthy_is_queued(draft: Draft, block: BlockContext) -> None:
    """No account is under maintenance without being in the liquidation queue."""
    for _, account_id in list_unhealthy(draft):
        ensure(account_id in draft[LIQUIDATIONS], f"account {account_id} is under maintenance and queued")


def liquidations_go_on(draft: Draft, block: BlockContext) -> None:
    """A liquidation that a block found moves on or ends, unless prices are stale or the block's ends are used up."""
    if not all(is_action_allowed(draft, underlying, Action.AUCTION) for underlying in UNIVERSES):
        return
    liquidations, ends = draft[LIQUIDATIONS], 0
    for account_id, after in liquidations.changes().items():  # det-ok: a count
        before = liquidations.get_base(account_id)
        ends += before is not None and (after is None or after.started_height != before.started_height)
    for account_id, liquidation in draft[LIQUIDATIONS].items():
        moves = liquidations.get_base(account_id) != liquidation
        ensure(
            moves or ends >= draft[LIQUIDATION_PARAMS][0].ends_per_block,
            f"the liquidation of account {account_id} goes on",
        )


def book_not_crossed(draft: Draft, block: BlockContext) -> None:
    """No bid meets an ask."""
    sides = draft[SIDES]
    for instrument_id, _ in sides.changes():  # det-ok: each entry is independent of the others
        bids, asks = sides.get((instrument_id, Side.BUY)), sides.get((instrument_id, Side.SELL))
        ensure(not bids or not asks or bids[-1][0] < -asks[-1][0], f"the book of {instrument_id} is not crossed")


def nonces_only_grow(draft: Draft, block: BlockContext) -> None:
    """A key's highest nonce never falls, and what is used stays used."""
    nonces = draft[NONCES]
    for key, window in nonces.changes().items():  # det-ok: each entry is independent of the others
        before = nonces.get_base(key)
        if window is None:
            raise BrokenInvariantError("a nonce window is never removed")
        if before is not None:
            ensure(window.highest >= before.highest, "nonces only grow")
            jump = window.highest - before.highest
            kept = _used_bits(before) << jump if jump < NONCE_WINDOW else 0
            ensure(kept & _ALL_USED & ~_used_bits(window) == 0, "a nonce that is used stays used")


def _used_bits(window: NonceWindow) -> int:
    return window.used[0] << 32 | window.used[1]


def expired_is_empty(draft: Draft, block: BlockContext) -> None:
    """A settlement price is written once; its instruments have no orders, and nobody holds one that is gone."""
    instruments = draft[INSTRUMENTS]
    settlements = draft[SETTLEMENTS]
    for key, settlement in settlements.changes().items():  # det-ok: each entry is independent of the others
        before = settlements.get_base(key)
        is_kept = settlement is not None and (before is None or before.price_e8 == settlement.price_e8)
        ensure(is_kept, "a settlement price is written once")
    for instrument_id, instrument in instruments.items():
        if (instrument.underlying, instrument.expiry_ms) in settlements:
            for side in Side:
                ensure((instrument_id, side) not in draft[SIDES], f"{instrument_id} is settled, not traded")
    for instrument_id, kept in instruments.changes().items():  # det-ok: each entry is independent of the others
        is_held = bool(get_holders(draft, instrument_id))
        ensure(kept is not None or not is_held, f"nobody holds {instrument_id}, which is gone")


def fund_not_negative(draft: Draft, block: BlockContext) -> None:
    """The insurance fund never owes; what it cannot pay is placed on record. A block's fees are all given out."""
    ensure((draft[BALANCES].get((FUND_DEBT, USDC)) or 0) <= 0, "the fund's debt is a debt")
    ensure((draft[BALANCES].get((INSURANCE_FUND, USDC)) or 0) >= 0, "the insurance fund does not owe")
    ensure((draft[BALANCES].get((FEE_POT, USDC)) or 0) == 0, "a block's fees are given out")


def time_only_grows(draft: Draft, block: BlockContext) -> None:
    """Block time strictly increases, and no price is from the future."""
    ensure(block.previous_time_ms < block.time_ms, "block time strictly increases")
    for feed_id, feed in draft[FEEDS].items():
        ensure(
            feed.updated_ms <= block.time_ms and feed.updated_height <= block.height,
            f"the price of feed {feed_id} has an age",
        )


def dust_only_grows(draft: Draft, block: BlockContext) -> None:
    """The dust that roundings have left in the fund only grows."""
    dust = draft[DUST]
    for asset_id, amount in dust.changes().items():  # det-ok: each entry is independent of the others
        ensure(amount is not None and amount >= (dust.get_base(asset_id) or 0), "dust only grows")


def orders_are_counted(draft: Draft, block: BlockContext) -> None:
    """Each open order belongs to a live account and stands in a live instrument."""
    orders = draft[ORDERS].items()
    ensure(all(order.lots > 0 for _, order in orders), "every order has something open")
    for account_id in dict.fromkeys(order.account_id for _, order in orders):
        ensure(account_id in draft[ACCOUNTS], f"the orders of account {account_id} belong to a live account")
    for instrument_id in dict.fromkeys(order.instrument_id for _, order in orders):
        ensure(instrument_id in draft[INSTRUMENTS], f"the orders in {instrument_id} stand in a live instrument")


def margin_cache_fresh(draft: Draft, block: BlockContext) -> None:
    """Every account's risk that was kept incrementally equals one made anew from positions, coins and orders."""
    array = draft[RISK_ARRAY].get(0)
    if array is None:
        return
    matrix = compute_matrix(draft, array, draft[CHARGES][0], make_sources(draft), {})
    for place in np.flatnonzero(matrix.equity_atoms < matrix.maintenance_atoms).tolist():
        account_id = int(matrix.account_ids[place])
        ensure(account_id in draft[LIQUIDATIONS], f"account {account_id} is unhealthy by fresh sums, and queued")
    changed = draft[RISK]
    for account_id, tally in list(changed.items()):
        kept, anew = get_risk(draft, account_id), get_row(matrix, account_id)
        ensure(_is_same(kept, anew), f"the margin sums of account {account_id} are fresh")
        ensure(tally.need_atoms >= compute_need_atoms(draft, kept), f"the need of account {account_id} is bounded")
    # Whose sums have not been touched must stand as at the block's beginning; who is in one matrix alone, empty.
    first = draft[RISK_MATRIX][0]
    ids, first_ids = matrix.account_ids.tolist(), first.account_ids.tolist()
    same = [account_id for account_id in ids if account_id in first.places and account_id not in changed]
    before, after = [[table.places.at(one) for one in same] for table in (first, matrix)]
    for field in _SUMS_OF_MATRIX:
        is_kept = np.array_equal(getattr(first, field)[..., before], getattr(matrix, field)[..., after])
        ensure(is_kept, f"the {field} of accounts that nothing has touched are fresh")
    # Money moves without touching an account's risk; where none has, equity stands too.
    moved = {account_id: True for account_id, _ in sorted(draft[BALANCES].changes())}
    still = [one for one in same if one not in moved]
    before, after = [[table.places.at(one) for one in still] for table in (first, matrix)]
    is_kept = np.array_equal(first.equity_atoms[before], matrix.equity_atoms[after])
    ensure(is_kept, "the equity of accounts that nothing has touched is fresh")
    for table, other in ((first, matrix), (matrix, first)):
        for account_id in ids if table is matrix else first_ids:
            if account_id not in other.places and account_id not in changed:
                row = get_row(table, account_id)
                ensure(row is not None and _is_same(row, None), f"account {account_id} holds nothing unnoticed")


def ranges_in_bounds(draft: Draft, block: BlockContext) -> None:
    """What adapts, in force or announced, is between its hard bounds, and grids and weights are those in force."""
    for underlying, state in draft[RANGES].items():
        limits, schedule = draft[RANGE_LIMITS][underlying], state.schedule
        for ppm in (schedule.in_force_ppm, *schedule.announced_ppm):
            ensure(limits.floor_ppm <= ppm <= limits.ceiling_ppm, f"the range of underlying {underlying} is in bounds")
        edge_ppm = draft[SURFACE_PARAMS][underlying].spot_ppm[0]
        ensure(edge_ppm == -schedule.in_force_ppm, f"the grid of underlying {underlying} has its range")
    correlation = draft[CORRELATIONS].get(0)
    if correlation is not None:
        params, schedule = draft[RANGE_PARAMS][0], correlation.schedule
        for ppm in (schedule.in_force_ppm, *schedule.announced_ppm):
            ensure(
                params.weight_min_ppm <= ppm <= params.weight_max_ppm, "the weight of opposed scenarios is in bounds"
            )
        is_used = draft[MARGIN_PARAMS][0].cross_weight_ppm == schedule.in_force_ppm
        ensure(is_used, "opposed scenarios have their weight")


def initial_covers_maintenance(draft: Draft, block: BlockContext) -> None:
    """Nothing counts for less in initial margin than in maintenance, so that no account's is less."""
    params, charges = draft[MARGIN_PARAMS][0], draft[CHARGES][0]
    ensure(0 <= params.loss_mm_ppm <= params.loss_im_ppm, "a loss counts initially for no less")
    for initial, maintenance in (
        (charges.short_im, charges.short_mm),
        (charges.basis_im, charges.basis_mm),
        (charges.concentration_im, charges.concentration_mm),
        (charges.confidence_im, (0, 0, 0)),
    ):
        is_covered = all(0 <= less <= more for less, more in zip(maintenance, initial, strict=True))
        ensure(is_covered, "a charge is initially no less")


def indices_equal_primary(draft: Draft, block: BlockContext) -> None:
    """Every index equals one rebuilt from the primary tables."""
    shadow = draft.shadow()
    rebuild(shadow)
    for table in DERIVED:
        ensure(draft[table].as_dict() == shadow[table].as_dict(), f"the index of {table.name} is fresh")
    listing = draft[LISTING].get(0)
    if listing is not None:
        anew = compute_listing(draft[INSTRUMENTS].items())
        is_same = all(np.array_equal(getattr(listing, field), getattr(anew, field)) for field in Listing._fields)
        ensure(is_same, "the listing is that of the instruments")


_SUMS_OF_MATRIX: Final = (
    "marks_atoms",
    "unrealised_atoms",
    "collateral_atoms",
    "short_lots",
    "gross_lots",
    "future_lots",
    "open_lots",
    "maintenance_atoms",
    "need_atoms",
)


def _is_same(kept: AccountRisk, anew: AccountRisk | None) -> bool:
    if anew is None:
        return not (kept.open_lots or any(kept.gross_lots) or kept.collateral_atoms or kept.marks_atoms)
    return (
        np.array_equal(kept.stress, anew.stress)
        and np.array_equal(kept.orders, anew.orders)
        and np.array_equal(kept.quotes, anew.quotes)
        and kept[3:11] == anew[3:11]
    )


SUMS: Final[tuple[tuple[str, Invariant], ...]] = (
    ("CASH_CONSERVED", cash_conserved),
    ("LONGS_EQUAL_SHORTS", longs_equal_shorts),
    ("UNHEALTHY_IS_QUEUED", unhealthy_is_queued),
    ("LIQUIDATIONS_GO_ON", liquidations_go_on),
    ("BOOK_NOT_CROSSED", book_not_crossed),
    ("NONCES_ONLY_GROW", nonces_only_grow),
    ("EXPIRED_IS_EMPTY", expired_is_empty),
    ("FUND_NOT_NEGATIVE", fund_not_negative),
    ("TIME_ONLY_GROWS", time_only_grows),
    ("DUST_ONLY_GROWS", dust_only_grows),
    ("RANGES_IN_BOUNDS", ranges_in_bounds),
    ("INITIAL_COVERS_MAINTENANCE", initial_covers_maintenance),
)
REBUILDS: Final[tuple[tuple[str, Invariant], ...]] = (
    ("CASH_ADDS_UP", cash_adds_up),
    ("POSITIONS_ADD_UP", positions_add_up),
    ("ORDERS_ARE_COUNTED", orders_are_counted),
    ("MARGIN_CACHE_FRESH", margin_cache_fresh),
    ("INDICES_EQUAL_PRIMARY", indices_equal_primary),
)
NAMES: Final = tuple(name for name, _ in (*SUMS, *REBUILDS))
