"""Closing what nobody took: positions at mark, coins for the debt, and the debt to who bears it."""

from typing import Final

from holdfast.lab.reference import accounts, auction, margin, positions
from holdfast.lab.reference.rounding import PPM, down, up
from holdfast.lab.reference.valuation import Valuation
from holdfast.lab.reference.world import COINS, FUND_DEBT, INSURANCE_FUND, World
from holdfast.primitives.check import ensure
from holdfast.protocol.liquidation.messages import (
    ClosedAtMark,
    CoinsSeized,
    DeficitCovered,
    Ended,
    FundDebtChanged,
    Haircut,
    LiquidationEnded,
)
from holdfast.protocol.liquidation.state import Socialised

Shares = list[tuple[int, int]]

_USD: Final = 10**6
_TAKERS_MAX: Final = 64


def repay(world: World) -> None:
    """Let the fund pay what it owes, at most the share of its cash that one deficit may have."""
    debt = -world.cash(FUND_DEBT)
    paid = min(debt, down(world.cash(INSURANCE_FUND) * world.liquidation_params[0].fund_cap_ppm, PPM))
    if paid > 0:
        world.pay(INSURANCE_FUND, FUND_DEBT, paid)
        world.events.append(FundDebtChanged(INSURANCE_FUND, -paid, debt - paid))


def close(world: World, valuation: Valuation, account_id: int) -> None:
    """Close an account's positions and place its debt whole: its liquidation is over, whoever could pay."""
    met = {account_id}
    for instrument_id in world.holdings(account_id):
        met |= _close_at_mark(world, valuation, account_id, instrument_id)
    _sell_for_the_funds_cash(world, valuation, account_id)
    _cover_deficit(world, valuation, account_id, met)
    # Who still has a profit of today comes first, then what other equity holders of positions have.
    layers = _list_winners(world, valuation, account_id, met) if world.cash(account_id) < 0 else ()
    for asset_id in COINS:
        for layer in layers:
            _share_coins(world, valuation, account_id, asset_id, layer)
    _leave_to_the_fund(world, valuation, account_id)
    del world.liquidations[account_id]
    del world.frozen[account_id]
    world.events.append(LiquidationEnded(account_id, Ended.CLOSED))


def _close_at_mark(world: World, valuation: Valuation, account_id: int, instrument_id: int) -> set[int]:
    """Close a position against the other side, pro rata; return the accounts that it was closed against."""
    lots = world.lots(account_id, instrument_id)
    others = [
        (holder_id, abs(world.lots(holder_id, instrument_id)))
        for holder_id in world.holders(instrument_id)
        if (world.lots(holder_id, instrument_id) > 0) != (lots > 0)
    ]
    sign = 1 if lots > 0 else -1
    world.events.append(ClosedAtMark(account_id, instrument_id, lots))
    shares = share_out(abs(lots), others)
    for holder_id, share in shares:
        moved = sign * share
        value = moved * valuation.lines[instrument_id].value
        positions.trade(world, holder_id, account_id, instrument_id, moved, value)
        world.events.append(ClosedAtMark(holder_id, instrument_id, -moved))
    return {holder_id for holder_id, _ in shares}


def _for_the_debt(world: World, valuation: Valuation, account_id: int, asset_id: int) -> tuple[int, int]:
    """Return how many coins an account's debt takes, at most all, and what all of them would be sold for."""
    owed, amount = max(0, -world.cash(account_id)), world.balance(account_id, asset_id)
    worth = accounts.sale_value(world, valuation, asset_id, amount)
    if owed == 0 or worth == 0:
        return 0, worth
    return min(amount, up(amount * owed, worth)), worth


def _sell_for_the_funds_cash(world: World, valuation: Valuation, account_id: int) -> None:
    for asset_id in COINS:
        coins, worth = _for_the_debt(world, valuation, account_id, asset_id)
        if coins:
            payable = down(world.balance(account_id, asset_id) * max(0, world.cash(INSURANCE_FUND)), worth)
            _sell(world, valuation, account_id, asset_id, min(coins, payable), INSURANCE_FUND)


def _leave_to_the_fund(world: World, valuation: Valuation, account_id: int) -> None:
    """Give the fund what is left: the coins that the debt takes, and the debt, which it owes from then on."""
    was = -world.cash(FUND_DEBT)
    for asset_id in COINS:
        coins, _ = _for_the_debt(world, valuation, account_id, asset_id)
        _sell(world, valuation, account_id, asset_id, coins, FUND_DEBT)
    if world.cash(account_id) < 0:
        world.pay(FUND_DEBT, account_id, -world.cash(account_id))
    debt = -world.cash(FUND_DEBT)
    if debt != was:
        world.events.append(FundDebtChanged(account_id, debt - was, debt))


