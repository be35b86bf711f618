"""The reference exchange: genesis, then block after block, phase by phase."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from holdfast.lab.reference import (
    accounts,
    auction,
    averages,
    fields,
    liquidation,
    listing,
    margin,
    oracle,
    orders,
    ranges,
    settlement,
    surface,
    trading,
)
from holdfast.lab.reference.genesis import build
from holdfast.lab.reference.refusals import NotCoveredError, RefusedError, refuse_if
from holdfast.lab.reference.reports import read_reports
from holdfast.lab.reference.tree import compute_root
from holdfast.lab.reference.valuation import Valuation, reprice, value
from holdfast.lab.reference.world import World
from holdfast.primitives import codec, crypto
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Code, Malformed
from holdfast.protocol.accounts import messages as account_messages
from holdfast.protocol.accounts.messages import Scope
from holdfast.protocol.chain import Clock
from holdfast.protocol.custody import messages as custody_messages
from holdfast.protocol.liquidation import messages as liquidation_messages
from holdfast.protocol.margin.state import DayStart
from holdfast.protocol.messages import (
    COMMAND_VERSION,
    ENVELOPE_DECODER,
    MAGIC,
    TX_DECODER,
    Bundle,
    Domain,
    Envelope,
)
from holdfast.protocol.trading import messages as trading_messages

_DAY_MS: Final = 86_400_000
_EIGHT_HOURS_MS: Final = 8 * 3_600_000

# What a session must be allowed to, to give a command; everything else is the owner's alone.
_SCOPES: Final[dict[type[Record], int]] = {
    custody_messages.Transfer: Scope.TRANSFER,
    trading_messages.PlaceOrder: Scope.TRADE,
    trading_messages.AmendOrder: Scope.TRADE,
    trading_messages.CancelOrder: Scope.CANCEL,
    trading_messages.CancelAll: Scope.CANCEL,
    trading_messages.MassQuote: Scope.TRADE,
    trading_messages.SetProtection: Scope.TRADE,
    liquidation_messages.BidAuction: Scope.LIQUIDATE,
    Bundle: Scope.TRADE,
    account_messages.CreateSubaccount: accounts.OWNER_ONLY,
    account_messages.GrantSession: accounts.OWNER_ONLY,
    account_messages.RevokeSession: accounts.OWNER_ONLY,
    account_messages.RotateOwner: accounts.OWNER_ONLY,
    custody_messages.Withdraw: accounts.OWNER_ONLY,
}


class Result(NamedTuple):
    """What one transaction came to."""

    code: int
    events: tuple[Record, ...]

    @property
    def data(self) -> bytes:
        """Return the part that is hashed beside the code."""
        return codec.encode(self.events)


class ReferenceExchange:
    """The exchange from genesis on, by the rules alone."""

    def __init__(self, genesis_bytes: bytes) -> None:
        """Build the first state. Raises NotCoveredError for what this engine has no rule for."""
        fields.check_known()
        world = World()
        build(world, genesis_bytes)
        self._adopt(world)

    @classmethod
    def resume(cls, rows: Iterable[tuple[bytes, bytes]]) -> "ReferenceExchange":
        """Begin at a state that is given, row by row."""
        fields.check_known()
        engine = cls.__new__(cls)
        world = World()
        world.load(rows)
        engine._adopt(world)  # noqa: SLF001 -- its own
        return engine

    def _adopt(self, world: World) -> None:
        world.events = []
        self.world = world
        chain = world.chain[0]
        domain = Domain("command", COMMAND_VERSION, chain.chain_id, chain.genesis_hash)
        self._domain = crypto.sha256(MAGIC + codec.encode(domain))
        self._valuation: Valuation | None = None

    def apply(
        self,
        height: int,
        time_ms: int,
        txs: Sequence[bytes],
        misbehavior: Sequence[tuple[int, int]] = (),
    ) -> list[Result]:
        """Apply a decided block; return what each of its transactions came to."""
        world = self.world
        ensure(time_ms > world.clock[0].time_ms, "block time strictly increases")
        world.height, world.now_ms = height, time_ms
        before = World()
        before.restore(world.copy())
        before.now_ms = time_ms
        self._open(txs)
        results = [Result(Code.OK, ()), *(self._run(before, tx) for tx in txs[1:])]
        world.events = []
        liquidation.sweep(world, self._valuation)
        trading.give_out_fees(world)
        for validator, at_height in misbehavior:
            if validator in world.validators:
                world.misbehaviors.setdefault((validator, at_height), height)
        world.clock[0] = Clock(height, time_ms)
        return results[: max(1, len(txs))]

    def rows(self) -> dict[bytes, bytes]:
        """Return every row of the root as bytes."""
        return self.world.rows()

    def root(self) -> bytes:
        """Return the state root, hashed from all rows."""
        return compute_root(self.rows())

    def _open(self, txs: Sequence[bytes]) -> None:
        """Everything that comes before a block's commands."""
        world = self.world
        powers = [world.validators[index].power for index in sorted(world.validators)]
        reports = read_reports(txs, powers)
        oracle.apply_reports(world, reports, sum(powers))
        surface.apply_reports(world, reports, sum(powers))
        averages.sample(world)
        settlement.settle_due(world)
        listing.list_due(world)
        ranges.step(world)
        reprice(world)
        self._valuation = value(world)
        settlement.realise_daily(world, self._valuation)
        held = margin.sort_positions(world)
        equities = {
            account_id: margin.look(
                world, self._valuation, account_id, held.get(account_id, []), with_orders=False
            ).equity
            for account_id in liquidation.list_accounts(world)
        }
        liquidation.enqueue(world, self._valuation)
        self._start_day(equities)

    def _start_day(self, equities: dict[int, int]) -> None:
        """At the first block from 08:00 UTC on, note every equity; while a liquidation is open, a day later."""
        world = self.world
        day, last = (world.now_ms - _EIGHT_HOURS_MS) // _DAY_MS, world.day.get(0, 0)
        if self._valuation is None or last >= day or (last == day - 1 and world.frozen):
            return
        world.day[0] = day
        world.day_starts = {
            account_id: DayStart(equity, 0, bool(world.holdings(account_id))) for account_id, equity in equities.items()
        }

    def _run(self, before: World, tx: bytes) -> Result:
        """Run one transaction: its nonce is used up whatever comes of it, all else happens whole or not at all."""
        world = self.world
        world.events = []
        try:
            signed = TX_DECODER.decode(tx)
            envelope = ENVELOPE_DECODER.decode(signed.payload)
        except Malformed:
            return Result(Code.BAD_ENCODING, ())
        if not crypto.verify(envelope.signer, self._domain + signed.payload, signed.signature):
            return Result(Code.BAD_SIGNATURE, ())
        refused = _refusal_of_signer(world, envelope)
        # Who has lost the right in this very block still uses up the nonce.
        if refused is None or _refusal_of_signer(before, envelope) is None:
            try:
                accounts.use_nonce(world, envelope.account_id, envelope.signer, envelope.nonce)
            except RefusedError as refusal:
                refused = refused or refusal
        if refused is not None:
            return Result(refused.code, ())
        try:
            with world.attempt():
                self._execute(envelope.account_id, envelope.command)
        except RefusedError as refusal:
            return Result(refusal.code, ())
        return Result(Code.OK, tuple(world.events))

    def _execute(self, account_id: int, command: Record) -> None:
        world, valuation = self.world, self._valuation
        match command:
            case account_messages.CreateSubaccount():
                accounts.create_subaccount(world, valuation, account_id)
            case account_messages.GrantSession():
                accounts.grant_session(world, valuation, account_id, command)
            case account_messages.RevokeSession():
                accounts.revoke_session(world, valuation, account_id, command)
            case account_messages.RotateOwner():
                accounts.rotate_owner(world, valuation, account_id, command)
            case custody_messages.Deposit():
                accounts.deposit(world, valuation, command)
            case custody_messages.Withdraw():
                accounts.withdraw(world, valuation, account_id, command)
            case custody_messages.Transfer():
                accounts.transfer(world, valuation, account_id, command)
            case liquidation_messages.BidAuction():
                auction.bid(world, valuation, account_id, command)
            case trading_messages.SetProtection():
                orders.set_protection(world, valuation, account_id, command)
            case Bundle():
                for action in command.actions:
                    self._trade(account_id, action)
            case _:
                self._trade(account_id, command)

    def _trade(self, account_id: int, command: Record) -> None:
        world, valuation = self.world, self._valuation
        match command:
            case trading_messages.PlaceOrder():
                orders.place(world, valuation, account_id, command)
            case trading_messages.AmendOrder():
                orders.amend(world, valuation, account_id, command)
            case trading_messages.CancelOrder():
                orders.cancel_one(world, account_id, command)
            case trading_messages.CancelAll():
                orders.cancel_all(world, account_id, command)
            case trading_messages.MassQuote():
                orders.mass_quote(world, valuation, account_id, command)
            case _:
                raise NotCoveredError(f"command {type(command).__name__}")


def _refusal_of_signer(world: World, envelope: Envelope) -> RefusedError | None:
    """Return why a signer may not give a command, if it may not. A deposit is the custodian's, whatever the account."""
    command = envelope.command
    try:
        if isinstance(command, custody_messages.Deposit):
            refuse_if(envelope.signer != world.custody_params[0].custodian_key, Code.NOT_CUSTODIAN)
            return None
        if type(command) not in _SCOPES:
            raise NotCoveredError(f"command {type(command).__name__}")
        accounts.check_signer(world, envelope.account_id, envelope.signer, _SCOPES[type(command)])
    except RefusedError as refusal:
        return refusal
    return None
