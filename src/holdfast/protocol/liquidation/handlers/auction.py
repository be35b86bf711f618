"""Selling slices of an account's portfolio."""

from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import PPM, div_ceil, div_floor, share_ceil, share_floor
from holdfast.protocol.accounts.rules import get_main_id
from holdfast.protocol.accounts.state import BACKSTOP, INSURANCE_FUND
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.collateral.rules import compute_sale_atoms
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.liquidation import rules
from holdfast.protocol.liquidation.handlers.ending import end_if_done
from holdfast.protocol.liquidation.messages import BidAuction, CoinsSeized, Ended, SliceSold
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.margin.rules import check_not_frozen
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.state.draft import Draft

# Shares that the backstop tries, largest first: what it cannot carry whole it may carry in part.
_BACKSTOP_TRIES = (1_000_000, 750_000, 500_000, 250_000, 125_000, 62_500)


def bid(draft: Draft, bidder_id: int, command: BidAuction) -> tuple[Record, ...]:
    """Take over a slice of an account's portfolio at the present incentive.

    What is asked beyond the largest useful slice is not sold. Refuses: ACCOUNT_IN_LIQUIDATION, AUCTION_UNKNOWN,
    AUCTION_FROZEN, FRACTION_INVALID, BIDDER_IS_SELLER, AUCTION_INCENTIVE_LOW, and what margin refuses the bidder.
    """
    check_not_frozen(draft, bidder_id)
    seller_id = command.account_id
    auction = rules.get_auction(draft, seller_id)
    if not rules.FRACTION_PPM_MIN <= command.fraction_ppm <= PPM:
        raise RejectedError(Code.FRACTION_INVALID, fraction_ppm=command.fraction_ppm)
    if get_main_id(draft, bidder_id) == get_main_id(draft, seller_id):
        raise RejectedError(Code.BIDDER_IS_SELLER, account_id=seller_id)
    if not rules.is_clock_running(draft, margin.get_risk(draft, seller_id)):
        raise RejectedError(Code.AUCTION_FROZEN, account_id=seller_id)
    incentive = rules.compute_incentive_ppm(draft[LIQUIDATION_PARAMS][0], auction.steps)
    if incentive < command.incentive_min_ppm:
        raise RejectedError(Code.AUCTION_INCENTIVE_LOW, incentive_ppm=incentive)
    before = margin.remember(draft, bidder_id)
    events = sell_slice(draft, seller_id, bidder_id, command.fraction_ppm, incentive, command.incentive_min_ppm)
    margin.check_initial(draft, bidder_id, before)
    return (*events, *end_if_done(draft, seller_id, Ended.AUCTIONED))


def sell_to_backstop(draft: Draft, seller_id: int) -> tuple[Record, ...]:
    """Let the backstop account take as much of an unsold portfolio as its own initial margin carries."""
    incentive = draft[LIQUIDATION_PARAMS][0].incentive_last_ppm
    for fraction in _BACKSTOP_TRIES:
        before = margin.remember(draft, BACKSTOP)
        mark = draft.mark()
        try:
            events = sell_slice(draft, seller_id, BACKSTOP, fraction, incentive, 0)
            margin.check_initial(draft, BACKSTOP, before)
        except RejectedError:
            draft.drop(mark)
            continue
        draft.keep()
        return events
    return ()


def sell_slice(
    draft: Draft, seller_id: int, bidder_id: int, fraction_ppm: int, incentive_ppm: int, incentive_min_ppm: int
) -> tuple[Record, ...]:
    """Move a slice of every position and coin at mark, then pay the bidder's incentive and the fund's fee.

    The account pays both out of what equity it has. Where it has none left, the fund pays a bidder's incentive within
    its cap; the backstop is the exchange's own and takes nothing from the fund.
    Refuses: AUCTION_INCENTIVE_LOW where that comes to less than the bidder asked for; POSITIONS_FULL.
    """
    params = draft[LIQUIDATION_PARAMS][0]
    need = margin.get_requirement(draft, seller_id)
    useful = rules.compute_fraction_max_ppm(params, draft[MARGIN_PARAMS][0].buffer_ppm, need, incentive_ppm)
    fraction = min(fraction_ppm, useful)
    cash_before = ledger.get_cash(draft, bidder_id)
    events = _move_slice(draft, seller_id, bidder_id, fraction)
    sliced = div_ceil(need.maintenance_atoms * fraction, PPM)
    incentive = share_floor(sliced, incentive_ppm)
    equity = max(0, need.equity_atoms)
    from_account = min(incentive, equity)
    is_helped = equity == 0 and bidder_id != BACKSTOP
    fund = max(0, ledger.get_cash(draft, INSURANCE_FUND)) if is_helped else 0
    from_fund = min(incentive - from_account, share_floor(fund, params.fund_incentive_ppm))
    if from_account + from_fund < share_floor(sliced, incentive_min_ppm):
        raise RejectedError(Code.AUCTION_INCENTIVE_LOW, incentive_atoms=from_account + from_fund)
    fee = min(share_ceil(sliced, params.fee_ppm), equity - from_account)
    ledger.move(draft, seller_id, bidder_id, USDC, from_account)
    ledger.move(draft, INSURANCE_FUND, bidder_id, USDC, from_fund)
    ledger.move(draft, seller_id, INSURANCE_FUND, USDC, fee)
    paid = cash_before - ledger.get_cash(draft, bidder_id)
    sold = SliceSold(seller_id, bidder_id, fraction, paid, from_account + from_fund, from_fund)
    return (*events, sold)


def _move_slice(draft: Draft, seller_id: int, bidder_id: int, fraction_ppm: int) -> tuple[Record, ...]:
    array = draft[RISK_ARRAY][0]
    for instrument_id in portfolio.get_holdings(draft, seller_id):
        line = array.lines[instrument_id]
        lots = rules.compute_slice_lots(portfolio.get_lots(draft, seller_id, instrument_id), fraction_ppm)
        value = lots * line.value_atoms
        margin.change_position(draft, seller_id, instrument_id, -lots, -value)
        margin.change_position(draft, bidder_id, instrument_id, lots, value)
        if not line.is_future:
            ledger.move(draft, bidder_id, seller_id, USDC, value)
    events: list[Record] = []
    for asset_id in COINS:
        amount = div_floor(ledger.get_balance(draft, seller_id, asset_id) * fraction_ppm, PPM)
        price = array.prices_e8.get(asset_id, 0)
        if amount and price:
            value = compute_sale_atoms(draft[COLLATERAL][asset_id], asset_id, amount, price)
            ledger.move(draft, seller_id, bidder_id, asset_id, amount)
            ledger.move(draft, bidder_id, seller_id, USDC, value)
            events.append(CoinsSeized(seller_id, bidder_id, asset_id, amount, value))
    if events:
        margin.refresh_collateral(draft, seller_id)
        margin.refresh_collateral(draft, bidder_id)
    return tuple(events)
