"""Reading: the public state, typed. What is asked for by a wrong name ends in one line that says so."""

import difflib
from typing import TypeVar

import msgspec

from holdfast.client.errors import InputError
from holdfast.client.orders import parse_order_id
from holdfast.client.results import (
    Account,
    Book,
    Instrument,
    Margin,
    MarginRange,
    Nonce,
    Order,
    Position,
    Result,
    Rows,
    Status,
    Summary,
    Ticker,
    Trade,
    Trades,
    Validator,
)
from holdfast.client.transport import Answer, Transport

T = TypeVar("T")
R = TypeVar("R", bound=Result)

CURRENCIES = ("BTC", "ETH")
Json = dict[str, object]


class Reader:
    """Questions about the committed state of one node. Every one may end in Unreachable or ExchangeError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._instruments: dict[str, Instrument] = {}

    @property
    def url(self) -> str:
        """Return the node's address."""
        return self._transport.url

    async def ask(self, method: str, type_: type[T], **params: object) -> Answer[T]:
        """Ask any method; parameters that are None are left out."""
        return await self._transport.call(method, params, type_)

    async def status(self) -> Status:
        """Return which chain this is and where it stands."""
        return await self._get("public/status", Status)

    async def instruments(self, currency: str | None = None, kind: str | None = None) -> Rows[Instrument]:
        """Return what is listed: of one underlying, of one kind (`option`, `future`), or all."""
        rows = await self._list("public/get_instruments", list[Instrument], currency=currency, kind=kind)
        self._instruments.update((row.instrument_name, row) for row in rows)
        return rows

    async def instrument(self, name: str) -> Instrument:
        """Return one instrument by its name. Refuses: InputError, naming those that are close."""
        wanted = name.upper()
        if wanted not in self._instruments:
            await self.instruments()
        if wanted not in self._instruments:
            close = difflib.get_close_matches(wanted, self._instruments, n=3, cutoff=0.5)
            mend = f"did you mean {', '.join(close)}?" if close else "list them with: holdfast query chain"
            raise InputError(f"no instrument {name!r} is listed; {mend}")
        return self._instruments[wanted]

    async def ticker(self, instrument_name: str) -> Ticker:
        """Return an instrument's prices."""
        return await self._get("public/ticker", Ticker, instrument_name=instrument_name)

    async def book(self, instrument_name: str, depth: int = 10) -> Book:
        """Return an instrument's order book."""
        return await self._get("public/get_order_book", Book, instrument_name=instrument_name, depth=depth)

    async def summaries(self, currency: str, kind: str | None = None) -> Rows[Summary]:
        """Return one line an instrument of an underlying."""
        return await self._list("public/get_book_summary_by_currency", list[Summary], currency=currency, kind=kind)

    async def trades(self, instrument_name: str, count: int = 20) -> Rows[Trade]:
        """Return an instrument's last trades, the newest first."""
        method = "public/get_last_trades_by_instrument"
        answer = await self.ask(method, Trades, instrument_name=instrument_name, count=count)
        return Rows(answer.result.trades, answer.height, answer.app_hash)

    async def account(self, account_id: int | None = None, *, owner_key: str | None = None) -> Account:
        """Return an account by its id, or the main account of an owner key."""
        return await self._get("public/get_account", Account, account_id=account_id, owner_key=owner_key)

    async def next_nonce(self, account_id: int, signer: str) -> int:
        """Return the next free nonce of a key for an account."""
        answer = await self.ask("public/get_nonce", Nonce, account_id=account_id, signer=signer)
        return answer.result.next_nonce

    async def positions(self, account_id: int) -> Rows[Position]:
        """Return an account's positions."""
        return await self._list("public/get_positions", list[Position], account_id=account_id)

    async def margin(self, account_id: int) -> Margin:
        """Return an account's equity and margin."""
        return await self._get("public/get_margin", Margin, account_id=account_id)

    async def margin_ranges(self) -> Rows[MarginRange]:
        """Return how far each underlying's price is assumed to move."""
        return await self._list("public/get_margin_ranges", list[MarginRange])

    async def orders(self, account_id: int) -> Rows[Order]:
        """Return an account's open orders."""
        return await self._list("public/get_open_orders", list[Order], account_id=account_id)

    async def order(self, order_id: int | str) -> Order:
        """Return an order, open or not."""
        answer = await self.ask("public/get_order_state", Order, order_id=str(parse_order_id(order_id)))
        return answer.result

    async def user_trades(self, account_id: int, count: int = 20) -> Rows[Trade]:
        """Return an account's own last trades, the newest first."""
        answer = await self.ask("public/get_user_trades", Trades, account_id=account_id, count=count)
        return Rows(answer.result.trades, answer.height, answer.app_hash)

    async def validators(self) -> Rows[Validator]:
        """Return the validators as the node sees them."""
        return await self._list("public/get_validators", list[Validator])

    async def block(self, height: int | None = None) -> Json:
        """Return a block by its height, or the last one."""
        return (await self.ask("public/get_block", Json, height=height)).result

    async def proof(self, table: str | None = None, key: str | None = None, path: str | None = None) -> Json:
        """Return a proof's file: of a row by its table and key, or of a path in hex."""
        return (await self.ask("public/get_proof", Json, table=table, key=key, path=path)).result

    async def genesis(self) -> Json:
        """Return the genesis."""
        return (await self.ask("public/get_genesis", Json)).result

    async def _get(self, method: str, type_: type[R], **params: object) -> R:
        answer = await self.ask(method, type_, **params)
        if answer.result.height or not answer.height:
            return answer.result
        return msgspec.structs.replace(answer.result, height=answer.height, app_hash=answer.app_hash)

    async def _list(self, method: str, type_: type[list[T]], **params: object) -> Rows[T]:
        answer = await self.ask(method, type_, **params)
        return Rows(answer.result, answer.height, answer.app_hash)
