"""Logs: one line an event, on standard error, as JSON or for people. Nothing in a line can forge another."""

import logging
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Final

import structlog
from aiohttp.http_exceptions import HttpProcessingError

VALUE_CHARS_MAX: Final = 2_000
_SECRETS: Final = frozenset("private_key seed secret passphrase password client_secret authorization".split())
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

LIBRARY_A_SECOND_MAX: Final = 10
BAD_HTTP_CHARS_MAX: Final = 120

Event = MutableMapping[str, object]


class Bridge(logging.Handler):
    """Turns the lines of libraries into ours. What a stranger's bytes have caused is no fault: it is told in short."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        super().__init__()
        self._second = 0
        self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record down."""
        if not self._may_tell():
            return
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            words = " ".join(str(getattr(error, "message", error)).split())
            log.info("bad_http", reason=words[:BAD_HTTP_CHARS_MAX])
        elif error is not None:
            log.error("library_failed", library=record.name, message=record.getMessage(), exc_info=error)
        else:
            log.log(record.levelno, "library", library=record.name, message=record.getMessage())

    def _may_tell(self) -> bool:
        second = int(time.monotonic())
        self._told = self._told + 1 if second == self._second else 1
        self._second = second
        return self._told <= LIBRARY_A_SECOND_MAX


def set_up_logs(*, level: str = "info", style: str = "console") -> None:
    """Send every log line to standard error from now on. Refuses: ValueError for an unknown level or style."""
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels or style not in ("console", "json"):
        message = f"log level {level!r}, format {style!r}: choose debug, info, warning or error, and console or json"
        raise ValueError(message)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, Bridge)]:
        root.removeHandler(handler)
    root.addHandler(Bridge())


def redact(_logger: object, _method: str, event: Event) -> Event:
    """Leave out the values of what is secret."""
    for name in event:
        if name.lower() in _SECRETS:
            event[name] = "(not logged)"
    return event


def escape(_logger: object, _method: str, event: Event) -> Event:
    """Write control characters visibly, and shorten what is long."""
    return {clean(name): _clean_value(value) for name, value in event.items()}


def clean(text: str) -> str:
    """Return a text without characters that a terminal or a reader of lines would act on."""
    cut = text if len(text) <= VALUE_CHARS_MAX else text[:VALUE_CHARS_MAX] + "..."
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)


def _clean_value(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bytes):
        return value.hex()[:VALUE_CHARS_MAX]
    if isinstance(value, Mapping):
        return {clean(str(name)): _clean_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_value(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else clean(str(value))
