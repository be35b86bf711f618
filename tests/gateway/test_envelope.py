"""Requests from bytes: bounds, names, ids, and what nonsense comes to."""

import asyncio
import contextlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway import envelope
from holdfast.gateway.api import Caller
from holdfast.gateway.dispatch import Dispatcher
from holdfast.gateway.errors import ApiCode, ApiError
from holdfast.gateway.methods import METHODS
from tests.support.gateway import open_market, served

REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"public/test","params":{}}'
CODES = frozenset(int(code) for code in ApiCode)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "JSON_INVALID"),
        (b"{", "JSON_INVALID"),
        (b"nonsense", "JSON_INVALID"),
        (b"\xff\xfe", "JSON_INVALID"),
        (b'{"a":NaN}', "JSON_INVALID"),
        (b'{"a":Infinity}', "JSON_INVALID"),
        (b'{"a":1e5' + b"0" * 60 + b"}", "TOO_MANY_DIGITS"),
        (b"[" * 33 + b"]" * 33, "TOO_COMPLEX"),
        (b"[" + b"1," * 5_000 + b"1]", "TOO_COMPLEX"),
        (b"{" + b",".join(b'"k%d":1' % index for index in range(257)) + b"}", "TOO_COMPLEX"),
        (b'{"method":"public/test","method":"dev/heal"}', "NAME_TWICE"),
        (b'{"params":{"tx":"00","tx":"01"},"method":"public/submit"}', "NAME_TWICE"),
        (b'{"m\\u0065thod":"public/test"}', "JSON_INVALID"),
        (b'"' + b"x" * 70_000 + b'"', "TOO_LARGE"),
        (b"[]", "BATCH_SIZE"),
        (b"[" + b",".join([REQUEST] * 51) + b"]", "BATCH_SIZE"),
        (b"7", "NOT_AN_OBJECT"),
        (b"null", "NOT_AN_OBJECT"),
        (b'"public/test"', "NOT_AN_OBJECT"),
        (b"{}", "REQUEST_INVALID"),
        (b'{"method":7}', "REQUEST_INVALID"),
        (b'{"method":"public/test","id":1.5}', "ID_INVALID"),
        (b'{"method":"public/test","id":[1]}', "ID_INVALID"),
        (b'{"method":"public/test","id":"' + b"x" * 200 + b'"}', "ID_INVALID"),
        (b'{"method":"public/nothing"}', "METHOD_NOT_FOUND"),
        (b'{"method":"public/test","params":[1]}', "PARAMS_INVALID"),
        (b'{"method":"public/test","params":"x"}', "PARAMS_INVALID"),
        (b'{"method":"public/ticker","params":{}}', "PARAM_INVALID"),
        (b'{"method":"public/ticker","params":{"instrument_name":"\\ud800"}}', "JSON_INVALID"),
        (b'{"method":"public/ticker","params":{"instrument_name":"x\\u0000"}}', "PARAM_INVALID"),
        (b'{"method":"public/ticker","params":{"instrument_name":null}}', "PARAM_INVALID"),
        (b'{"method":"public/ticker","params":{"instrument_name":"nope"}}', "NOT_FOUND"),
        (b'{"method":"public/get_order_book","params":{"instrument_name":"x","depth":0}}', "PARAM_INVALID"),
        (b'{"method":"public/get_order_book","params":{"instrument_name":"x","depth":1e400}}', "PARAM_INVALID"),
        (b'{"method":"public/get_account","params":{"account_id":9223372036854775808}}', "PARAM_INVALID"),
        (b'{"method":"public/get_account","params":{"account_id":-1}}', "PARAM_INVALID"),
        (b'{"method":"public/get_account","params":{"account_id":5}}', "NOT_FOUND"),
        (b'{"method":"public/get_account","params":{"acount_id":5}}', "PARAM_INVALID"),
        (b'{"method":"public/get_account","params":{}}', "PARAM_INVALID"),
        (b'{"method":"public/submit","params":{"tx":"0"}}', "PARAM_INVALID"),
        (b'{"method":"public/submit","params":{"tx":"zz"}}', "PARAM_INVALID"),
        (b'{"method":"public/submit","params":{"tx":"00","timeout_ms":0}}', "PARAM_INVALID"),
        (b'{"method":"public/subscribe","params":{"channels":["blocks"]}}', "WEBSOCKET_NEEDED"),
        (b'{"method":"public/get_proof","params":{"table":"orders","key":"1,2"}}', "PARAM_INVALID"),
        (b'{"method":"public/get_proof","params":{"table":"account risk","key":"1"}}', "PARAM_INVALID"),
        (b'{"method":"public/get_order_state","params":{"order_id":"USDC-1"}}', "ORDER_UNKNOWN"),
        (b'{"method":"public/get_order_state","params":{"order_id":"1e3"}}', "PARAM_INVALID"),
        (b'{"method":"public/get_block","params":{"height":99}}', "NOT_FOUND"),
    ],
)
def test_body__not_as_it_should_be__has_a_code_and_a_reason(dispatch: "Dispatch", body: bytes, reason: str) -> None:
    reply = dispatch(body)
    assert isinstance(reply, dict)
    error = reply["error"]
    assert error["data"]["reason"] == reason
    assert error["code"] in CODES
    assert "\n" not in error["message"]


