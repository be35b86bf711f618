"""What crosses the exchange's edge: signed commands in, events out.

A transaction is a payload and the signer's signature over (domain, payload). The domain binds the chain and its
genesis, so that a command can never be replayed on another chain or as another kind of message.
"""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives import codec, crypto
from holdfast.primitives.codec import Record
from holdfast.protocol.accounts import messages as accounts
from holdfast.protocol.custody import messages as custody
from holdfast.protocol.instruments import messages as instruments
from holdfast.protocol.limits import (
    ACTIONS_PER_BUNDLE_MAX,
    COMMAND_DEPTH_MAX,
    COMMAND_ITEMS_MAX,
    TX_BYTES_MAX,
    U64,
    Key32,
)
from holdfast.protocol.liquidation import messages as liquidation
from holdfast.protocol.oracle import messages as oracle
from holdfast.protocol.ranges import messages as ranges
from holdfast.protocol.settlement import messages as settlement
from holdfast.protocol.staking import messages as staking
from holdfast.protocol.surface import messages as surface
from holdfast.protocol.trading import messages as trading

MAGIC: Final = b"holdfast"
COMMAND_VERSION: Final = 1

# What a bundle may hold: trading alone, so that all or none of it is a question of one account's margin.
Action = trading.PlaceOrder | trading.AmendOrder | trading.CancelOrder | trading.CancelAll | trading.MassQuote


class Bundle(Record, tag=60):
    """Actions of which all take effect or none does, judged in order."""

    actions: Annotated[tuple[Action, ...], Meta(min_length=1, max_length=ACTIONS_PER_BUNDLE_MAX)]


Command = (
    accounts.CreateSubaccount
    | accounts.GrantSession
    | accounts.RevokeSession
    | accounts.RotateOwner
    | custody.Deposit
    | custody.Withdraw
    | custody.Transfer
    | trading.PlaceOrder
    | trading.AmendOrder
    | trading.CancelOrder
    | trading.CancelAll
    | trading.MassQuote
    | trading.SetProtection
    | liquidation.BidAuction
    | Bundle
)


class Envelope(Record):
    """A command, and who gives it for which account; the nonce is used up by its inclusion in a block."""

    account_id: U64
    signer: Key32
    nonce: U64
    command: Command


class SignedTx(Record):
    """A transaction as it travels."""

    payload: bytes
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Domain(Record):
    """What a signature is bound to besides its message."""

    kind: str
    version: U64
    chain_id: str
    genesis_hash: Key32


# As many items as bytes, for its form alone bounds them: what is no longer than both is decoded many at once.
TX_DECODER: Final = codec.Decoder(SignedTx, max_bytes=TX_BYTES_MAX, max_depth=2, max_items=TX_BYTES_MAX)
ENVELOPE_DECODER: Final = codec.Decoder(
    Envelope, max_bytes=TX_BYTES_MAX, max_depth=COMMAND_DEPTH_MAX, max_items=COMMAND_ITEMS_MAX
)


def command_domain(chain_id: str, genesis_hash: bytes) -> bytes:
    """Return the 32 bytes that come before a command's payload in what is signed."""
    return crypto.sha256(MAGIC + codec.encode(Domain("command", COMMAND_VERSION, chain_id, genesis_hash)))


# Every event, by its tag: what a decided block's results and events decode to.
Event = (
    accounts.AccountOpened
    | accounts.SessionGranted
    | accounts.SessionRevoked
    | accounts.OwnerRotated
    | custody.Deposited
    | custody.Withdrawn
    | custody.Transferred
    | trading.OrderPlaced
    | trading.OrderAmended
    | trading.OrderCancelled
    | trading.Traded
    | trading.Quoted
    | trading.ProtectionSet
    | trading.ProtectionTriggered
    | staking.MisbehaviorRecorded
    | liquidation.LiquidationStarted
    | liquidation.LiquidationHedged
    | liquidation.AuctionStarted
    | liquidation.SliceSold
    | liquidation.ClosedAtMark
    | liquidation.DeficitCovered
    | liquidation.Haircut
    | liquidation.LiquidationEnded
    | liquidation.CoinsSeized
    | liquidation.FundDebtChanged
    | oracle.FeedUpdated
    | oracle.FeedStatusChanged
    | surface.SurfaceUpdated
    | instruments.InstrumentListed
    | instruments.InstrumentRetired
    | instruments.InstrumentHalted
    | instruments.InstrumentResumed
    | settlement.SettlementPriceFixed
    | settlement.PositionSettled
    | settlement.InstrumentSettled
    | settlement.FutureRealised
    | ranges.RangeAnnounced
    | ranges.RangeChanged
    | ranges.CrossWeightAnnounced
    | ranges.CrossWeightChanged
    | ranges.ChargeScaleChanged
)


class BlockEvents(Record):
    """What a block did, for people: its own phases' events, and each transaction's."""

    block: tuple[Event, ...]
    txs: tuple[tuple[Event, ...], ...]


EVENTS_BYTES_MAX: Final = 256 * 1024 * 1024
EVENTS_ITEMS_MAX: Final = 2**26
# Of one transaction, as its result carries them.
EVENTS_DECODER: Final[codec.Decoder[tuple[Event, ...]]] = codec.Decoder(
    tuple[Event, ...], max_bytes=EVENTS_BYTES_MAX, max_depth=4, max_items=EVENTS_ITEMS_MAX
)
# Of a whole block.
BLOCK_EVENTS_DECODER: Final = codec.Decoder(
    BlockEvents, max_bytes=EVENTS_BYTES_MAX, max_depth=6, max_items=EVENTS_ITEMS_MAX
)


def encode_events(events: tuple[Record, ...]) -> bytes:
    """Return events as bytes, each with its tag."""
    return codec.encode(events)
