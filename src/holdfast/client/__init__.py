"""What a trader needs: keys, signatures, commands, and a client that loses nothing.

    from holdfast.client import Exchange, demo_key

    with Exchange("http://127.0.0.1:8080", key=demo_key("demo-1")) as exchange:
        result = exchange.place("BTC_USDC-27MAR26", "buy", "0.1", 100_000)
        print(result.state, result.height, result.app_hash)

`AsyncExchange` is the same for programs with an event loop. What is named here is imported when it is first used, so
that those who only sign commands need nothing of the network.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.client.blocking import Exchange
    from holdfast.client.demo import demo_key
    from holdfast.client.errors import ClientError, ExchangeError, InputError, Rejected, Stalled, Unreachable
    from holdfast.client.exchange import AsyncExchange
    from holdfast.client.journal import Journal
    from holdfast.client.keystore import Keystore
    from holdfast.client.signing import SigningKey
    from holdfast.client.submission import Trust

__all__ = (
    "AsyncExchange",
    "ClientError",
    "Exchange",
    "ExchangeError",
    "InputError",
    "Journal",
    "Keystore",
    "Rejected",
    "SigningKey",
    "Stalled",
    "Trust",
    "Unreachable",
    "demo_key",
)

_PLACES: Final = {
    "AsyncExchange": "exchange",
    "Exchange": "blocking",
    "Journal": "journal",
    "Keystore": "keystore",
    "SigningKey": "signing",
    "Trust": "submission",
    "demo_key": "demo",
}


def __getattr__(name: str) -> object:
    """Return a public name, importing its module."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found: object = getattr(import_module(f"{__name__}.{_PLACES.get(name, 'errors')}"), name)
    return found
