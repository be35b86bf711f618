"""What the parts of one replica share: its place, ports and settings, and how it halts, counts and logs."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from holdfast.consensus.events import Timeouts
from holdfast.consensus.messages import SignDomains, make_sign_domains
from holdfast.node.application import Application
from holdfast.node.ports import Clock, Disk, Network, Signer
from holdfast.primitives.codec import Decoder, encode
from holdfast.primitives.crypto import sha256

LogLine = Callable[[str, dict[str, int | str]], None]


class Token(NamedTuple):
    """What a timer was set for. `session` tells a restarted replica's timers from those of the one before."""

    name: str
    session: int
    height: int
    step: int = 0
    round: int = 0


_TOKEN_DECODER: Final = Decoder(Token, max_bytes=64, max_depth=2, max_items=8)


def read_token(data: bytes) -> Token:
    """Return the token that `Environment.set_timer` made."""
    token: Token = _TOKEN_DECODER.decode(data)
    return token


class HaltError(Exception):
    """This replica must not go on; the reason is for the operator. Only `Replica` catches it."""


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Settings that every validator of a chain must share."""

    chain_id: str
    genesis: bytes
    genesis_time_ms: int
    block_interval_ms: int = 0  # heights start at its multiples after genesis; 0 starts them at once
    block_tx_bytes_max: int = 1024 * 1024
    evidence_age_heights_max: int = 1_000


@dataclass(frozen=True, kw_only=True)
class ReplicaConfig:
    """Settings of one replica; validators may differ in them."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    mempool_count_max: int = 50_000
    mempool_bytes_max: int = 64 * 1024 * 1024
    mempool_age_heights_max: int = 1_000
    gossip_delay_ms: int = 20
    rebroadcast_ms: int = 1_000
    catchup_grace_ms: int = 250
    catchup_timeout_ms: int = 2_000
    catchup_batch_max: int = 16
    state_sync: bool = False
    state_sync_wait_ms: int = 3_000
    state_sync_attempts_max: int = 8
    # Whether the network has lied in this validator's name, which only the lab's does. From inside, a liar cannot be
    # told from a second instance with its key, so its replica looks away.
    has_lied: Callable[[], bool] | None = None


def no_log(_event: str, _fields: dict[str, int | str]) -> None:
    """Log nowhere."""


@dataclass(frozen=True)
class Environment:
    """One replica's surroundings."""

    index: int
    chain: ChainConfig
    config: ReplicaConfig
    application: Application
    clock: Clock
    network: Network
    disk: Disk
    signer: Signer
    log: LogLine = no_log
    counters: Counter[str] = field(default_factory=Counter)
    domains: SignDomains = field(init=False)
    session: int = field(init=False)

    def __post_init__(self) -> None:
        """Derive the sign domains and the session once."""
        domains = make_sign_domains(self.chain.chain_id, sha256(self.chain.genesis))
        object.__setattr__(self, "domains", domains)
        object.__setattr__(self, "session", self.clock.now_ms())

    def count(self, event: str, **fields: int | str) -> None:
        """Count an event and log it in one line."""
        self.counters[event] += 1
        self.log(event, {"validator": self.index, **fields})

    def set_timer(self, name: str, delay_ms: int, height: int, step: int = 0, round_number: int = 0) -> None:
        """Ask the clock to come back."""
        self.clock.set_timer(delay_ms, encode(Token(name, self.session, height, step, round_number)))
