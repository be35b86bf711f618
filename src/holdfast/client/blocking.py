"""The same client for programs without an event loop: each call waits for its answer."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Concatenate, ParamSpec, Self, TypeVar

from holdfast.client.exchange import DEADLINE_SECONDS, AsyncExchange
from holdfast.client.journal import Journal
from holdfast.client.signing import SigningKey
from holdfast.client.submission import Trust
from holdfast.client.watching import Notification

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncExchange, P], Coroutine[object, object, T]],
) -> Callable[Concatenate["Exchange", P], T]:
    """Return a method that runs an asynchronous one to its end."""

    def call(self: "Exchange", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(method(self.inner, *args, **kwargs))

    call.__doc__ = method.__doc__
    call.__name__ = getattr(method, "__name__", "call")
    return call


class Exchange:
    """`AsyncExchange` with a thread of its own for the event loop; every method waits. Safe to use from any thread."""

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
        self.inner = AsyncExchange(
            url, key=key, account_id=account_id, trust=trust, journal=journal, deadline_s=deadline_s
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="holdfast client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run something of the asynchronous client to its end."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # An interrupt ends the waiting; what was sent stays in the journal.
            future.cancel()
            raise

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections and end the thread."""
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self._loop.is_running():
            self.run(self.inner.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def watch(self, channels: Iterable[str]) -> Iterator[Notification]:
        """Follow channels such as `book.NAME.100ms`, `blocks` or `account.1000`, across lost connections."""
        stream = self.inner.watch(channels)
        try:
            while True:
                yield self.run(_next(stream))
        finally:
            if self._loop.is_running():
                self.run(_close(stream))

    trust = _blocking(AsyncExchange.trust)
    identity = _blocking(AsyncExchange.identity)
    status = _blocking(AsyncExchange.status)
    instruments = _blocking(AsyncExchange.instruments)
    instrument = _blocking(AsyncExchange.instrument)
    ticker = _blocking(AsyncExchange.ticker)
    book = _blocking(AsyncExchange.book)
    summaries = _blocking(AsyncExchange.summaries)
    trades = _blocking(AsyncExchange.trades)
    account = _blocking(AsyncExchange.account)
    next_nonce = _blocking(AsyncExchange.next_nonce)
    positions = _blocking(AsyncExchange.positions)
    margin = _blocking(AsyncExchange.margin)
    margin_ranges = _blocking(AsyncExchange.margin_ranges)
    orders = _blocking(AsyncExchange.orders)
    order = _blocking(AsyncExchange.order)
    user_trades = _blocking(AsyncExchange.user_trades)
    validators = _blocking(AsyncExchange.validators)
    block = _blocking(AsyncExchange.block)
    proof = _blocking(AsyncExchange.proof)
    genesis = _blocking(AsyncExchange.genesis)
    submit = _blocking(AsyncExchange.submit)
    resolve = _blocking(AsyncExchange.resolve)
    recover = _blocking(AsyncExchange.recover)
    place = _blocking(AsyncExchange.place)
    make_amendment = _blocking(AsyncExchange.make_amendment)
    amend = _blocking(AsyncExchange.amend)
    cancel = _blocking(AsyncExchange.cancel)
    cancel_all = _blocking(AsyncExchange.cancel_all)
    mass_quote = _blocking(AsyncExchange.mass_quote)
    set_protection = _blocking(AsyncExchange.set_protection)
    bundle = _blocking(AsyncExchange.bundle)
    deposit = _blocking(AsyncExchange.deposit)
    withdraw = _blocking(AsyncExchange.withdraw)
    transfer = _blocking(AsyncExchange.transfer)
    create_subaccount = _blocking(AsyncExchange.create_subaccount)
    grant_session = _blocking(AsyncExchange.grant_session)
    revoke_session = _blocking(AsyncExchange.revoke_session)
    rotate = _blocking(AsyncExchange.rotate)


async def _next(stream: AsyncIterator[T]) -> T:
    return await anext(stream)


async def _close(stream: AsyncGenerator[Notification, None]) -> None:
    await stream.aclose()
