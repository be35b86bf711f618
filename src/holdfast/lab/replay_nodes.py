"""The validators of a replay: real replicas with the real exchange, on simulated ports, watched at every commit.

Each validator has its own application, its own disk and its own oracle process; they share nothing but the network and
the lab's checks around them.
"""

from collections.abc import Callable
from typing import Final

from holdfast.client.signing import SigningKey
from holdfast.consensus.messages import make_sign_domains
from holdfast.lab.agents import Population
from holdfast.lab.byzantine import LIES, LyingNetwork, make_means
from holdfast.lab.replay_oracle import LoggedReporter, ReportLog
from holdfast.lab.replay_past import read_past
from holdfast.lab.replay_settings import ReplayPlan
from holdfast.lab.replay_tally import Tally
from holdfast.lab.world import Ports, World, derive_random
from holdfast.node.application import (
    BlockRequest,
    ChunkVerdict,
    CommitResponse,
    FinalizeResponse,
    InfoResponse,
    OfferVerdict,
    ValidatorInfo,
)
from holdfast.node.contract import CheckedApplication, PreparedBlocks
from holdfast.node.exchange import ExchangeApplication, ReportSource
from holdfast.node.ports import Disk
from holdfast.node.replica import Replica
from holdfast.node.replica_env import ChainConfig, ReplicaConfig
from holdfast.primitives import codec
from holdfast.primitives.check import BrokenInvariantError, ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol import invariants
from holdfast.protocol.genesis import Genesis
from holdfast.protocol.instruments.params import InstrumentParams
from holdfast.protocol.machine import Applied
from holdfast.protocol.messages import command_domain
from holdfast.protocol.ranges.params import RangeParams
from holdfast.protocol.staking.state import Validator

CHAIN_ID: Final = "holdfast-replay"
POWER: Final = 10
INSURANCE_ATOMS: Final = 2_000_000 * USDC_ATOMS
BACKSTOP_ATOMS: Final = 5_000_000 * USDC_ATOMS
SMALL_LISTING: Final = InstrumentParams(dailies=1, weeklies=1, monthlies=0, quarterlies=0, strikes_each_side=2)
# One height in so many is executed again from nothing by one validator, and its whole state fingerprinted around it.
DEEP_EVERY: Final = 4
# A broken claim that is no named invariant: an `ensure` at the edge of a handler.
LOCAL_CLAIM: Final = "LOCAL_CLAIM"

OnCommit = Callable[[int, bytes, tuple[bytes, ...], Applied], None]


class ObservedExchange(ExchangeApplication):
    """The exchange, which tells what it has committed and which promise it has found broken."""

    def __init__(
        self,
        disk: Disk,
        report_source: ReportSource,
        *,
        on_commit: OnCommit,
        on_broken: Callable[[str], None],
        on_genesis: Callable[[tuple[Record, ...]], None],
        rebuilds_at: Callable[[int], bool],
        snapshot_every: int,
    ) -> None:
        """Open the exchange; `rebuilds_at` says at which heights this replica checks the dear invariants."""
        super().__init__(disk, report_source, snapshot_every=snapshot_every)
        self._on_commit = on_commit
        self._on_broken = on_broken
        self._on_genesis = on_genesis
        self._rebuilds_at = rebuilds_at
        self._txs: tuple[bytes, ...] = ()

    def init_chain(self, genesis_bytes: bytes) -> InfoResponse:
        """Build the genesis state, and tell what it holds."""
        answer = super().init_chain(genesis_bytes)
        self._on_genesis(self.genesis_events)
        return answer

    def process_proposal(self, request: BlockRequest) -> bool:
        """Judge a block; a broken promise is told before it halts the replica."""
        self._rebuilds = self._rebuilds_at(request.height)
        try:
            return super().process_proposal(request)
        except BrokenInvariantError as broken:
            self._on_broken(_broken_name(broken))
            raise

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        """Compute a block; a broken promise is told before it halts the replica."""
        self._txs = request.txs
        self._rebuilds = self._rebuilds_at(request.height)
        try:
            return super().finalize_block(request)
        except BrokenInvariantError as broken:
            self._on_broken(_broken_name(broken))
            raise

    def commit(self) -> CommitResponse:
        """Commit, and tell it."""
        answer = super().commit()
        applied = self.last_applied
        ensure(applied is not None, "a commit has an effect")
        self._on_commit(self.height, self.state.root, self._txs, applied)  # type: ignore[arg-type]
        return answer


