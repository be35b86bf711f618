"""Pure arithmetic of auctions and of sharing out."""

from holdfast.primitives.check import ensure
from holdfast.primitives.reject import Code, RejectedError
from holdfast.primitives.units import PPM, div_ceil, div_floor
from holdfast.protocol.liquidation.params import LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS, Liquidation, Stage
from holdfast.protocol.margin.params import SPOT_BUCKETS, UNIVERSES, VOL_COLUMNS
from holdfast.protocol.margin.state import AccountRisk, Requirement
from holdfast.protocol.oracle.rules import Action, is_action_allowed
from holdfast.protocol.surface.state import RiskLine
from holdfast.state.draft import Draft

FRACTION_PPM_MIN = 10_000
# The rows one spot bucket up and down at unchanged volatility: their difference measures delta.
ROW_UP = (div_floor(SPOT_BUCKETS, 2) + 1) * VOL_COLUMNS + 1
ROW_DOWN = (div_floor(SPOT_BUCKETS, 2) - 1) * VOL_COLUMNS + 1


def get_auction(draft: Draft, account_id: int) -> Liquidation:
    """Return a running auction. Refuses: AUCTION_UNKNOWN, AUCTION_FROZEN while a price that it needs is stale."""
    liquidation = draft[LIQUIDATIONS].get(account_id)
    if liquidation is None or liquidation.stage == Stage.HEDGE:
        raise RejectedError(Code.AUCTION_UNKNOWN, account_id=account_id)
    return liquidation


def is_clock_running(draft: Draft, risk: AccountRisk) -> bool:
    """Return whether every price that an account's risk depends on is fresh enough for its auction to move."""
    return all(
        is_action_allowed(draft, underlying, Action.AUCTION)
        for index, underlying in enumerate(UNIVERSES)
        if risk.gross_lots[index] or risk.stress[index].any()
    )


def compute_incentive_ppm(params: LiquidationParams, steps: int) -> int:
    """Return the bidder's share of the slice's maintenance margin after some live blocks. Rounds: down."""
    done = min(steps, params.auction_steps)
    return params.incentive_first_ppm + div_floor(
        (params.incentive_last_ppm - params.incentive_first_ppm) * done, params.auction_steps
    )


def compute_fraction_max_ppm(params: LiquidationParams, buffer_ppm: int, need: Requirement, incentive_ppm: int) -> int:
    """Return the largest slice worth selling: after it the account just stands at its buffer. Rounds: up.

    A slice f costs f x (incentive + fee) of equity and frees f of the requirement: f = (B - E) / (B - cost).
    """
    buffer = div_ceil(need.maintenance_atoms * buffer_ppm, PPM)
    cost = div_ceil(need.maintenance_atoms * (incentive_ppm + params.fee_ppm), PPM)
    if need.equity_atoms <= 0 or cost >= buffer:
        return PPM
    return max(1, min(PPM, div_ceil(PPM * (buffer - need.equity_atoms), buffer - cost)))


def compute_slice_lots(lots: int, fraction_ppm: int) -> int:
    """Return a slice of a position. Rounds: away from zero, to whole lots."""
    part = div_ceil(abs(lots) * fraction_ppm, PPM)
    return part if lots > 0 else -part


def compute_hedge_lots(risk: AccountRisk, universe: int, line: RiskLine) -> int:
    """Return the lots of a future that would bring an account's delta nearest to zero. Rounds: toward zero."""
    delta = int(risk.stress[universe][ROW_UP] - risk.stress[universe][ROW_DOWN])
    per_lot = int(line.row[ROW_UP] - line.row[ROW_DOWN])
    if per_lot <= 0:
        return 0
    lots = div_floor(abs(delta), per_lot)
    return -lots if delta > 0 else lots


def share_out(amount: int, weights: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Share an amount over (id, weight) pairs in proportion, to the unit, by largest remainder; ties to the lower id.

    No share exceeds its weight when the amount does not exceed their sum. Pairs with no share are left out.
    """
    total = sum(weight for _, weight in weights)
    ensure(0 <= amount <= total, "a share-out gives no more than there is")
    if amount == 0:
        return []
    shares = {key: div_floor(amount * weight, total) for key, weight in weights}
    left = amount - sum(share for _, share in sorted(shares.items()))
    by_remainder = sorted(weights, key=lambda pair: (shares[pair[0]] * total - amount * pair[1], pair[0]))
    for key, weight in by_remainder:
        if left and shares[key] < weight:
            shares[key] += 1
            left -= 1
    ensure(left == 0, "a share-out leaves nothing over")
    return [(key, shares[key]) for key, _ in weights if shares[key]]
