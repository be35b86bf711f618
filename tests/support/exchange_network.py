"""Four replicas of the real exchange in the simulated world, with a trader, on disks that can fail."""

from contextlib import suppress

from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.solo import START_MS, Solo
from holdfast.lab.world import NodeFailedError, Ports, World
from holdfast.node.application import ValidatorInfo
from holdfast.node.exchange import ExchangeApplication
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, ReplicaConfig
from holdfast.protocol.chain import CLOCK
from holdfast.protocol.instruments.params import InstrumentParams
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.trading.messages import PlaceOrder
from holdfast.state.draft import Draft
from tests.support.exchange import BTC, BUY, SELL

INTERVAL_MS = 60_000
SMALL = InstrumentParams(dailies=1, weeklies=0, monthlies=0, quarterlies=1, strikes_each_side=1)


class ExchangeNetwork:
    """The exchange, replicated. `solo` makes genesis, reports and signed commands; it has no part in the chain."""

    def __init__(self, *, seed: int = 1, snapshot_every: int = 4, keep_blocks: int = 0, accounts: int = 4) -> None:
        self.solo = Solo(accounts, genesis_changes={"instrument_params": SMALL})
        self.snapshot_every = snapshot_every
        self.keep_blocks = keep_blocks
        self.state_sync: set[int] = set()
        self.lines: list[tuple[str, dict[str, int | str]]] = []
        self.apps: dict[int, ExchangeApplication] = {}
        self.known: dict[int, tuple[bytes | None, bytes | None]] = {}
        self.accepted: list[bytes] = []
        self.validators = [ValidatorInfo(key.public_key, 10) for key in self.solo.validator_keys]
        self.chain = ChainConfig(
            chain_id="solo",
            genesis=self.solo.genesis,
            genesis_time_ms=START_MS + INTERVAL_MS,
            block_interval_ms=INTERVAL_MS,
        )
        self.world: World[Replica] = World(seed=seed, start_ms=START_MS, size=4, make_node=self._make)
        self.world.start_all()

    def _report(self, height: int, draft: Draft) -> bytes:
        clock = draft[CLOCK].get(0)
        self.solo.time_ms = START_MS if clock is None else clock.time_ms
        return self.solo.report(height, draft)

    def _make(self, index: int, ports: Ports) -> Replica:
        self.apps[index] = ExchangeApplication(
            ports.disk,
            self._report,
            snapshot_every=self.snapshot_every,
            keep_blocks=self.keep_blocks,
            rebuilds=False,
        )
        return Replica(
            index=index,
            validators=self.validators,
            chain=self.chain,
            application=self.apps[index],
            clock=ports.clock,
            network=ports.network,
            disk=ports.disk,
            signer=self.solo.validator_keys[index],
            config=ReplicaConfig(state_sync=index in self.state_sync),
            log=lambda event, fields: self.lines.append((event, fields)),
        )

    def replica(self, index: int) -> Replica:
        node = self.world.node(index)
        assert node is not None
        return node

    def disk(self, index: int) -> SimulatedDisk:
        return self.world.disk(index)

    def top(self) -> int:
        return max(node.height for _, node in self.world.nodes())

    def run_to(self, height: int, *who: int) -> None:
        """Run until every live replica (of those named) has a height, and demand that all agree on every height."""

        def lacks() -> bool:
            return any(node.height < height for index, node in self.world.nodes() if not who or index in who)

        assert self.world.run_while(lacks, self.world.now_ms + 60 * INTERVAL_MS)
        self.check_agreement()

    def run_while_up(self, index: int) -> bool:
        """Run until a replica is down or halted; tell whether that happened."""

        def is_up() -> bool:
            node = self.world.node(index)
            return node is not None and not node.halt_reason

        return self.world.run_while(is_up, self.world.now_ms + 12 * INTERVAL_MS)

    def check_agreement(self) -> None:
        for _, node in self.world.nodes():
            for height in range(max(1, node.height - 8), node.height + 1):
                found = (node.block_hash_at(height), node.app_hash_at(height))
                if None not in found:
                    assert self.known.setdefault(height, found) == found

    def order(self, peer: int, count: int = 1) -> None:
        """Have a trader send orders to one replica; what it takes must be in the chain in the end."""
        draft = self.apps[peer].state.draft()
        futures = [key for key, one in draft[INSTRUMENTS].items() if one.kind == Kind.FUTURE and one.underlying == BTC]
        for number in range(count if futures else 0):
            side = BUY if len(self.accepted) % 2 else SELL
            tx = self.solo.sign(number % 2, PlaceOrder(futures[0], side, 120_000, 1))
            if self.replica(peer).submit(tx).code == 0:
                self.accepted.append(tx)

    def restart(self, index: int) -> None:
        """Bring a replica back as the supervisor does: one whose store is damaged begins empty."""
        self.world.crash(index)
        with suppress(NodeFailedError):
            self.world.start(index)
        node = self.world.node(index)
        if node is None or node.halt_reason:
            self.world.crash(index)
            self.world.wipe(index)
            self.state_sync.add(index)
            self.world.start(index)
            self.state_sync.discard(index)

    def included(self, index: int) -> list[bytes]:
        """Return every transaction in a replica's chain, the oracle's apart."""
        from holdfast.consensus.messages import decode_block  # noqa: PLC0415 -- for this alone

        found: list[bytes] = []
        for height in range(1, self.replica(index).height + 1):
            stored = self.replica(index).block_at(height)
            if stored is not None:
                found.extend(decode_block(stored.data).txs[1:])
        return found
