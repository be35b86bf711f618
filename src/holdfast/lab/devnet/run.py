"""A whole devnet: validators, market and operator's controls, from start to stop. The gateway is put in front of it."""

import time
from typing import Final

from holdfast.client.signing import SigningKey
from holdfast.consensus.messages import make_sign_domains
from holdfast.lab.byzantine import LIES, LyingNetwork, make_means
from holdfast.lab.devnet.chain import Ground, guard_keys, make_cluster, prepare
from holdfast.lab.devnet.controls import Controls
from holdfast.lab.devnet.drive import Drive
from holdfast.lab.devnet.market import Market
from holdfast.lab.devnet.settings import DevnetSettings
from holdfast.lab.devnet.target import ClusterTarget
from holdfast.lab.faults import FaultPlan
from holdfast.lab.market.accounts import Custodian, Nonces
from holdfast.lab.market.traders import Traders
from holdfast.lab.world import derive_random
from holdfast.node.loop import Timebase
from holdfast.node.ports import Network
from holdfast.node.replica_env import LogLine

_LOOK_EVERY_S: Final = 0.01


class Devnet:
    """One running devnet. `start` and `stop` once each."""

    def __init__(self, settings: DevnetSettings, log: LogLine) -> None:
        """Open or lay out the chain and wire everything; nothing runs yet.

        Refuses: SettingsError, HomeError, KeyInUseError.
        """
        settings.check()
        self.settings = settings
        self.time_base = Timebase()
        self.ground: Ground = prepare(settings, self.time_base.now_ms())
        self._guards = guard_keys(self.ground)
        about = self.ground.about
        self.plan = FaultPlan()
        self._liars: set[int] = set()
        self.market = Market(
            self.plan,
            self.time_base.now_ms,
            seed=about.seed,
            validators=about.validators,
            interval_ms=about.block_interval_ms,
        )
        self.cluster = make_cluster(
            settings,
            self.ground,
            self.time_base,
            make_reporter=self.market.report_source,
            wrap_network=self._wrap_network,
            has_lied=lambda index: index in self._liars,
            log=log,
        )
        nonces = Nonces()
        custodian = Custodian(nonces)
        target = ClusterTarget(self.cluster, self.market, self._wipe)
        self.controls = Controls(
            self.cluster, self.plan, target, custodian, self.market.venue_names, self.market.price_of, log
        )
        self.drive = Drive(self.cluster, Traders(about.seed, nonces), log, time.monotonic)

    @property
    def persistence(self) -> str:
        """Return where the chain is kept, in words."""
        home = self.ground.home
        return "in memory, lost on exit" if home is None else str(home.root)

    def start(self) -> None:
        """Bring everything up."""
        self.cluster.start()
        self.controls.start()
        if self.settings.has_market:
            self.drive.start()

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait for the first new block; tell whether it came in time."""
        deadline_s = time.monotonic() + timeout_s
        first = None
        while time.monotonic() < deadline_s:
            running = [one for one in self.cluster.validators if one.status == "running"]
            if running:
                self._catch_up_with_chain()
                height = self.cluster.height
                first = height if first is None else first
                if height > max(first, 1):
                    return True
            time.sleep(_LOOK_EVERY_S)
        return False

    def stop(self) -> None:
        """Bring everything down cleanly."""
        self.drive.stop()
        self.controls.stop()
        self.cluster.stop()
        for guard in self._guards:
            guard.release()
        if self.ground.home is not None:
            self.ground.home.close()

    def _catch_up_with_chain(self) -> None:
        """Set the time to the chain's, where an operator had advanced it before this start."""
        chain_ms = max((one.replica.time_ms for one in self.cluster.validators if one.replica is not None), default=0)
        ahead_ms = chain_ms - self.cluster.now_ms()
        if ahead_ms > 0:
            self.cluster.advance(ahead_ms)

    def _wrap_network(self, index: int, key: SigningKey, inner: Network) -> Network:
        about = self.ground.about
        domains = make_sign_domains(about.chain_id, bytes.fromhex(about.genesis_hash))
        means = make_means(index, about.validators, key, domains, derive_random(about.seed, f"liar/{index}"))
        return LyingNetwork(
            inner,
            means,
            LIES["equivocate"],
            lambda: self._is_lying(index),
        )

    def _is_lying(self, index: int) -> bool:
        """Tell whether a validator lies now, and remember whoever ever did: its replica knows nothing of it."""
        is_lying = self.plan.is_active("equivocate", self.time_base.now_ms(), validator=index)
        if is_lying:
            self._liars.add(index)
        return is_lying

    def _wipe(self, index: int) -> None:
        disk = self.cluster.validators[index].given.open_disk()
        for name in disk.names():
            disk.delete(name)
