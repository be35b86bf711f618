"""The one command of bidders, and what happens to an account under maintenance."""

from enum import IntEnum

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Amount


class Ended(IntEnum):
    """How a liquidation ended."""

    HEALTHY = 0  # cured by a deposit, the market, or the hedge
    AUCTIONED = 1
    BACKSTOPPED = 2
    CLOSED = 3


class BidAuction(Record, tag=40):
    """Take a share of an account's portfolio at the auction's present incentive, if that is at least the one named."""

    account_id: U64
    fraction_ppm: U64
    incentive_min_ppm: U64


class LiquidationStarted(Record, tag=140):
    """An account is under maintenance; its orders are gone and it may not trade."""

    account_id: U64
    equity_atoms: Amount
    maintenance_atoms: Amount


class LiquidationHedged(Record, tag=141):
    """The engine traded a future for the account to bring its delta down."""

    account_id: U64
    instrument_id: U64
    lots: Amount


class AuctionStarted(Record, tag=142):
    """An account's portfolio is on offer, slice by slice."""

    account_id: U64


class SliceSold(Record, tag=143):
    """A bidder, or the backstop, took over a slice."""

    account_id: U64
    bidder_id: U64
    fraction_ppm: U64
    paid_atoms: Amount  # by the bidder to the account; negative where the bidder is paid
    incentive_atoms: U64
    from_fund_atoms: U64


class ClosedAtMark(Record, tag=144):
    """A position was closed at mark against the other side."""

    account_id: U64
    instrument_id: U64
    lots: Amount


class DeficitCovered(Record, tag=145):
    """A deficit was paid: by the fund, and by a haircut on winners."""

    account_id: U64
    fund_atoms: U64
    haircut_atoms: U64


class Haircut(Record, tag=146):
    """A winner gave up part of its profit."""

    account_id: U64
    amount_atoms: U64


class LiquidationEnded(Record, tag=147):
    """An account's liquidation is over."""

    account_id: U64
    how: U64


class CoinsSeized(Record, tag=148):
    """Coins of an account went to a bidder, the fund, or who would bear its loss, at their worth after haircut."""

    account_id: U64
    to_account_id: U64
    asset_id: U64
    amount_atoms: U64
    paid_atoms: U64


class FundDebtChanged(Record, tag=149):
    """What the fund owes grew by what nobody could bear of an account, or fell by what the fund itself paid."""

    account_id: U64
    change_atoms: Amount
    debt_atoms: U64
