"""Who takes the coins of a closed account that owes cash: the fund, then those who would bear its loss.

Every buyer pays their worth after haircut, and never more than they add to its own equity.
"""

from typing import NamedTuple

from holdfast.primitives.codec import Record
from holdfast.primitives.units import PPM, USDC_ATOMS, div_ceil, div_floor, share_floor
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.collateral.params import COINS, COLLATERAL, CollateralAsset
from holdfast.protocol.collateral.rules import compute_sale_atoms, compute_value_atoms
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.limits import COIN_TAKERS_MAX
from holdfast.protocol.liquidation import rules
from holdfast.protocol.liquidation.messages import CoinsSeized
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.state.draft import Draft

Weights = list[tuple[int, int]]


class _Offer(NamedTuple):
    """An account's coins of one asset, and how many of them clear its debt."""

    asset: CollateralAsset
    asset_id: int
    price_e8: int
    amount_atoms: int
    worth_atoms: int  # in USDC, of all of them, after haircut
    wanted_atoms: int


def compute_worth_atoms(draft: Draft, account_id: int) -> int:
    """Return what all coins of an account would be sold for, in USDC atoms."""
    prices = draft[RISK_ARRAY][0].prices_e8
    return sum(
        compute_sale_atoms(
            draft[COLLATERAL][asset_id],
            asset_id,
            ledger.get_balance(draft, account_id, asset_id),
            prices.get(asset_id, 0),
        )
        for asset_id in COINS
    )


def sell_to_fund(draft: Draft, account_id: int, payer_id: int) -> tuple[Record, ...]:
    """Sell coins to the fund as far as the account owes: for the fund's cash as far as that goes, or on credit.

    Rounds: up to the coin's atom, so that the debt is cleared; what is paid is their worth.
    """
    events: list[Record] = []
    for asset_id in COINS:
        offer = _find_offer(draft, account_id, asset_id)
        if offer is None:
            continue
        sold = offer.wanted_atoms
        if payer_id == INSURANCE_FUND:
            cash = max(0, ledger.get_cash(draft, INSURANCE_FUND))
            sold = min(sold, div_floor(offer.amount_atoms * cash, offer.worth_atoms))
        value = compute_sale_atoms(offer.asset, asset_id, sold, offer.price_e8)
        if value:
            ledger.move(draft, account_id, INSURANCE_FUND, asset_id, sold)
            ledger.move(draft, payer_id, account_id, USDC, value)
            events.append(CoinsSeized(account_id, INSURANCE_FUND, asset_id, sold, value))
    if events:
        margin.refresh_collateral(draft, account_id)
    return tuple(events)


def hand_over(draft: Draft, account_id: int, layers: tuple[Weights, ...]) -> tuple[Record, ...]:
    """Hand the coins that the account's debt needs to those who would bear its loss, for cash that they can spare.

    `layers` are (account, most in USDC atoms): the next is asked for what the last could not take.
    """
    events: list[Record] = []
    for asset_id in COINS:
        for layer in layers:
            offer = _find_offer(draft, account_id, asset_id)
            if offer is not None:
                events.extend(_share_offer(draft, account_id, offer, layer))
    if events:
        margin.refresh_collateral(draft, account_id)
    return tuple(events)


def _share_offer(draft: Draft, account_id: int, offer: _Offer, layer: Weights) -> list[Record]:
    """Share what is wanted of an offer over a layer, pro rata by largest remainder. Rounds: for the takers.

    Why not over all of it: each taker's margin is summed. Of those with cash the ones who would bear most are asked.
    """
    takers: Weights = []
    payers = [pair for pair in layer if ledger.get_cash(draft, pair[0]) > 0]
    for taker_id, most in sorted(payers, key=lambda pair: (-pair[1], pair[0]))[:COIN_TAKERS_MAX]:
        spare = min(most, offer.worth_atoms, _compute_spare_atoms(draft, taker_id, offer))
        coins = div_floor(offer.amount_atoms * spare, offer.worth_atoms)
        if coins:
            takers.append((taker_id, coins))
    events: list[Record] = []
    given = min(offer.wanted_atoms, sum(coins for _, coins in takers))
    for taker_id, coins in rules.share_out(given, takers):
        before = _compute_counted_atoms(draft, taker_id, offer)
        ledger.move(draft, account_id, taker_id, offer.asset_id, coins)
        gained = _compute_counted_atoms(draft, taker_id, offer) - before
        paid = min(gained, compute_sale_atoms(offer.asset, offer.asset_id, coins, offer.price_e8))
        ledger.move(draft, taker_id, account_id, USDC, paid)
        margin.refresh_collateral(draft, taker_id)
        events.append(CoinsSeized(account_id, taker_id, offer.asset_id, coins, paid))
    return events


def _compute_spare_atoms(draft: Draft, taker_id: int, offer: _Offer) -> int:
    """Return the cash that a taker can pay: no debt, no shortfall of initial margin, no coins beyond its cap."""
    need = margin.get_requirement(draft, taker_id)
    most = share_floor(offer.asset.account_cap_usd * USDC_ATOMS, PPM - offer.asset.haircut_ppm)
    room = most - _compute_counted_atoms(draft, taker_id, offer)
    return max(0, min(ledger.get_cash(draft, taker_id), need.equity_atoms - need.initial_atoms, room))


def _compute_counted_atoms(draft: Draft, account_id: int, offer: _Offer) -> int:
    held = ledger.get_balance(draft, account_id, offer.asset_id)
    return compute_value_atoms(offer.asset, offer.asset_id, held, offer.price_e8)


def _find_offer(draft: Draft, account_id: int, asset_id: int) -> _Offer | None:
    """Return what an account can sell of an asset against its debt; None where it owes nothing or has no such worth."""
    owed = -ledger.get_cash(draft, account_id)
    amount = ledger.get_balance(draft, account_id, asset_id)
    asset, price = draft[COLLATERAL][asset_id], draft[RISK_ARRAY][0].prices_e8.get(asset_id, 0)
    worth = compute_sale_atoms(asset, asset_id, amount, price)
    if owed <= 0 or worth <= 0:
        return None
    wanted = amount if worth <= owed else div_ceil(amount * owed, worth)
    return _Offer(asset, asset_id, price, amount, worth, wanted)
