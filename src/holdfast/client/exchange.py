"""The asynchronous client: everything that the API offers, typed, signed here and never lost."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Final, Self

import msgspec

from holdfast.client import orders
from holdfast.client.amounts import Number, get_asset_id, to_atoms
from holdfast.client.errors import InputError, Unreachable
from holdfast.client.journal import Journal
from holdfast.client.reading import Reader
from holdfast.client.results import TxResult, Updates
from holdfast.client.signing import SigningKey
from holdfast.client.submission import Identity, Submitter, Trust, check_result, parse_hash
from holdfast.client.transport import Transport
from holdfast.client.watching import Notification, watch
from holdfast.protocol.accounts.messages import CreateSubaccount, GrantSession, RevokeSession, RotateOwner
from holdfast.protocol.custody.messages import Transfer, Withdraw
from holdfast.protocol.messages import Action, Bundle, Command
from holdfast.protocol.trading.messages import AmendOrder, SetProtection

DEADLINE_SECONDS: Final = 30.0


class AsyncExchange(Reader):
    """A connection to one node, and the key that acts through it.

    Every command returns a result whose state is `committed` (with its effect) or `pending` (nobody knows by the
    deadline; `resolve` its hash later); it raises `Rejected` where the exchange refused, `Unreachable` or `Stalled`
    where nothing was sent. With a `journal`, each command's bytes are on the disk before they leave, and `recover`
    resolves what an earlier run left open.
    """

    def __init__(
        self,
        url: str,
        *,
        key: SigningKey | None = None,
        account_id: int | None = None,
        trust: Trust | None = None,
        journal: Journal | None = None,
        deadline_s: float = DEADLINE_SECONDS,
    ) -> None:
        """Take an address; nothing is sent yet. Without an account, the main account that the key owns is meant."""
        super().__init__(Transport(url))
        self._key = key
        self._account_id = account_id
        self._deadline_s = deadline_s
        self._submitter = Submitter(self._transport, trust, journal)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def trust(self) -> Trust:
        """Return the chain that is signed for. Refuses: WrongChainError, Unreachable."""
        return await self._submitter.trust()

    async def check_chain(self) -> Trust:
        """Ask the node again which chain it is of. Refuses: WrongChainError where it is another than before."""
        return await self._submitter.trust(is_fresh=True)

    async def identity(self, account_id: int | None = None) -> Identity:
        """Return who acts and for which account. Refuses: InputError, ExchangeError for an owner without an account."""
        if self._key is None:
            raise InputError("this needs a key: give AsyncExchange(..., key=...), or --account on the command line")
        if account_id is None and self._account_id is None:
            self._account_id = (await self.account(owner_key=self._key.public_key.hex())).account_id
        chosen = account_id if account_id is not None else self._account_id
        return Identity(self._key, chosen or 0)

    async def submit(
        self, command: Command, *, account_id: int | None = None, deadline_s: float | None = None
    ) -> TxResult:
        """Sign a command and follow it to its end. Refuses: Rejected, Unreachable, Stalled, WrongChainError."""
        identity = await self.identity(account_id)
        result = await self._submitter.submit(identity, command, deadline_s or self._deadline_s)
        return check_result(result)

    async def resolve(self, tx_hash: str) -> TxResult:
        """Return what became of a submission of any client.

        That is committed or rejected, pending where the node has passed it on, unknown where it has not heard of it.
        """
        return await self._submitter.resolve(parse_hash(tx_hash))

    async def recover(self, *, abandons: bool = True) -> list[TxResult]:
        """Resolve what earlier runs left open in the journal.

        What no block holds by now is abandoned: its nonce goes to a command that does nothing, so that it can never
        come true late. Without `abandons` it stays pending.
        """
        return await self._submitter.recover(self._key if abandons else None, self._deadline_s)

    async def place(
        self,
        instrument_name: str,
        side: str,
        amount: Number,
        price: Number | None = None,
        *,
        time_in_force: str = "",
        post_only: bool = False,
        reduce_only: bool = False,
        self_trade: str = "cancel-resting",
        client_id: int = 0,
        account_id: int | None = None,
        deadline_s: float | None = None,
    ) -> TxResult:
        """Buy or sell an amount of coin at a price in USDC, or at the market without one.

        Refuses: InputError for numbers off the instrument's grid, and what `submit` refuses.
        """
        command = orders.make_order(
            await self.instrument(instrument_name),
            side,
            amount,
            price,
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
            self_trade=self_trade,
            client_id=client_id,
        )
        return await self.submit(command, account_id=account_id, deadline_s=deadline_s)

    async def make_amendment(
        self, order_id: int | str, amount: Number | None = None, price: Number | None = None
    ) -> AmendOrder:
        """Return the command that changes an open order; what is not given stays. Refuses: InputError."""
        if amount is None and price is None:
            raise InputError("nothing to change; give --amount, --price or both")
        order = await self.order(order_id)
        instrument = await self.instrument(order.instrument_name)
        return AmendOrder(
            orders.parse_order_id(order_id),
            orders.to_ticks(instrument, (order.price or 0) if price is None else price, "price"),
            orders.to_lots(instrument, order.amount - order.filled_amount if amount is None else amount, "amount"),
        )

    async def amend(
        self,
        order_id: int | str,
        amount: Number | None = None,
        price: Number | None = None,
        *,
        account_id: int | None = None,
        deadline_s: float | None = None,
    ) -> TxResult:
        """Change an order's price, or the amount that is left to fill. Refuses: what `submit` refuses, InputError."""
        command = await self.make_amendment(order_id, amount, price)
        return await self.submit(command, account_id=account_id, deadline_s=deadline_s)

    async def cancel(
        self, order_id: int | str, *, account_id: int | None = None, deadline_s: float | None = None
    ) -> TxResult:
        """Take an order back. Refuses: what `submit` refuses."""
        command = orders.make_cancel(order_id)
        return await self.submit(command, account_id=account_id, deadline_s=deadline_s)

    async def cancel_all(
        self, instrument_name: str | None = None, *, account_id: int | None = None, deadline_s: float | None = None
    ) -> TxResult:
        """Take all orders back, or those of one instrument. Refuses: what `submit` refuses."""
        command = orders.make_cancel_all(None if instrument_name is None else await self.instrument(instrument_name))
        return await self.submit(command, account_id=account_id, deadline_s=deadline_s)

    async def mass_quote(
        self,
        quotes: Mapping[str, tuple[orders.Sides, orders.Sides]],
        *,
        account_id: int | None = None,
        deadline_s: float | None = None,
    ) -> TxResult:
        """Put quotes in the place of the account's own: name -> (bid, ask), each (price, amount) or None.

        Refuses: InputError, and what `submit` refuses.
        """
        command = orders.make_quotes([(await self.instrument(name), *sides) for name, sides in quotes.items()])
        return await self.submit(command, account_id=account_id, deadline_s=deadline_s)

    async def set_protection(
        self, underlying: str, limit_lots: int, window_ms: int, *, account_id: int | None = None
    ) -> TxResult:
        """Bound how many lots of quotes may fill within a window; quotes need it. Refuses: what `submit` refuses."""
        return await self.submit(SetProtection(get_asset_id(underlying), limit_lots, window_ms), account_id=account_id)

    async def bundle(self, actions: Sequence[Action], *, account_id: int | None = None) -> TxResult:
        """Let several actions take effect all or none. Refuses: what `submit` refuses."""
        return await self.submit(Bundle(tuple(actions)), account_id=account_id)

    async def deposit(self, owner_key: str, amount: Number, asset: str = "USDC") -> TxResult:
        """Take money from a devnet's faucet; the first deposit opens the owner's account. Refuses: Rejected."""
        _, atoms = to_atoms(amount, asset)
        wait_ms = max(1, min(60_000, int(1_000 * self._deadline_s)))
        params = {"owner_key": owner_key, "asset": asset.upper(), "amount_atoms": atoms, "timeout_ms": wait_ms}
        await self.trust()
        try:
            answer = await self._transport.call("dev/deposit", params, TxResult, timeout_s=self._deadline_s + 3)
        except Unreachable as error:
            raise Unreachable(f"{error}; whether the deposit was taken is not known: look at the balance") from None
        return check_result(answer.result)

    async def withdraw(self, amount: Number, asset: str = "USDC", *, account_id: int | None = None) -> TxResult:
        """Take money out of the exchange. Refuses: what `submit` refuses."""
        return await self.submit(Withdraw(*to_atoms(amount, asset)), account_id=account_id)

    async def transfer(
        self, to_account_id: int, amount: Number, asset: str = "USDC", *, account_id: int | None = None
    ) -> TxResult:
        """Move money to another account of the same owner. Refuses: what `submit` refuses."""
        return await self.submit(Transfer(to_account_id, *to_atoms(amount, asset)), account_id=account_id)

    async def create_subaccount(self, *, account_id: int | None = None) -> TxResult:
        """Open a subaccount. Refuses: what `submit` refuses."""
        return await self.submit(CreateSubaccount(), account_id=account_id)

    async def grant_session(
        self, session_key: str, scopes: str, expires_ms: int, *, account_id: int | None = None
    ) -> TxResult:
        """Let another key act within scopes such as `trade,cancel` until a time. Refuses: what `submit` refuses."""
        command = GrantSession(orders.parse_key(session_key), orders.parse_scopes(scopes), expires_ms)
        return await self.submit(command, account_id=account_id)

    async def revoke_session(self, session_key: str, *, account_id: int | None = None) -> TxResult:
        """Take a session key's rights back. Refuses: what `submit` refuses."""
        return await self.submit(RevokeSession(orders.parse_key(session_key)), account_id=account_id)

    async def rotate(self, new_key: str, *, account_id: int | None = None) -> TxResult:
        """Put another owner key in the place of the signing one. Refuses: what `submit` refuses."""
        return await self.submit(RotateOwner(orders.parse_key(new_key)), account_id=account_id)

    def watch(self, channels: Iterable[str]) -> AsyncGenerator[Notification, None]:
        """Follow channels such as `book.NAME.100ms`, `blocks` or `account.1000`, across lost connections."""
        return watch(self, self._transport, tuple(channels))

    async def fill(self, channel: str, wanted: range) -> list[tuple[int, object]]:
        """Return what a channel said under these of its numbers, as far as the node still has it."""
        kind, subject = channel.split(".", maxsplit=1)[0], channel.rsplit(".", maxsplit=1)[-1]
        if kind == "blocks":
            return [(height, show_block(await self.block(height))) for height in wanted]
        if kind == "account":
            params = {"account_id": int(subject), "from_seq": wanted[0], "count": len(wanted)}
            answer = await self._transport.call("public/get_account_events", params, Updates)
            return [(one.seq, msgspec.to_builtins(one)) for one in answer.result.updates if one.seq in wanted]
        instrument_name = channel.split(".")[1]
        trades = await self.trades(instrument_name, min(1_000, len(wanted) + 100))
        return [(one.trade_seq, [msgspec.to_builtins(one)]) for one in reversed(trades) if one.trade_seq in wanted]


def show_block(block: Mapping[str, object]) -> dict[str, object]:
    """Return a block as the channel of blocks tells it."""
    return {
        "height": block.get("block_height"),
        "time_ms": block.get("time_ms"),
        "app_hash": block.get("block_app_hash"),
        "transactions": block.get("transactions"),
    }
