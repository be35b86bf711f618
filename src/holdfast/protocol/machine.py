"""The exchange's table of contents: `apply_block` is the one door.

A block goes through its phases in the order below. Each command runs in a draft of its own, so that a refusal leaves no
trace but its nonce. Nothing reaches the committed state before `State.commit` takes the sealed draft.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from holdfast.primitives import crypto
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, Malformed, RejectedError
from holdfast.protocol import invariants
from holdfast.protocol.accounts import handlers as accounts
from holdfast.protocol.accounts import messages as account_messages
from holdfast.protocol.accounts.messages import Scope
from holdfast.protocol.accounts.rules import SCOPE_OWNER, check_signer, get_nonce_window
from holdfast.protocol.block import BlockContext
from holdfast.protocol.chain import CHAIN, CLOCK, Clock
from holdfast.protocol.custody import handlers as custody
from holdfast.protocol.custody import messages as custody_messages
from holdfast.protocol.instruments import handlers as instruments
from holdfast.protocol.liquidation import handlers as liquidation
from holdfast.protocol.liquidation import messages as liquidation_messages
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.messages import (
    ENVELOPE_DECODER,
    TX_DECODER,
    Bundle,
    Envelope,
    SignedTx,
    command_domain,
    encode_events,
)
from holdfast.protocol.oracle import handlers as oracle
from holdfast.protocol.oracle.messages import Report, decode_oracle_commit, decode_report
from holdfast.protocol.ranges import handlers as ranges
from holdfast.protocol.rebuild import refresh_columns
from holdfast.protocol.settlement import handlers as settlement
from holdfast.protocol.staking import handlers as staking
from holdfast.protocol.staking.handlers import get_powers
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.rules import get_references_e8
from holdfast.protocol.trading import handlers as trading
from holdfast.protocol.trading.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceOrder,
    SetProtection,
)
from holdfast.state.draft import Draft
from holdfast.state.store import Sealed, State

# Bound once: a look-up of an enumeration's member costs as much as one in a table.
_OK = Code.OK

Events = tuple[Record, ...]


class Block(NamedTuple):
    """A block as the machine takes it: the first transaction is the oracle commit, the rest are signed commands."""

    height: int
    time_ms: int
    proposer_index: int
    txs: tuple[bytes, ...]
    misbehavior: tuple[tuple[int, int], ...] = ()  # (validator index, height of the equivocation)


class Receipt(Record):
    """What one transaction came to."""

    code: Code
    events: Events
    detail: str = ""


class Applied(NamedTuple):
    """A block's effect, not yet committed."""

    sealed: Sealed
    receipts: tuple[Receipt, ...]
    events: Events  # of the block's own phases
    checked: tuple[str, ...]  # the invariants that were checked

    @property
    def app_hash(self) -> bytes:
        """Return the state root after the block."""
        return self.sealed.root


class Admission(Record):
    """An envelope that decoded and whose signature holds, or the code that says why not."""

    envelope: Envelope | None
    code: Code
    detail: str = ""


Admit = Callable[[Sequence[bytes]], list[Admission]]


def apply_block(state: State, block: Block, admit: Admit | None = None, *, rebuilds: bool = True) -> Applied:
    """Apply a block to a state and return its effect; the state itself is untouched until it commits the effect.

    `admit` decodes and authenticates transactions; a caller may pass a cached form of `admit_txs`, whose answers must
    be the same. `rebuilds` also checks the invariants that rebuild what is otherwise kept incrementally.
    """
    before, draft = state.draft(), state.draft()
    clock = draft[CLOCK].get(0)
    ensure(clock is None or clock.time_ms < block.time_ms, "block time strictly increases")
    context = BlockContext(block.height, block.time_ms, 0 if clock is None else clock.time_ms, block.proposer_index)
    admit = admit or make_admit(draft)
    events = _open_block(draft, context, block)
    receipts = [Receipt(_OK, ())]
    receipts += [apply_tx(draft, before, context, admission) for admission in admit(block.txs[1:])]
    events += _close_block(draft, context, block)
    checked = invariants.check(draft, context, rebuilds=rebuilds)
    return Applied(state.seal(draft), tuple(receipts), events, checked)


def _open_block(draft: Draft, context: BlockContext, block: Block) -> Events:
    """Prices in, what is due settled, what is live repriced: before any command of the block."""
    reports, power = read_reports(draft, block), sum(get_powers(draft))
    events = (
        *oracle.apply_reports(draft, context, reports, power),
        *surface.apply_reports(draft, context, reports, power),
    )
    settlement.sample(draft, context)
    events += (
        *settlement.settle_due(draft, context),
        *instruments.list_due(draft, context, get_references_e8(draft)),
        *ranges.follow(draft, context),
        *surface.reprice(draft, context, settlement.get_fixings(draft, context)),
        *settlement.realise_daily(draft, context),
    )
    refresh_columns(draft)
    margin.revalue(draft)
    # Before any command: who is under maintenance at the new marks may not burn what is left with an accomplice.
    events += liquidation.enqueue(draft, context)
    margin.start_day(draft, context)
    trading.open_markets(draft)
    return events


