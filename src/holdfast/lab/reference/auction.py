"""Selling slices of a portfolio under liquidation, to bidders and to the backstop."""

from typing import Final

from holdfast.lab.reference import accounts, margin, oracle, positions
from holdfast.lab.reference.refusals import RefusedError, refuse_if
from holdfast.lab.reference.rounding import PPM, down, up
from holdfast.lab.reference.valuation import Valuation
from holdfast.lab.reference.world import BACKSTOP, COINS, INSURANCE_FUND, World
from holdfast.primitives.reject import Code
from holdfast.protocol.liquidation.messages import (
    BidAuction,
    CoinsSeized,
    Ended,
    LiquidationEnded,
    SliceSold,
)
from holdfast.protocol.liquidation.state import Stage

_FRACTION_MIN: Final = 10_000
# What the backstop tries to take, largest first.
_BACKSTOP_SHARES: Final = (1_000_000, 750_000, 500_000, 250_000, 125_000, 62_500)


def need_of(world: World, valuation: Valuation, account_id: int) -> margin.Need:
    """Return an account's figures as of now."""
    return margin.need(world, valuation, margin.look(world, valuation, account_id))


def end_if_done(world: World, valuation: Valuation, account_id: int, how: Ended) -> bool:
    """End a liquidation whose account stands at its buffer; return whether it did."""
    need = need_of(world, valuation, account_id)
    if need.equity < up(need.maintenance * world.margin_params[0].buffer_ppm, PPM):
        return False
    del world.liquidations[account_id]
    del world.frozen[account_id]
    world.events.append(LiquidationEnded(account_id, how))
    return True


def is_clock_running(world: World, valuation: Valuation, account_id: int) -> bool:
    """Return whether every price that an account's risk depends on is fresh enough for its auction."""
    account = margin.look(world, valuation, account_id)
    return all(
        oracle.allows(world, universe, oracle.AUCTION)
        for universe in COINS
        if account.exposures[universe].gross or any(account.stress[universe])
    )


def incentive_at(world: World, steps: int) -> int:
    """Return the bidder's share of the slice's maintenance margin after so many live blocks, in millionths."""
    params = world.liquidation_params[0]
    rise = params.incentive_last_ppm - params.incentive_first_ppm
    return params.incentive_first_ppm + down(rise * min(steps, params.auction_steps), params.auction_steps)


def bid(world: World, valuation: Valuation | None, bidder_id: int, command: BidAuction) -> None:
    """Take over a slice of an account's portfolio at the present incentive."""
    margin.check_not_frozen(world, bidder_id)
    seller_id = command.account_id
    auction = world.liquidations.get(seller_id)
    if auction is None or auction.stage == Stage.HEDGE or valuation is None:
        raise RefusedError(Code.AUCTION_UNKNOWN)
    refuse_if(not _FRACTION_MIN <= command.fraction_ppm <= PPM, Code.FRACTION_INVALID)
    main_id, seller_main_id = world.family(accounts_id(world, bidder_id)), world.family(accounts_id(world, seller_id))
    refuse_if(main_id == seller_main_id, Code.BIDDER_IS_SELLER)
    refuse_if(not is_clock_running(world, valuation, seller_id), Code.AUCTION_FROZEN)
    incentive = incentive_at(world, auction.steps)
    refuse_if(incentive < command.incentive_min_ppm, Code.AUCTION_INCENTIVE_LOW)
    was = margin.before(world, valuation, bidder_id)
    sell_slice(world, valuation, seller_id, bidder_id, command.fraction_ppm, incentive, command.incentive_min_ppm)
    margin.check(world, valuation, bidder_id, was)
    end_if_done(world, valuation, seller_id, Ended.AUCTIONED)


def accounts_id(world: World, account_id: int) -> int:
    """Return an account's id, refusing one that does not exist."""
    accounts.get_account(world, account_id)
    return account_id


def sell_to_backstop(world: World, valuation: Valuation, seller_id: int) -> None:
    """Let the backstop take the largest share that its initial margin carries."""
    incentive = world.liquidation_params[0].incentive_last_ppm
    for fraction in _BACKSTOP_SHARES:
        try:
            with world.attempt():
                was = margin.before(world, valuation, BACKSTOP)
                sell_slice(world, valuation, seller_id, BACKSTOP, fraction, incentive, 0)
                margin.check(world, valuation, BACKSTOP, was)
        except RefusedError:
            continue
        return


def sell_slice(
    world: World,
    valuation: Valuation,
    seller_id: int,
    bidder_id: int,
    asked_ppm: int,
    incentive_ppm: int,
    incentive_min_ppm: int,
) -> None:
    """Move a slice of every position and coin at mark, then pay the bidder's incentive and the fund's fee."""
    params = world.liquidation_params[0]
    need = need_of(world, valuation, seller_id)
    fraction = min(asked_ppm, _useful_fraction(world, need, incentive_ppm))
    cash_before = world.cash(bidder_id)
    _move_slice(world, valuation, seller_id, bidder_id, fraction)
    sliced = up(need.maintenance * fraction, PPM)
    incentive = down(sliced * incentive_ppm, PPM)
    equity = max(0, need.equity)
    from_account = min(incentive, equity)
    from_fund = 0
    if equity == 0 and bidder_id != BACKSTOP:
        bound = down(max(0, world.cash(INSURANCE_FUND)) * params.fund_incentive_ppm, PPM)
        from_fund = min(incentive - from_account, bound)
    refuse_if(from_account + from_fund < down(sliced * incentive_min_ppm, PPM), Code.AUCTION_INCENTIVE_LOW)
    fee = min(up(sliced * params.fee_ppm, PPM), equity - from_account)
    world.pay(seller_id, bidder_id, from_account)
    world.pay(INSURANCE_FUND, bidder_id, from_fund)
    world.pay(seller_id, INSURANCE_FUND, fee)
    paid = cash_before - world.cash(bidder_id)
    world.events.append(SliceSold(seller_id, bidder_id, fraction, paid, from_account + from_fund, from_fund))


def _useful_fraction(world: World, need: margin.Need, incentive_ppm: int) -> int:
    """Return the slice after which the account just stands at its buffer: f = (B - E) / (B - cost), at most all."""
    buffer = up(need.maintenance * world.margin_params[0].buffer_ppm, PPM)
    cost = up(need.maintenance * (incentive_ppm + world.liquidation_params[0].fee_ppm), PPM)
    if need.equity <= 0 or cost >= buffer:
        return PPM
    return max(1, min(PPM, up(PPM * (buffer - need.equity), buffer - cost)))


def _move_slice(world: World, valuation: Valuation, seller_id: int, bidder_id: int, fraction_ppm: int) -> None:
    for instrument_id in world.holdings(seller_id):
        held = world.lots(seller_id, instrument_id)
        part = up(abs(held) * fraction_ppm, PPM)
        lots = part if held > 0 else -part
        positions.trade(world, bidder_id, seller_id, instrument_id, lots, lots * valuation.lines[instrument_id].value)
    for asset_id in COINS:
        amount = down(world.balance(seller_id, asset_id) * fraction_ppm, PPM)
        if amount and valuation.prices_e8.get(asset_id, 0):
            value = accounts.sale_value(world, valuation, asset_id, amount)
            world.pay(seller_id, bidder_id, amount, asset_id)
            world.pay(bidder_id, seller_id, value)
            world.events.append(CoinsSeized(seller_id, bidder_id, asset_id, amount, value))
