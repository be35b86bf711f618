"""One devnet for the commands that need one, and a home of their own for the keys that they make."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.devnet import LiveDevnet


@pytest.fixture(scope="session")
def live() -> Iterator[LiveDevnet]:
    with LiveDevnet() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_PASSPHRASE", "open sesame")
    for name in ("HOLDFAST_URL", "HOLDFAST_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