def _close_block(draft: Draft, context: BlockContext, block: Block) -> Events:
    """Liquidate, give out fees, record what is proven against validators."""
    events = liquidation.sweep(draft, context)
    trading.give_out_fees(draft)
    for validator_index, at_height in block.misbehavior:
        events += staking.record_misbehavior(draft, validator_index, at_height, context.height)
    draft[CLOCK].put(0, Clock(context.height, context.time_ms))
    refresh_columns(draft)
    return events


def read_reports(draft: Draft, block: Block) -> list[tuple[int, int, Report]]:
    """Return (validator, power, report) of the oracle commit. A report that does not decode counts as not given."""
    powers = get_powers(draft)
    reports: list[tuple[int, int, Report]] = []
    try:
        commit = decode_oracle_commit(block.txs[0]) if block.txs else None
    except Malformed:
        commit = None
    for vote in commit.votes if commit is not None else ():
        try:
            report = decode_report(vote.extension)
        except Malformed:
            continue
        if vote.validator_index < len(powers):
            reports.append((vote.validator_index, powers[vote.validator_index], report))
    return reports


def make_admit(draft: Draft) -> Admit:
    """Return the admission of this chain's transactions."""
    chain = draft[CHAIN][0]
    domain = command_domain(chain.chain_id, chain.genesis_hash)
    return lambda txs: admit_txs(domain, txs)


def admit_tx(domain: bytes, tx: bytes) -> Admission:
    """Decode a transaction and verify its signature, whatever the state."""
    return admit_txs(domain, (tx,))[0]


def admit_txs(domain: bytes, txs: Sequence[bytes]) -> list[Admission]:
    """Decode transactions and verify their signatures, whatever the state.

    Why: each call into the verifier gives up the interpreter and has to get it back, which may take as long as it does.
    """
    opened = open_txs(txs)
    verdicts = iter(
        crypto.verify_many(
            [
                (admission.envelope.signer, domain + signed.payload, signed.signature)
                for signed, admission in opened
                if signed is not None and admission.envelope is not None
            ]
        )
    )
    return [
        admission if admission.envelope is None or next(verdicts) else Admission(None, Code.BAD_SIGNATURE)
        for _, admission in opened
    ]


def open_txs(txs: Sequence[bytes]) -> list[tuple[SignedTx | None, Admission]]:
    """Decode transactions without asking whose signatures they bear."""
    try:
        signed = TX_DECODER.decode_many(txs)
        envelopes = ENVELOPE_DECODER.decode_many([one.payload for one in signed])
    except Malformed:
        return [_open_tx(tx) for tx in txs]
    return [(one, Admission(envelope, _OK)) for one, envelope in zip(signed, envelopes, strict=True)]


def _open_tx(tx: bytes) -> tuple[SignedTx | None, Admission]:
    try:
        signed = TX_DECODER.decode(tx)
        return signed, Admission(ENVELOPE_DECODER.decode(signed.payload), Code.OK)
    except Malformed as fault:
        return None, Admission(None, Code.BAD_ENCODING, str(fault))


def apply_tx(draft: Draft, before: Draft, context: BlockContext, admission: Admission) -> Receipt:
    """Run one command: its nonce is used up whatever comes of it, all else happens whole or not at all.

    `before` is the state before the block. A signer whose right an earlier command of the block took away still uses up
    its nonce, or the refused command could be played again once the right is given back.
    """
    envelope = admission.envelope
    if envelope is None:
        return Receipt(admission.code, (), admission.detail)
    try:
        authorize(draft, envelope, context.time_ms)
        # The one write of this part comes last, so there is nothing to undo.
        accounts.use_nonce(draft, envelope.account_id, envelope.signer, envelope.nonce)
    except RejectedError as refusal:
        _use_nonce_by_right_before(draft, before, envelope, context.time_ms)
        return Receipt(refusal.code, (), str(refusal))
    mark = draft.mark()
    try:
        events = execute(draft, context, envelope)
    except RejectedError as refusal:
        draft.drop(mark)
        return Receipt(refusal.code, (), str(refusal))
    draft.keep()
    return Receipt(_OK, events)


def _use_nonce_by_right_before(draft: Draft, before: Draft, envelope: Envelope, now_ms: int) -> None:
    """Use up a refused command's nonce if its signer had the right when the block began and the nonce can be used."""
    try:
        authorize(before, envelope, now_ms)
        accounts.use_nonce(draft, envelope.account_id, envelope.signer, envelope.nonce)
    except RejectedError:
        return


