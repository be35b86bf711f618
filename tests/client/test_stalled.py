"""A chain that stands still: the client says so, promises nothing, and learns the end when the chain goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.client import AsyncExchange, Exchange, Journal, Stalled, demo_key
from holdfast.client.nonces import IN_FLIGHT_MAX
from holdfast.client.results import TxResult
from tests.support.devnet import LiveDevnet


@pytest.fixture(name="four", scope="module")
def _four() -> Iterator[LiveDevnet]:
    with LiveDevnet(validators=4) as running:
        yield running


def test_submit__two_of_four_paused__is_pending_then_committed_once(four: LiveDevnet, tmp_path: Path) -> None:
    key, path = demo_key("demo-1"), tmp_path / "journal"
    validators = four.devnet.cluster.validators
    with Exchange(four.url, key=key, journal=Journal(path), deadline_s=2.0) as exchange:
        assert exchange.cancel_all().is_effective
        for index in (2, 3):
            validators[index].pause()
        result = exchange.cancel_all()
        assert (result.state, result.retryable, result.height) == ("pending", True, 0)
        assert exchange.status().height > 0
        for index in (2, 3):
            validators[index].resume()
        (settled,) = exchange.recover()
        assert (settled.tx_hash, settled.state, settled.code) == (result.tx_hash, "committed", 0)
        assert [one.state for one in Journal(path).read()] == ["committed", "committed"]


def test_submit__more_than_a_window_while_stalled__sends_no_more_than_fit(four: LiveDevnet) -> None:
    validators = four.devnet.cluster.validators

    async def work() -> list[object]:
        async with AsyncExchange(four.url, key=demo_key("demo-4"), deadline_s=1.5) as exchange:
            await exchange.cancel_all()
            for index in (2, 3):
                validators[index].pause()
            return list(await asyncio.gather(*(exchange.cancel_all() for _ in range(70)), return_exceptions=True))

    try:
        results = asyncio.run(work())
    finally:
        for index in (2, 3):
            validators[index].resume()
    states = [one.state if isinstance(one, TxResult) else type(one) for one in results]
    assert set(states) == {"pending", Stalled}
    assert states.count("pending") == IN_FLIGHT_MAX


def test_read__nobody_serves__is_stalled_not_unreachable(four: LiveDevnet) -> None:
    validators = four.devnet.cluster.validators
    for validator in validators:
        validator.pause()
    try:
        with Exchange(four.url) as exchange, pytest.raises(Stalled, match="the chain does not advance"):
            exchange.status()
    finally:
        for validator in validators:
            validator.resume()


def test_submit__one_of_four_paused__goes_on(four: LiveDevnet) -> None:
    validator = four.devnet.cluster.validators[0]
    validator.pause()
    try:
        with Exchange(four.url, key=demo_key("demo-2")) as exchange:
            assert exchange.cancel_all().is_effective
    finally:
        validator.resume()