class Nodes:
    """All validators of a run, in one world."""

    def __init__(self, plan: ReplayPlan, population: Population, tally: Tally, on_block: Callable[[int], None]) -> None:
        """Lay out the world; `start` brings everybody up. `on_block` is told of each height's first commit."""
        settings = plan.settings
        self._plan = plan
        self._tally = tally
        self._on_block = on_block
        self._keys = [
            SigningKey(sha256(b"holdfast replay validator %d %d" % (settings.seed, index)))
            for index in range(settings.validators)
        ]
        self._validators = [ValidatorInfo(key.public_key, POWER) for key in self._keys]
        range_params = RangeParams(is_adaptive=settings.is_adaptive)
        self.genesis = Genesis(
            chain_id=CHAIN_ID,
            # The first block carries the chain's start as its time, and time strictly increases.
            time_ms=plan.start_ms - 1,
            validators=tuple(Validator(key.public_key, POWER) for key in self._keys),
            custodian_key=population.custodian.public_key,
            accounts=population.genesis_accounts(),
            insurance_atoms=INSURANCE_ATOMS,
            backstop_atoms=BACKSTOP_ATOMS,
            instrument_params=SMALL_LISTING if settings.is_small else InstrumentParams(),
            range_params=range_params,
            range_history=read_past(plan.history, plan.venues, plan.start_ms, range_params),
        )
        genesis_bytes = codec.encode(self.genesis)
        self._genesis_hash = sha256(genesis_bytes)
        self.domain = command_domain(CHAIN_ID, self._genesis_hash)
        self._chain = ChainConfig(
            chain_id=CHAIN_ID,
            genesis=genesis_bytes,
            genesis_time_ms=plan.start_ms,
            block_interval_ms=settings.interval_ms,
        )
        self._prepared = PreparedBlocks()
        self._has_genesis = False
        self.reports: ReportLog = tally.reports
        self.apps: dict[int, ObservedExchange] = {}
        self.world: World[Replica] = World(
            seed=settings.seed, start_ms=plan.start_ms, size=settings.validators, make_node=self._make
        )
        self._reporters = [self._make_reporter(index) for index in range(settings.validators)]
        self._equivocators = {fault.validator for fault in plan.faults if fault.kind == "equivocate"}

    def start(self) -> None:
        """Bring up every validator, and put the faults on the world's clock."""
        self._plan.plan.schedule(self.world)
        self.world.start_all()

    def live(self) -> list[tuple[int, Replica]]:
        """Return the validators that are up, not halted, and at the highest height among them."""
        running = [(index, node) for index, node in self.world.nodes() if not node.halt_reason]
        top = max((node.height for _, node in running), default=0)
        return [(index, node) for index, node in running if node.height == top]

    def restore_from_snapshot(self, index: int) -> bool:
        """Put a peer's snapshot of the present height in the place of one validator's state, by the snapshot methods.

        Why: no message is sent and no time passes, so the chain must go on with the very same roots.
        """
        taker = self.apps[index]
        for peer, giver in sorted(self.apps.items()):
            for info in giver.list_snapshots():
                if peer == index or info.height != taker.height or self.world.node(peer) is None:
                    continue
                offered = taker.offer_snapshot(info, giver.state.root)
                ensure(offered == OfferVerdict.ACCEPT, "a peer's snapshot is taken")
                for number in range(info.chunks):
                    chunk = giver.load_snapshot_chunk(info.height, info.format, number)
                    verdict = taker.apply_snapshot_chunk(number, chunk)
                    ensure(verdict == ChunkVerdict.ACCEPT, "a peer's snapshot restores")
                return True
        return False

    def _make_reporter(self, index: int) -> LoggedReporter:
        settings = self._plan.settings
        return LoggedReporter(
            index,
            self._plan.venues,
            self._plan.plan,
            self.reports,
            lambda: self.world.now_ms,
            seed=settings.seed,
            interval_ms=settings.interval_ms,
        )

    def _make(self, index: int, ports: Ports) -> Replica:
        def committed(height: int, app_hash: bytes, txs: tuple[bytes, ...], applied: Applied) -> None:
            if self._tally.note_commit(index, height, app_hash, txs, applied):
                self._on_block(height)

        settings = self._plan.settings
        app = ObservedExchange(
            ports.disk,
            self._reporters[index].report,
            on_commit=committed,
            on_broken=lambda name: self._tally.broken.update([name]),
            on_genesis=self._note_genesis,
            rebuilds_at=lambda height: _is_rebuilder(index, settings.validators, height),
            snapshot_every=settings.snapshot_every,
        )
        self.apps[index] = app
        checked = CheckedApplication(
            app,
            fingerprint=app.fingerprint,
            drop_caches=app.drop_caches,
            rotate=(index * DEEP_EVERY, settings.validators * DEEP_EVERY),
            validator_index=index,
            prepared=self._prepared,
        )
        return Replica(
            index=index,
            validators=self._validators,
            chain=self._chain,
            application=checked,
            clock=ports.clock,
            network=self._lying(index, ports) if index in self._equivocators else ports.network,
            disk=ports.disk,
            signer=self._keys[index],
            config=ReplicaConfig(has_lied=lambda: index in self._equivocators),
        )

    def _note_genesis(self, events: tuple[Record, ...]) -> None:
        if not self._has_genesis:
            self._has_genesis = True
            self._tally.note_genesis(events)

    def _lying(self, index: int, ports: Ports) -> LyingNetwork:
        domains = make_sign_domains(CHAIN_ID, self._genesis_hash)
        random = derive_random(self._plan.settings.seed, f"liar/{index}")
        means = make_means(index, self._plan.settings.validators, self._keys[index], domains, random)
        return LyingNetwork(
            ports.network,
            means,
            LIES["equivocate"],
            lambda: self._plan.plan.is_active("equivocate", self.world.now_ms, validator=index),
        )


def _is_rebuilder(index: int, size: int, height: int) -> bool:
    """Tell whether a validator checks a height's dear invariants: two do, so that one may be down."""
    return (height + index) % size in (0, 1)


def _broken_name(broken: BrokenInvariantError) -> str:
    name = str(broken).partition(":")[0]
    return name if name in invariants.NAMES else LOCAL_CLAIM
