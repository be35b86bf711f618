"""One devnet for all tests of the client that only use it."""

from collections.abc import Iterator

import pytest

from tests.support.devnet import LiveDevnet


@pytest.fixture(scope="session")
def live() -> Iterator[LiveDevnet]:
    with LiveDevnet() as running:
        yield running
