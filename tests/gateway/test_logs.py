"""Log lines cannot be forged, and hold no secrets."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.logs import LIBRARY_A_SECOND_MAX, VALUE_CHARS_MAX, Bridge, clean, set_up_logs


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, Bridge)]:
        root.removeHandler(handler)


def fail() -> None:
    raise ValueError("inside\nout")


def test_json__any_event__is_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(level="info", style="json")
    log = structlog.get_logger()
    log.info("took", peer="x\n2026-01-01 [error] forged", private_key="ab" * 32, height=7, raw=b"\x00\xff")
    log.debug("hidden")
    try:
        fail()
    except ValueError:
        log.exception("failed")
    printed = capsys.readouterr()
    assert printed.out == ""
    found = [json.loads(line) for line in printed.err.splitlines()]
    assert len(found) == 2
    assert found[0]["peer"] == "x\\u000a2026-01-01 [error] forged"
    assert found[0]["private_key"] == "(not logged)"
    assert (found[0]["height"], found[0]["raw"], found[0]["level"]) == (7, "00ff", "info")
    assert "ValueError" in found[1]["exception"]


def test_console__control_characters__are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(level="warning", style="console")
    structlog.get_logger().warning("took", peer="\x1b[2J\r\nfake")
    structlog.get_logger().info("hidden")
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize(("level", "style"), [("loud", "json"), ("info", "xml")])
def test_set_up__unknown_level_or_format__is_refused(level: str, style: str) -> None:
    with pytest.raises(ValueError, match="choose debug, info, warning or error, and console or json"):
        set_up_logs(level=level, style=style)


@given(st.text(st.characters(codec=None), max_size=50))
def test_clean__any_text__prints_on_one_line(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()
    assert "\x1b" not in cleaned


def test_clean__long_text__is_cut() -> None:
    assert clean("x" * 100_000) == "x" * VALUE_CHARS_MAX + "..."


def test_bridge__what_libraries_write__is_ours_and_never_a_traceback_for_a_stranger_s_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs(level="info", style="json")
    library = logging.getLogger("aiohttp.server")
    for error in (BadStatusLine("GET /\nHTTP/9.9"), ConnectionResetError("Connection lost")):
        library.error("Error handling request from %s", "127.0.0.1", exc_info=error)
    library.error("Unhandled exception", exc_info=ValueError("inside"))
    library.warning("slow %d", 3)
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["level"]) for one in found] == [
        ("bad_http", "info"),
        ("bad_http", "info"),
        ("library_failed", "error"),
        ("library", "warning"),
    ]
    assert "exception" not in found[0]
    assert "inside" in found[2]["exception"]
    assert found[3]["message"] == "slow 3"


def test_bridge__a_flood__is_told_of_a_few_times_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(level="info", style="json")
    for _ in range(5 * LIBRARY_A_SECOND_MAX):
        logging.getLogger("aiohttp.server").error("Error", exc_info=ConnectionResetError("lost"))
        logging.getLogger("asyncio").error(
            "accept() out of system resource", exc_info=OSError(24, "Too many open files")
        )
    # The second may have turned meanwhile, once or twice.
    assert len(capsys.readouterr().err.splitlines()) <= 3 * LIBRARY_A_SECOND_MAX
