"""The connection itself: signs of life, and channels."""

from typing import Final

from holdfast.gateway import params
from holdfast.gateway.api import Call, Method, Session, act
from holdfast.gateway.errors import ApiCode, ApiError
from holdfast.gateway.objects import Shown

# What Deribit answers; clients compare it with what they were written for.
API_VERSION: Final = "1.2.26"


async def test(_call: Call, _given: params.Nothing) -> Shown:
    """Answer, as a sign of life."""
    return {"version": API_VERSION}


async def hello(_call: Call, _given: params.Hello) -> Shown:
    """Greet."""
    return {"version": API_VERSION}


async def get_time(call: Call, _given: params.Nothing) -> int:
    """Return this exchange's time in milliseconds."""
    return call.api.backend.now_ms()


def _session(call: Call) -> Session:
    session = call.caller.session
    if session is None:
        words = "this method needs a WebSocket; connect to /ws/api/v2"
        raise ApiError(ApiCode.BAD_REQUEST, "WEBSOCKET_NEEDED", words)
    return session


async def subscribe(call: Call, given: params.Subscribe) -> list[str]:
    """Follow channels; those that there are not are left out of the answer."""
    return _session(call).subscribe(given.channels)


async def unsubscribe(call: Call, given: params.Subscribe) -> list[str]:
    """Follow channels no more."""
    return _session(call).unsubscribe(given.channels)


async def unsubscribe_all(call: Call, _given: params.Nothing) -> str:
    """Follow no channel any more."""
    _session(call).unsubscribe_all()
    return "ok"


async def set_heartbeat(call: Call, given: params.Heartbeat) -> str:
    """Ask for a sign of life so often."""
    _session(call).set_heartbeat(given.interval)
    return "ok"


async def disable_heartbeat(call: Call, _given: params.Nothing) -> str:
    """Ask for no more signs of life."""
    _session(call).set_heartbeat(0)
    return "ok"


METHODS: Final[tuple[Method, ...]] = (
    act("public/test", params.Nothing, test),
    act("public/hello", params.Hello, hello),
    act("public/get_time", params.Nothing, get_time),
    act("public/subscribe", params.Subscribe, subscribe),
    act("public/unsubscribe", params.Subscribe, unsubscribe),
    act("public/unsubscribe_all", params.Nothing, unsubscribe_all),
    act("public/set_heartbeat", params.Heartbeat, set_heartbeat),
    act("public/disable_heartbeat", params.Nothing, disable_heartbeat),
)
