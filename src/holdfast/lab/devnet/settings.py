"""What `holdfast up` was asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.consensus.events import Timeouts
from holdfast.node.replica_env import ReplicaConfig

VALIDATORS_MAX: Final = 16
INTERVAL_MIN_MS: Final = 50
INTERVAL_MAX_MS: Final = 10_000
PORT_MAX: Final = 65_535
_SNAPSHOT_MS: Final = 60_000
# A chain without files keeps so many blocks; one with files keeps all, so that it can be re-executed from genesis.
_KEPT_IN_MEMORY: Final = 10_000


class SettingsError(ValueError):
    """A setting that cannot be: which, and the mend, in one line."""


def margin_word(*, is_adaptive: bool) -> str:
    """Return what `--margin` calls ranges that follow the market, and those that do not."""
    return "adaptive" if is_adaptive else "fixed"


@dataclass(frozen=True, kw_only=True)
class DevnetSettings:
    """One devnet. `data` is None for a chain that lives in memory and is lost at the end."""

    validators: int = 4
    block_interval_ms: int = 250
    seed: int = 1
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    extra_accounts: int = 0
    has_market: bool = True
    is_adaptive: bool = True  # ranges follow the market; otherwise they keep their stated start

    @property
    def margin(self) -> str:
        """Return how ranges behave, in the word of the option."""
        return margin_word(is_adaptive=self.is_adaptive)

    def check(self) -> None:
        """Refuse what cannot be, with SettingsError."""
        if not 1 <= self.validators <= VALIDATORS_MAX:
            raise SettingsError(f"--validators {self.validators}: choose 1 to {VALIDATORS_MAX}")
        if not INTERVAL_MIN_MS <= self.block_interval_ms <= INTERVAL_MAX_MS:
            raise SettingsError(
                f"--block-interval {self.block_interval_ms}ms: choose {INTERVAL_MIN_MS}ms to {INTERVAL_MAX_MS}ms"
            )
        if not 0 <= self.port <= PORT_MAX:
            raise SettingsError(f"--port {self.port}: choose 0 to {PORT_MAX}; 0 takes a free one")
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"--seed {self.seed}: choose a number from 0 to 2^63 - 1")

    @property
    def snapshot_every(self) -> int:
        """Return how many blocks lie between two snapshots: a minute's."""
        return max(10, _SNAPSHOT_MS // self.block_interval_ms)

    @property
    def keep_blocks(self) -> int:
        """Return how many blocks a validator keeps; 0 keeps all."""
        return _KEPT_IN_MEMORY if self.data is None else 0

    def replica_config(self) -> ReplicaConfig:
        """Return the settings of every replica: on one machine messages take no time, work does."""
        wait_ms = max(300, self.block_interval_ms)
        timeouts = Timeouts(2 * wait_ms, wait_ms, wait_ms, wait_ms, wait_ms, wait_ms)
        return ReplicaConfig(timeouts=timeouts, gossip_delay_ms=15, rebroadcast_ms=1_000)
