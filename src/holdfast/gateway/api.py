"""What a method is, and what it works with. One table serves HTTP and WebSocket alike."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from holdfast.gateway import envelope
from holdfast.gateway.backend import Backend, DevControls, View
from holdfast.gateway.errors import ApiCode, ApiError, not_found
from holdfast.gateway.follow import Follower
from holdfast.gateway.history import History
from holdfast.gateway.instruments import Instruments
from holdfast.gateway.metrics import Metrics
from holdfast.gateway.objects import Shown
from holdfast.gateway.sealed import IndexDamagedError
from holdfast.gateway.stats import Stats
from holdfast.gateway.submit import Submitter
from holdfast.node.embedded import NoValidatorError
from holdfast.protocol.instruments.state import Instrument
from holdfast.state.draft import Draft

CACHE_ENTRIES_MAX = 512

P = TypeVar("P", bound=Struct)


class Session(Protocol):
    """A connection that can be told things: what only a WebSocket has."""

    def subscribe(self, channels: Sequence[str]) -> list[str]:
        """Add channels; return those that there are."""

    def unsubscribe(self, channels: Sequence[str]) -> list[str]:
        """Drop channels; return those that were on."""

    def unsubscribe_all(self) -> None:
        """Drop every channel."""

    def set_heartbeat(self, interval_s: float) -> None:
        """Ask for a sign of life so often; 0 for none."""


class Answer(NamedTuple):
    """A result, and which height it speaks of."""

    result: object
    about: Shown


@dataclass
class Cache:
    """Encoded results of one height."""

    height: int = -1
    app_hash: bytes = b""
    entries: dict[tuple[str, bytes], msgspec.Raw] = field(default_factory=dict)

    def at(self, view: View) -> dict[tuple[str, bytes], msgspec.Raw]:
        """Return the entries of a view's height; a new height forgets the old one's."""
        if (view.height, view.app_hash) != (self.height, self.app_hash) or len(self.entries) >= CACHE_ENTRIES_MAX:
            self.height, self.app_hash, self.entries = view.height, view.app_hash, {}
        return self.entries


@dataclass
class Api:
    """Everything that methods work with."""

    backend: Backend
    history: History
    follower: Follower
    instruments: Instruments
    stats: Stats
    submitter: Submitter
    metrics: Metrics
    dev: DevControls | None
    persistence: str
    genesis: bytes | None
    height: int = 0  # that the index holds and channels have told of
    cache: Cache = field(default_factory=Cache)


class Caller(NamedTuple):
    """Who asks. `session` is None where nothing can be sent but the answer; a foreign page is one of another site."""

    session: Session | None = None
    is_foreign_page: bool = False


class Call(NamedTuple):
    """One request's surroundings."""

    api: Api
    caller: Caller


class Read(NamedTuple):
    """What a reading method sees: one committed height."""

    api: Api
    view: View

    @property
    def draft(self) -> Draft:
        """Return the state."""
        return self.view.draft

    @property
    def whole_index(self) -> History:
        """Return the index, for answers that also tell what there is not. Refuses: RETRY, where it is not whole."""
        if not self.api.follower.is_whole:
            raise building()
        return self.api.history

    def find_instrument(self, name: str) -> tuple[int, Instrument]:
        """Return an instrument by its name, a retired one too. Refuses: NOT_FOUND."""
        known = self.api.instruments
        instrument_id = known.find(self.draft, name)
        instrument = None if instrument_id is None else known.get(self.draft, instrument_id)
        if instrument_id is None or instrument is None:
            raise not_found("instrument_name", f"instrument_name: no instrument {ascii(name)[:80]} is listed")
        return instrument_id, instrument


Run = Callable[[Call, Struct], Awaitable[Answer]]


class Method(NamedTuple):
    """One method: its name, what it takes, what it does."""

    name: str
    params: type[Struct]
    run: Run
    summary: str


def about(view: View) -> Shown:
    """Return the height and the app hash that an answer speaks of."""
    return {"height": view.height, "app_hash": view.app_hash.hex()}


def stalled(words: str) -> ApiError:
    """Return the refusal of what needs a validator where none serves."""
    return ApiError(ApiCode.RETRY, "NO_VALIDATOR", words, retryable=True)


def building() -> ApiError:
    """Return the refusal of what needs the whole index while that is being checked or built."""
    words = "the index is being checked or built from the blocks; try again soon"
    return ApiError(ApiCode.RETRY, "INDEX_BUILDING", words, retryable=True)


def read(name: str, params: type[P], handler: Callable[[Read, P], object], *, cached: bool = False) -> Method:
    """Make a method that reads one committed height; a cached one answers all who ask the same of it at once."""

    async def run(call: Call, given: Struct) -> Answer:
        api = call.api
        try:
            with api.backend.reading() as view:
                shown = about(view)
                entries = api.cache.at(view)
                key = (name, envelope.encode(given)) if cached else (name, b"")
                kept = entries.get(key) if cached else None
                if kept is not None:
                    return Answer(kept, shown)
                result = handler(Read(api, view), cast("P", given))
        except NoValidatorError:
            raise stalled("no validator serves; try again when one is back") from None
        except IndexDamagedError:
            raise building() from None
        if isinstance(result, dict):
            result = {**result, **shown}
        if cached:
            result = entries[key] = msgspec.Raw(envelope.encode(result))
        return Answer(result, shown)

    return Method(name, params, run, _first_line(handler))


def act(name: str, params: type[P], handler: Callable[[Call, P], Awaitable[object]]) -> Method:
    """Make a method that does more than to read one height."""

    async def run(call: Call, given: Struct) -> Answer:
        try:
            return Answer(await handler(call, cast("P", given)), {})
        except NoValidatorError:
            raise stalled("no validator serves; try again when one is back") from None
        except IndexDamagedError:
            raise building() from None

    return Method(name, params, run, _first_line(handler))


def _first_line(handler: object) -> str:
    return (handler.__doc__ or "").strip().partition("\n")[0]
