"""Real replicas over the toy application in the simulated world, watched for agreement at every commit."""

import hashlib
from collections.abc import Callable, Mapping

from holdfast.client.signing import SigningKey
from holdfast.consensus.messages import make_sign_domains
from holdfast.lab.byzantine import LIES, LyingNetwork, make_means
from holdfast.lab.network import LinkQuality
from holdfast.lab.world import Ports, World, derive_random
from holdfast.node.application import CommitResponse, ValidatorInfo
from holdfast.node.contract import CheckedApplication, PreparedBlocks
from holdfast.node.ports import Disk
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, ReplicaConfig
from tests.support.replica_network import unwatched
from tests.support.toy_application import ToyApplication

GENESIS_MS = 1_760_054_400_000
GENESIS = b"toy genesis"
CHAIN_ID = "toy"


class Ledger:
    """What every validator has committed, by height; two honest ones that differ are found at once."""

    def __init__(self) -> None:
        self.app_hashes: dict[int, bytes] = {}
        self.first_ms: dict[int, int] = {}
        self.disagreements: list[tuple[int, int]] = []

    def record(self, index: int, height: int, app_hash: bytes, now_ms: int) -> None:
        self.first_ms.setdefault(height, now_ms)
        if self.app_hashes.setdefault(height, app_hash) != app_hash:
            self.disagreements.append((index, height))


class WatchedApplication(ToyApplication):
    """Reports each commit."""

    def __init__(self, disk: Disk, *, index: int, persist_every: int, on_commit: Callable[[int, bytes], None]) -> None:
        super().__init__(disk, index=index, persist_every=persist_every)
        self.on_commit = on_commit

    def commit(self) -> CommitResponse:
        answer = super().commit()
        self.on_commit(self.state.height, self.state.app_hash)
        return answer


def never() -> bool:
    return False


def always() -> bool:
    return True


class ToyWorld:
    """N replicas from one seed. `lies` names the lie of each Byzantine validator."""

    def __init__(
        self,
        *,
        seed: int = 1,
        size: int = 4,
        interval_ms: int = 1_000,
        lies: Mapping[int, str] | None = None,
        is_lying: Callable[[int, int], bool] = lambda _index, _now_ms: True,
        persist_every: int = 1,
        quality: LinkQuality | None = None,
        config: ReplicaConfig | None = None,
    ) -> None:
        self.seed = seed
        self.size = size
        self.interval_ms = interval_ms
        self.lies = dict(lies or {})
        self.is_lying = is_lying
        self.persist_every = persist_every
        self.config = config
        self.chain = ChainConfig(
            chain_id=CHAIN_ID, genesis=GENESIS, genesis_time_ms=GENESIS_MS, block_interval_ms=interval_ms
        )
        self.keys = [SigningKey(hashlib.sha256(b"%d" % index).digest()) for index in range(size)]
        self.validators = [ValidatorInfo(key.public_key, 1) for key in self.keys]
        self.ledger = Ledger()
        self.prepared = PreparedBlocks()
        self.liars: dict[int, LyingNetwork] = {}
        self.apps: dict[int, WatchedApplication] = {}
        self.checked: dict[int, CheckedApplication] = {}
        self.submitted = 0
        self.world: World[Replica] = World(
            seed=seed, start_ms=GENESIS_MS, size=size, make_node=self.make_replica, quality=quality
        )

    def make_replica(self, index: int, ports: Ports) -> Replica:
        app = WatchedApplication(
            ports.disk,
            index=index,
            persist_every=self.persist_every,
            on_commit=lambda height, app_hash: self.note(index, height, app_hash),
        )
        self.apps[index] = app
        self.checked[index] = CheckedApplication(
            app,
            fingerprint=app.fingerprint,
            drop_caches=app.drop_caches,
            rotate=(index, self.size),
            validator_index=index,
            prepared=self.prepared,
        )
        return Replica(
            index=index,
            validators=self.validators,
            chain=self.chain,
            application=self.checked[index],
            clock=ports.clock,
            network=self.lying(index, ports) if index in self.lies else ports.network,
            disk=ports.disk,
            signer=self.keys[index],
            config=unwatched(self.config or ReplicaConfig()) if index in self.lies else self.config,
        )

    def lying(self, index: int, ports: Ports) -> LyingNetwork:
        domains = make_sign_domains(CHAIN_ID, hashlib.sha256(GENESIS).digest())
        random = derive_random(self.seed, f"liar/{index}")
        means = make_means(index, self.size, self.keys[index], domains, random)
        self.liars[index] = LyingNetwork(
            ports.network, means, LIES[self.lies[index]], lambda: self.is_lying(index, self.world.now_ms)
        )
        return self.liars[index]

    def note(self, index: int, height: int, app_hash: bytes) -> None:
        if index not in self.lies:
            self.ledger.record(index, height, app_hash, self.world.now_ms)

    def start(self) -> "ToyWorld":
        self.world.start_all()
        self.world.at(self.world.now_ms, self.trade, "trade")
        return self

    def trade(self) -> None:
        """Submit a few transactions to whoever is up, for ever."""
        nodes = self.world.nodes()
        for _ in range(3 if nodes else 0):
            self.submitted += 1
            nodes[self.submitted % len(nodes)][1].submit(b"key %d" % self.submitted)
        self.world.at(self.world.now_ms + self.interval_ms // 2, self.trade, "trade")

    def run(self, intervals: int) -> "ToyWorld":
        self.world.run_until(self.world.now_ms + intervals * self.interval_ms)
        return self

    @property
    def now_ms(self) -> int:
        return self.world.now_ms

    def honest(self) -> list[tuple[int, Replica]]:
        return [(index, node) for index, node in self.world.nodes() if index not in self.lies]

    def heights(self) -> list[int]:
        """The honest replicas' heights."""
        return [node.height for _, node in self.honest()]

    def count(self, event: str) -> int:
        """How often an event was logged by the honest replicas that are up."""
        return sum(node.counters[event] for _, node in self.honest())

    def assert_agreement(self) -> None:
        assert self.ledger.disagreements == [], f"seed {self.seed}"
        assert {node.halt_reason for _, node in self.honest()} <= {""}, f"seed {self.seed}"
        for height in range(1, max(self.heights(), default=0) + 1):
            held = {node.app_hash_at(height) for _, node in self.honest()} - {None}
            assert len(held) <= 1, f"seed {self.seed}, height {height}"

    def assert_level(self, within: int = 1) -> None:
        """Every honest validator is up, and none lags."""
        heights = self.heights()
        assert len(heights) == self.size - len(self.lies)
        assert max(heights) - min(heights) <= within, f"seed {self.seed}: {heights}"
