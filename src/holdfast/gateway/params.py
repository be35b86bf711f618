"""What each method takes, with its bounds. A value is read by itself, so that a refusal names the one that is wrong.

Strings are taken for numbers and booleans too, because a query string has nothing else.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from holdfast.gateway.errors import ApiCode, ApiError, bad_param
from holdfast.protocol.limits import AMOUNT_ATOMS_MAX, ID_MAX, TX_BYTES_MAX

P = TypeVar("P", bound=Struct)

COUNT_MAX: Final = 1_000
DEPTH_MAX: Final = 1_000
CHANNELS_MAX: Final = 500
TIMEOUT_MS_MAX: Final = 60_000

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]
Time = Annotated[int, Meta(ge=0, le=ID_MAX)]
Text = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[ -~]+\Z")]
Key = Annotated[str, Meta(min_length=64, max_length=64, pattern=r"^[0-9a-fA-F]+\Z")]
Hex = Annotated[str, Meta(min_length=2, max_length=2 * TX_BYTES_MAX + 2, pattern=r"^([0-9a-fA-F]{2})+\Z")]
# As long as a proof file's key may be.
RowPath = Annotated[str, Meta(min_length=2, max_length=512, pattern=r"^([0-9a-fA-F]{2})+\Z")]
Count = Annotated[int, Meta(ge=1, le=COUNT_MAX)]
Currency = Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[A-Za-z0-9_]+\Z")]
Kind = Literal["option", "future", "option_combo", "future_combo", "spot", "any"]
Channel = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[ -~]+\Z")]
Channels = Annotated[list[Channel], Meta(min_length=1, max_length=CHANNELS_MAX)]


class Nothing(Struct, kw_only=True):
    """No parameters."""


class Hello(Struct, kw_only=True):
    """Who calls; for the log alone."""

    client_name: Text = "unnamed"
    client_version: Text = "0"


class Instruments(Struct, kw_only=True):
    """Which instruments."""

    currency: Currency = "any"
    kind: Kind = "any"
    expired: bool = False
    include_spots: bool = False


class OneInstrument(Struct, kw_only=True):
    """One instrument."""

    instrument_name: Text


class OrderBook(Struct, kw_only=True):
    """One instrument's book, so many levels a side."""

    instrument_name: Text
    depth: Annotated[int, Meta(ge=1, le=DEPTH_MAX)] = 20


class InstrumentTrades(Struct, kw_only=True):
    """An instrument's last trades."""

    instrument_name: Text
    count: Count = 10
    start_timestamp: Time = 0
    end_timestamp: Time = ID_MAX
    include_old: bool = True
    sorting: Literal["asc", "desc", "default"] = "default"


class CurrencyTrades(Struct, kw_only=True):
    """A currency's last trades."""

    currency: Currency
    kind: Kind = "any"
    count: Count = 10
    include_old: bool = True


class Summary(Struct, kw_only=True):
    """Which instruments to sum up."""

    currency: Currency
    kind: Kind = "any"


class Expirations(Struct, kw_only=True):
    """Which expirations."""

    currency: Currency = "any"
    kind: Kind = "any"


class Index(Struct, kw_only=True):
    """One index."""

    index_name: Text


class Subscribe(Struct, kw_only=True):
    """Channels."""

    channels: Channels


class Heartbeat(Struct, kw_only=True):
    """How often, in seconds."""

    interval: Annotated[int, Meta(ge=10, le=3_600)]


class Submit(Struct, kw_only=True, forbid_unknown_fields=True):
    """A signed transaction, and what to wait for."""

    tx: Hex
    wait: Literal["committed", "received"] = "committed"
    timeout_ms: Annotated[int, Meta(ge=1, le=TIMEOUT_MS_MAX)] = 10_000


class GetTx(Struct, kw_only=True, forbid_unknown_fields=True):
    """A transaction, by its hash or by the nonce that it uses."""

    tx_hash: Key | None = None
    account_id: Id | None = None
    signer: Key | None = None
    nonce: Id | None = None