def _sell(world: World, valuation: Valuation, account_id: int, asset_id: int, coins: int, payer_id: int) -> None:
    """Sell coins to the fund at their worth after haircut."""
    value = accounts.sale_value(world, valuation, asset_id, coins)
    if value:
        world.pay(account_id, INSURANCE_FUND, coins, asset_id)
        world.pay(payer_id, account_id, value)
        world.events.append(CoinsSeized(account_id, INSURANCE_FUND, asset_id, coins, value))


def _share_coins(world: World, valuation: Valuation, account_id: int, asset_id: int, layer: Shares) -> None:
    """Share out the coins that the debt takes, in proportion to what each bears and can pay.

    Nobody pays more than the coins' worth, nor more than they add to what it is worth itself.
    """
    coins, worth = _for_the_debt(world, valuation, account_id, asset_id)
    if coins == 0:
        return
    amount = world.balance(account_id, asset_id)
    # The greatest first, and among equals the oldest account; as many as a block has time for.
    asked = sorted((-most, taker_id) for taker_id, most in layer if world.cash(taker_id) > 0)[:_TAKERS_MAX]
    limits = [
        (taker_id, down(amount * min(-most, worth, _can_pay(world, valuation, taker_id, asset_id)), worth))
        for most, taker_id in asked
    ]
    limits = [limit for limit in limits if limit[1] > 0]
    for taker_id, part in share_out(min(coins, sum(limit for _, limit in limits)), limits):
        was = _counted(world, valuation, taker_id, asset_id)
        world.pay(account_id, taker_id, part, asset_id)
        more = _counted(world, valuation, taker_id, asset_id) - was
        price = min(more, accounts.sale_value(world, valuation, asset_id, part))
        world.pay(taker_id, account_id, price)
        world.events.append(CoinsSeized(account_id, taker_id, asset_id, part, price))


def _can_pay(world: World, valuation: Valuation, taker_id: int, asset_id: int) -> int:
    """Return the cash that an account has beyond its initial margin, for coins that still count for it."""
    asset = world.collateral[asset_id]
    need = auction.need_of(world, valuation, taker_id)
    fully = down(asset.account_cap_usd * _USD * (PPM - asset.haircut_ppm), PPM)
    uncounted = fully - _counted(world, valuation, taker_id, asset_id)
    return max(0, min(world.cash(taker_id), need.equity - need.initial, uncounted))


def _counted(world: World, valuation: Valuation, account_id: int, asset_id: int) -> int:
    return margin.coin_value(world, valuation, asset_id, world.balance(account_id, asset_id))


def _cover_deficit(world: World, valuation: Valuation, account_id: int, met: set[int]) -> None:
    """Pay what an account owes beyond its coins: the fund first, then the day's winners, then who holds positions."""
    worth = sum(accounts.sale_value(world, valuation, one, world.balance(account_id, one)) for one in COINS)
    deficit = -world.cash(account_id) - worth
    if deficit <= 0:
        return
    cap_ppm = world.liquidation_params[0].fund_cap_ppm
    from_fund = min(deficit, down(max(0, world.cash(INSURANCE_FUND)) * cap_ppm, PPM))
    world.pay(INSURANCE_FUND, account_id, from_fund)
    missing = deficit - from_fund
    taken = []
    for weights in _list_winners(world, valuation, account_id, met):
        part = min(missing, sum(weight for _, weight in weights))
        for holder_id, share in share_out(part, weights):
            world.pay(holder_id, account_id, share)
            taken.append(Haircut(holder_id, share))
        missing -= part
    haircut = deficit - from_fund - missing
    if haircut:
        kept = world.socialised.get(0, Socialised(0, 0))
        world.socialised[0] = Socialised(kept.atoms + haircut, kept.times + 1)
    world.events += [DeficitCovered(account_id, from_fund, haircut), *taken]


def _list_winners(world: World, valuation: Valuation, account_id: int, met: set[int]) -> tuple[Shares, Shares]:
    """Return the day's profits, then what further equity holders of positions have; nobody frozen bears anything."""
    profits, equities = [], []
    for holder_id, day in sorted(world.day_starts.items()):
        if not day.has_held or holder_id == account_id or holder_id in world.frozen:
            continue
        equity = margin.look(world, valuation, holder_id).equity
        profit = margin.day_profit(world, holder_id, equity)
        if profit:
            profits.append((holder_id, profit))
        if equity > profit and (holder_id in met or world.holdings(holder_id)):
            equities.append((holder_id, equity - profit))
    return profits, equities


def share_out(amount: int, weights: Shares) -> Shares:
    """Share an amount in proportion to weights, by largest remainder, ties to the lower id; no share of nothing."""
    total = sum(weight for _, weight in weights)
    ensure(0 <= amount <= total, "a share-out gives no more than there is")
    if amount == 0:
        return []
    shares = {key: down(amount * weight, total) for key, weight in weights}
    left = amount - sum(shares.values())
    by_remainder = sorted(weights, key=lambda pair: (-(amount * pair[1] % total), pair[0]))
    for key, _ in by_remainder[:left]:
        shares[key] += 1
    return [(key, shares[key]) for key, _ in weights if shares[key]]
