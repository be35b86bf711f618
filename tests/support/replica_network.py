"""Replicas with toy applications in the simulated world, and what tests ask of them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from holdfast._kernels import public_key, sign
from holdfast.lab.network import LinkQuality
from holdfast.lab.world import Ports, World
from holdfast.node.application import Application, ValidatorInfo
from holdfast.node.ports import Disk, Network
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, ReplicaConfig
from tests.support.toy_application import ToyApplication

GENESIS_MS = 1_760_000_000_000
CHAIN = ChainConfig(chain_id="toy-1", genesis=b"toy genesis", genesis_time_ms=GENESIS_MS)


class SeedSigner:
    """A signer over a key derived from an index."""

    def __init__(self, index: int) -> None:
        self.seed = hashlib.sha256(b"validator %d" % index).digest()

    @property
    def public_key(self) -> bytes:
        return public_key(self.seed)

    def sign(self, message: bytes) -> bytes:
        return sign(self.seed, message)


def validators(size: int, powers: tuple[int, ...] = ()) -> list[ValidatorInfo]:
    return [ValidatorInfo(SeedSigner(index).public_key, powers[index] if powers else 10) for index in range(size)]


def toy(disk: Disk, index: int) -> Application:
    return ToyApplication(disk, index=index)


def unwatched(config: ReplicaConfig) -> ReplicaConfig:
    """The settings of a replica whose network lies in its name."""
    return replace(config, has_lied=lambda: True)


class ReplicaNetwork:
    """N validators in one world."""

    def __init__(
        self,
        size: int = 4,
        *,
        seed: int = 1,
        powers: tuple[int, ...] = (),
        chain: ChainConfig = CHAIN,
        config: ReplicaConfig | None = None,
        quality: LinkQuality | None = None,
        make_application: Callable[[Disk, int], Application] = toy,
        wrap_network: Callable[[int, Network], Network] = lambda _, network: network,
        start: bool = True,
        liars: tuple[int, ...] = (),
    ) -> None:
        self.chain = chain
        self.wrap_network = wrap_network
        honest = config or ReplicaConfig()
        self.configs = {index: unwatched(honest) if index in liars else honest for index in range(size)}
        self.make_application = make_application
        self.lines: list[tuple[str, dict[str, int | str]]] = []
        self.validators = validators(size, powers)
        self.applications: dict[int, Application] = {}
        self.world: World[Replica] = World(
            seed=seed, start_ms=GENESIS_MS - 1_000, size=size, make_node=self._make, quality=quality
        )
        if start:
            self.world.start_all()

    def _make(self, index: int, ports: Ports) -> Replica:
        self.applications[index] = self.make_application(ports.disk, index)
        return Replica(
            index=index,
            validators=self.validators,
            chain=self.chain,
            config=self.configs[index],
            application=self.applications[index],
            clock=ports.clock,
            network=self.wrap_network(index, ports.network),
            disk=ports.disk,
            signer=SeedSigner(index),
            log=lambda event, fields: self.lines.append((event, fields)),
        )

    def replica(self, index: int) -> Replica:
        node = self.world.node(index)
        assert node is not None, f"validator {index} is down"
        return node

    def toy(self, index: int) -> ToyApplication:
        application = self.applications[index]
        assert isinstance(application, ToyApplication)
        return application

    def submit_at(self, time_ms: int, index: int, tx: bytes) -> None:
        def submit() -> None:
            self.replica(index).submit(tx)

        self.world.at(time_ms, submit)

    def heights(self) -> list[int]:
        return [node.height for _, node in self.world.nodes()]

    def run_to(self, height: int, *, within_ms: int = 120_000, who: tuple[int, ...] = ()) -> None:
        """Run until every live replica (of those named) has a height; fail after a time."""

        def lacks() -> bool:
            return any(node.height < height for index, node in self.world.nodes() if not who or index in who)

        limit_ms = self.world.now_ms + within_ms
        assert self.world.run_while(lacks, limit_ms), f"heights {self.heights()} after {within_ms} ms"
        self.check_agreement()

    def run_for(self, duration_ms: int) -> None:
        self.world.run_until(self.world.now_ms + duration_ms)
        self.check_agreement()

    def check_agreement(self) -> None:
        """Demand one block hash and one app hash for every height that two replicas hold."""
        nodes = self.world.nodes()
        for height in range(1, max((node.height for _, node in nodes), default=0) + 1):
            for known in (
                {node.app_hash_at(height) for _, node in nodes if node.height >= height} - {None},
                {node.block_hash_at(height) for _, node in nodes if node.height >= height} - {None},
            ):
                assert len(known) <= 1, f"replicas differ at height {height}"

    def events(self, event: str) -> list[dict[str, int | str]]:
        return [fields for name, fields in self.lines if name == event]