class AccountOrOwner(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account, by its id or by its owner's key."""

    account_id: Id | None = None
    owner_key: Key | None = None


class Account(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account."""

    account_id: Id


class Nonce(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key of an account."""

    account_id: Id
    signer: Key


class AccountOrders(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account's open orders, or those of one instrument."""

    account_id: Id
    instrument_name: Text | None = None


class OrderHistory(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account's last orders, open or not."""

    account_id: Id
    count: Count = 20
    before_order_id: Text | Id | None = None


class OneOrder(Struct, kw_only=True, forbid_unknown_fields=True):
    """One order."""

    order_id: Text | Id


class AccountTrades(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account's last fills."""

    account_id: Id
    count: Count = 10
    instrument_name: Text | None = None


class AccountEvents(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account's updates from a number on."""

    account_id: Id
    from_seq: Annotated[int, Meta(ge=1, le=ID_MAX)] = 1
    count: Count = 100


class AtHeight(Struct, kw_only=True, forbid_unknown_fields=True):
    """A block, the last one where none is named."""

    height: Id | None = None


class GetProof(Struct, kw_only=True, forbid_unknown_fields=True):
    """A row of the state, by its table and key, or by the key's bytes."""

    table: Text | None = None
    key: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[0-9a-fA-F,]+\Z")] | Id | None = None
    path: RowPath | None = None


class Fault(Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault."""

    spec: Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[ -~]+\Z")]


class Advance(Struct, kw_only=True, forbid_unknown_fields=True):
    """How far, or to when."""

    to_ms: Time | None = None
    by_ms: Time | None = None


class Price(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a price is moved by or to."""

    asset: Currency
    factor: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    price: Annotated[float, Meta(gt=0, le=1e9)] | None = None


class Heal(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which fault, all of them without a number."""

    number: Id | None = None


class DevDeposit(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to put in for whom: in whole units, or exactly in atoms, which win."""

    owner_key: Key
    asset: Currency
    amount: Annotated[float, Meta(gt=0, le=1e12)] | None = None
    amount_atoms: Annotated[int, Meta(ge=1, le=AMOUNT_ATOMS_MAX)] | None = None
    wait: Literal["committed", "received"] = "committed"
    timeout_ms: Annotated[int, Meta(ge=1, le=TIMEOUT_MS_MAX)] = 10_000


def from_json(kind: type[P], params: bytes) -> P:
    """Read the parameters of a JSON request. Refuses: ApiError, naming the parameter."""
    try:
        values = msgspec.json.decode(params, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = "params must be an object of named parameters"
        raise ApiError(ApiCode.INVALID_PARAMS, "PARAMS_INVALID", words, param="params") from None
    decoders = _decoders(kind)
    read: dict[str, object] = {}
    for name, raw in values.items():
        decoder = decoders.get(name)
        if decoder is None:
            _check_unknown(kind, name)
            continue
        try:
            read[name] = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise bad_param(name, _explain(error)) from None
    return _build(kind, read)


def from_query(kind: type[P], query: Mapping[str, str]) -> P:
    """Read the parameters of a query string. Refuses: ApiError, naming the parameter."""
    types = _types(kind)
    decoders = _decoders(kind)
    read: dict[str, object] = {}
    for name, text in query.items():
        if name not in types:
            _check_unknown(kind, name)
            continue
        try:
            if text[:1] in ("[", "{"):
                read[name] = decoders[name].decode(text)
            else:
                read[name] = msgspec.convert(text, types[name], strict=False)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
            raise bad_param(name, _explain(error)) from None
    return _build(kind, read)


def _build(kind: type[P], read: dict[str, object]) -> P:
    for name in _required(kind):
        if name not in read:
            raise bad_param(name, "this parameter is required")
    return kind(**read)


def _check_unknown(kind: type[Struct], name: str) -> None:
    """Refuse what an own method does not know; Deribit's take what their clients send."""
    if kind.__struct_config__.forbid_unknown_fields:
        known = ", ".join(kind.__struct_fields__) or "none"
        raise bad_param(ascii(name)[1:-1][:64], f"no such parameter; this method takes {known}")


@cache
def _types(kind: type[Struct]) -> dict[str, object]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


@cache
def _required(kind: type[Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.required)


@cache
def _decoders(kind: type[Struct]) -> dict[str, msgspec.json.Decoder[object]]:
    return {name: msgspec.json.Decoder(type_, strict=False) for name, type_ in _types(kind).items()}


def _explain(error: Exception) -> str:
    words, is_pattern, _ = str(error).partition("Expected `str` matching regex")
    if is_pattern:
        return f"{words}it is empty, or has characters that do not belong here"
    return ascii(str(error).removesuffix(" - at `$`")[:160])[1:-1]