class Dispatch:
    """One gateway for many requests, in an event loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatcher: Dispatcher) -> None:
        self._loop = loop
        self._dispatcher = dispatcher

    def __call__(self, body: bytes, path_method: str = "") -> object:
        reply = self._loop.run_until_complete(self._dispatcher.body(body, Caller(), path_method=path_method))
        return msgspec.json.decode(reply.body)

    def query(self, method: str, query: dict[str, str]) -> object:
        reply = self._loop.run_until_complete(self._dispatcher.query(method, query, Caller()))
        return msgspec.json.decode(reply.body)


@pytest.fixture(scope="module")
def dispatch() -> Iterator[Dispatch]:
    loop = asyncio.new_event_loop()
    context = served(open_market(2))
    here = loop.run_until_complete(context.__aenter__())
    yield Dispatch(loop, here.gateway.dispatcher)
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


def check_reply(reply: object) -> None:
    for one in reply if isinstance(reply, list) else [reply]:
        assert isinstance(one, dict)
        assert ("error" in one) != ("result" in one)
        if "error" in one:
            assert one["error"]["code"] in CODES - {ApiCode.INTERNAL_ERROR}
            assert one["error"]["data"]["reason"]


@settings(max_examples=150, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
)
def test_body__random_bytes__never_fails_inside(dispatch: Dispatch, body: bytes) -> None:
    check_reply(dispatch(body))


EDGES = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**127, -(2**63)]
TEXTS = [
    "",
    "\x00",
    "\r\nFAKE LOG",
    "\x1b[2J",
    "%s%n",
    "A" * 3_000,
    "\u202e",
    "../../x",
    "BTC_USDC-PERPETUAL",
    "0" * 64,
    "1000",
]
VALUES = st.one_of(
    st.sampled_from(EDGES),
    st.sampled_from(TEXTS),
    st.text(max_size=20),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
# What waits for a block, or for a checkpoint, is left to other tests.
QUICK = sorted(name for name in METHODS if name not in ("public/submit", "public/get_proof"))


@settings(max_examples=250, deadline=None)
@given(data=st.data(), method=st.sampled_from(QUICK))
def test_request__drawn_params__gives_a_result_or_a_coded_error(
    dispatch: Dispatch, data: st.DataObject, method: str
) -> None:
    names = list(METHODS[method].params.__struct_fields__)
    drawn = data.draw(st.dictionaries(st.sampled_from([*names, "x"]), VALUES, max_size=5))
    try:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": drawn})
    except UnicodeEncodeError:
        return
    check_reply(dispatch(body))
    check_reply(dispatch.query(method, {name: str(value) for name, value in drawn.items()}))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_request__mutated_bytes__gives_a_result_or_a_coded_error(dispatch: Dispatch, data: st.DataObject) -> None:
    body = bytearray(
        b'{"jsonrpc":"2.0","id":1,"method":"public/get_order_book","params":{"instrument_name":"BTC_USDC-10OCT25","depth":5}}'
    )
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                body[place] = data.draw(st.integers(0, 255))
            case 1:
                del body[place]
            case _:
                body.insert(place, data.draw(st.integers(0, 255)))
    check_reply(dispatch(bytes(body)))


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=10)),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
        max_leaves=20,
    )
)
def test_scan__any_json_within_bounds__is_taken_unless_a_name_is_escaped(value: object) -> None:
    try:
        body = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return
    if b"\\" in body:
        with contextlib.suppress(ApiError):
            envelope.scan(body)
    else:
        envelope.scan(body)


def test_ids__as_given__are_echoed() -> None:
    for given_id in (b"1", b"-7", b'"abc"', b"null", b"0"):
        request = envelope.read_request(b'{"method":"public/test","id":' + given_id + b"}")
        assert bytes(request.id) == given_id


def test_method__in_path_and_body__must_agree(dispatch: Dispatch) -> None:
    reply = dispatch(REQUEST, "public/hello")
    assert isinstance(reply, dict)
    assert reply["error"]["data"]["reason"] == "METHOD_TWICE"
    reply = dispatch(b'{"id":3}', "public/test")
    assert isinstance(reply, dict)
    assert (reply["id"], reply["result"]) == (3, {"version": "1.2.26"})


def test_batch__mixed__is_answered_one_by_one(dispatch: Dispatch) -> None:
    reply = dispatch(b"[" + REQUEST + b',{"id":2,"method":"no"},7]')
    assert isinstance(reply, list)
    assert [("result" in one, one["id"]) for one in reply] == [(True, 1), (False, 2), (False, None)]


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("public/get_order_book", {"instrument_name": "BTC_USDC-31OCT25", "depth": "5"}),
        ("public/get_instruments", {"currency": "BTC", "kind": "option", "expired": "false"}),
        ("public/get_last_trades_by_instrument", {"instrument_name": "BTC_USDC-31OCT25", "include_old": "true"}),
        ("public/get_account", {"account_id": "1000"}),
    ],
)
def test_query__strings__are_read_as_what_is_meant(dispatch: Dispatch, method: str, query: dict[str, str]) -> None:
    reply = dispatch.query(method, query)
    assert isinstance(reply, dict)
    assert "result" in reply