def authorize(draft: Draft, envelope: Envelope, now_ms: int) -> None:
    """Check that the signer may give this command for this account.

    A deposit is the custodian's whatever the account. Nobody else's comes as far as a nonce, which would be stored.
    Refuses: NOT_CUSTODIAN, ACCOUNT_UNKNOWN, SIGNER_UNKNOWN, SESSION_EXPIRED, NOT_OWNER, SCOPE_MISSING.
    """
    kind = type(envelope.command)
    if kind is custody_messages.Deposit:
        custody.check_custodian(draft, envelope.signer)
    else:
        check_signer(draft, envelope.account_id, envelope.signer, now_ms, SCOPES[kind])


SCOPES: Final[dict[type[Record], int]] = {
    account_messages.CreateSubaccount: SCOPE_OWNER,
    account_messages.GrantSession: SCOPE_OWNER,
    account_messages.RevokeSession: SCOPE_OWNER,
    account_messages.RotateOwner: SCOPE_OWNER,
    custody_messages.Withdraw: SCOPE_OWNER,
    custody_messages.Transfer: Scope.TRANSFER,
    PlaceOrder: Scope.TRADE,
    AmendOrder: Scope.TRADE,
    CancelOrder: Scope.CANCEL,
    CancelAll: Scope.CANCEL,
    MassQuote: Scope.TRADE,
    SetProtection: Scope.TRADE,
    liquidation_messages.BidAuction: Scope.LIQUIDATE,
    Bundle: Scope.TRADE,
}


_CANCELS: Final = (CancelOrder, CancelAll)


def execute(draft: Draft, context: BlockContext, envelope: Envelope) -> Events:  # noqa: PLR0911 -- one a command
    """Run a command's handler."""
    account_id, command = envelope.account_id, envelope.command
    match command:
        # What comes most often is asked for first.
        case PlaceOrder() | CancelOrder() | MassQuote():
            return _trade(draft, context, account_id, command)
        case account_messages.CreateSubaccount():
            custody.hold_object_deposit(draft, account_id, 1)
            return (accounts.create_subaccount(draft, account_id),)
        case account_messages.GrantSession():
            return _grant_session(draft, context, account_id, command)
        case account_messages.RevokeSession():
            return _revoke_session(draft, account_id, command)
        case account_messages.RotateOwner():
            custody.hold_object_deposit(draft, account_id, 1)
            return (accounts.rotate_owner(draft, account_id, command),)
        case custody_messages.Deposit():
            return custody.deposit(draft, command)
        case custody_messages.Withdraw():
            return custody.withdraw(draft, account_id, command)
        case custody_messages.Transfer():
            return custody.transfer(draft, account_id, command)
        case liquidation_messages.BidAuction():
            return liquidation.bid(draft, account_id, command)
        case SetProtection():
            return trading.set_protection(draft, account_id, command)
        case Bundle():
            return tuple(event for action in command.actions for event in _trade(draft, context, account_id, action))
        case _:
            return _trade(draft, context, account_id, command)


def _trade(draft: Draft, context: BlockContext, account_id: int, action: Record) -> Events:
    match action:
        case PlaceOrder():
            return trading.place_order(draft, context, account_id, action)
        case CancelOrder():
            return trading.cancel_order(draft, account_id, action)
        case MassQuote():
            return trading.mass_quote(draft, context, account_id, action)
        case CancelAll():
            return trading.cancel_all(draft, account_id, action)
        case AmendOrder():
            return trading.amend_order(draft, context, account_id, action)
        case _:
            raise RejectedError(Code.UNSUPPORTED_HERE)


def _grant_session(
    draft: Draft, context: BlockContext, account_id: int, command: account_messages.GrantSession
) -> Events:
    sessions_before = accounts.count_sessions(draft, account_id)
    granted = accounts.grant_session(draft, account_id, command, context.time_ms)
    # A key that has acted before left its deposit with its nonce window.
    if get_nonce_window(draft, account_id, command.key) is None:
        custody.hold_object_deposit(draft, account_id, accounts.count_sessions(draft, account_id) - sessions_before)
    return (granted,)


def _revoke_session(draft: Draft, account_id: int, command: account_messages.RevokeSession) -> Events:
    revoked = accounts.revoke_session(draft, account_id, command)
    # The nonce window of a key that has acted stays for ever, and so does its deposit.
    if get_nonce_window(draft, account_id, command.key) is None:
        custody.hold_object_deposit(draft, account_id, -1)
    return (revoked,)


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the part of a receipt that is hashed beside its code: its events."""
    return encode_events(receipt.events)


def is_cancel(envelope: Envelope) -> bool:
    """Return whether a command belongs to the front of a block."""
    return type(envelope.command) in _CANCELS


def is_ordered(envelopes: Sequence[Envelope]) -> bool:
    """Return whether a block's commands are in its order: cancels first, except behind a command of their signer."""
    seen: dict[bytes, bool] = {}  # who has a command behind the cancels
    for envelope in envelopes:
        if is_cancel(envelope):
            if not seen:
                continue
            if envelope.signer not in seen:
                return False
        seen[envelope.signer] = True
    return True
