"""What settlement has done; every movement of cash is one of these events."""

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64, Amount


class SettlementPriceFixed(Record, tag=165):
    """An expiry has its price, for good: the average of so many good minutes."""

    underlying: U64
    expiry_ms: U64
    price_e8: U64
    minutes: U64


class PositionSettled(Record, tag=166):
    """A position is gone: its account was paid `amount_atoms` by the clearing pot, then charged the delivery fee."""

    instrument_id: U64
    account_id: U64
    lots: Amount
    amount_atoms: Amount
    insurance_fee_atoms: U64
    treasury_fee_atoms: U64


class InstrumentSettled(Record, tag=167):
    """The last position of an instrument is settled and its clearing pot is empty; one lot was worth `payoff_atoms`."""

    instrument_id: U64
    price_e8: U64
    payoff_atoms: U64


class FutureRealised(Record, tag=168):
    """A future's profit or loss so far was paid by the clearing pot; the position's cost is its mark value now."""

    instrument_id: U64
    account_id: U64
    amount_atoms: Amount
