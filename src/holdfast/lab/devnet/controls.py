"""What an operator may do to a running devnet: faults, prices, time, deposits. Served under `dev/`."""

import threading
import time
from collections.abc import Callable
from typing import Final

from holdfast.gateway.backend import Json
from holdfast.lab.devnet.target import ClusterTarget
from holdfast.lab.fault_effects import Effects
from holdfast.lab.fault_specs import ASSETS, parse_live_fault
from holdfast.lab.faults import FOREVER_MS, Fault, FaultPlan
from holdfast.lab.market.accounts import Custodian
from holdfast.node.embedded import Cluster
from holdfast.node.replica_env import LogLine
from holdfast.primitives.units import DAY_MS, MINUTE_MS
from holdfast.protocol.messages import command_domain

ADVANCE_MAX_MS: Final = 400 * DAY_MS
_LOOK_EVERY_S: Final = 0.05
_STALLED_S: Final = 20.0
_POLL_S: Final = 0.005


class Controls:
    """The operator's hands. Errors are ValueError, whose message names what is wrong and the mend."""

    def __init__(
        self,
        cluster: Cluster,
        plan: FaultPlan,
        target: ClusterTarget,
        custodian: Custodian,
        venue_names: tuple[str, ...],
        price_of: Callable[[str], float],
        log: LogLine,
    ) -> None:
        """Control a cluster; `start` begins to look after the faults."""
        self._cluster = cluster
        self._plan = plan
        self._target = target
        self._custodian = custodian
        self._venue_names = venue_names
        self._price_of = price_of
        self._log = log
        self._effects = Effects(target)
        self._advancing: _Advance | None = None
        self._plan_lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and stop advancing."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._advancing is not None:
            self._advancing.join()

    def fault(self, spec: str) -> Json:
        """Inject a fault, written as for `replay` but beginning now: `crash:validator=3,for=30s`."""
        now_ms = self._cluster.now_ms()
        fault = parse_live_fault(
            spec, validators=len(self._cluster.validators), venues=self._venue_names, now_ms=now_ms
        )
        number = self._plan.add(fault)
        self._plan_due()
        return {"number": number, **_show(fault, now_ms)}

    def heal(self, number: int | None = None) -> Json:
        """End one fault, or every fault that is on."""
        ended = self._plan.end(self._cluster.now_ms(), number)
        if number is not None and not ended:
            raise ValueError(f"fault {number}: is not on; `holdfast dev status` lists those that are")
        self._plan_due()
        return {"ended": ended}

    def advance(self, by_ms: int) -> Json:
        """Begin to make blocks a minute apart until so much time has passed; `status` tells how far it is."""
        if not 0 < by_ms <= ADVANCE_MAX_MS:
            raise ValueError(f"by_ms={by_ms}: advance by more than nothing and at most 400 days")
        if self._advancing is not None and self._advancing.is_on:
            raise ValueError("by_ms: the devnet advances already; `holdfast dev status` tells how far it is")
        self._advancing = _Advance(self._cluster, self._cluster.now_ms() + by_ms, self._is_stopping)
        self._advancing.start()
        return self._advancing.show()

    def price(self, asset: str, *, factor: float | None, price: float | None) -> Json:
        """Move an asset's true price by a factor, or to a level, until it is healed."""
        if (factor is None) == (price is None):
            raise ValueError("factor, price: give one of them")
        if asset not in ASSETS:
            raise ValueError(f"asset={asset}: is not one of {', '.join(ASSETS)}")
        ratio = factor if price is None else price / self._price_of(asset)
        return self.fault(f"price:asset={asset},factor={ratio or 0:.6f}")

    def deposit(self, owner_key: bytes, asset_id: int, amount_atoms: int) -> bytes:
        """Return the custodian's signed deposit; the first one to a key opens its account."""
        domain = command_domain(self._cluster.chain_id, self._cluster.genesis_hash)
        with self._cluster.reading() as view:
            return self._custodian.deposit(view.draft, domain, owner_key, asset_id, amount_atoms)

    def status(self) -> Json:
        """Return which faults are on, and how far an advance is."""
        now_ms = self._cluster.now_ms()
        return {
            "time_ms": now_ms,
            "ahead_of_utc_ms": self._cluster.time_base.advanced_ms,
            "faults": [{"number": number, **_show(fault, now_ms)} for number, fault in self._plan.list_active(now_ms)],
            "advance": None if self._advancing is None else self._advancing.show(),
        }

    def _plan_due(self) -> None:
        with self._plan_lock:
            self._plan.run_due(self._effects, self._cluster.now_ms())

    def _run(self) -> None:
        while not self._is_stopping.wait(_LOOK_EVERY_S):
            try:
                self._plan_due()
            except Exception as error:  # noqa: BLE001 -- one fault that cannot be done must not keep the others from ending
                self._log("fault_failed", {"reason": f"{type(error).__name__}: {error}"})


class _Advance:
    """Time on its way ahead: one jump of a minute behind each block, so that no minute is without one."""

    def __init__(self, cluster: Cluster, target_ms: int, is_stopping: threading.Event) -> None:
        self._cluster = cluster
        self._from_ms = cluster.now_ms()
        self._target_ms = target_ms
        self._is_stopping = is_stopping
        self._first_height = cluster.height
        self._outcome = ""
        self._thread = threading.Thread(target=self._run, name="advance", daemon=True)

    @property
    def is_on(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive():
            self._thread.join()

    def show(self) -> dict[str, object]:
        return {
            "from_ms": self._from_ms,
            "target_ms": self._target_ms,
            "now_ms": self._cluster.now_ms(),
            "blocks": self._cluster.height - self._first_height,
            "state": "advancing" if self.is_on else self._outcome,
        }

    def _run(self) -> None:
        # A block carries the time of the votes for the one before, so the chain is there two blocks after its clocks.
        left_to_come = 2
        while left_to_come:
            if not self._wait_for_block():
                self._outcome = "interrupted" if self._is_stopping.is_set() else "stalled: no block comes"
                return
            left_ms = self._target_ms - self._cluster.now_ms()
            if left_ms > 0:
                self._cluster.advance(min(MINUTE_MS, left_ms))
            else:
                left_to_come -= 1
        self._outcome = "done"

    def _wait_for_block(self) -> bool:
        """Wait for a block above the present one, at all validators that take part; tell whether it came."""
        height = self._cluster.height
        deadline_s = time.monotonic() + _STALLED_S
        while time.monotonic() < deadline_s and not self._is_stopping.is_set():
            heights = [one.height for one in self._cluster.validators if one.status == "running"]
            if heights and min(heights) > height:
                return True
            time.sleep(_POLL_S)
        return False


def _show(fault: Fault, now_ms: int) -> dict[str, object]:
    given = {
        name: value for name, value in fault._asdict().items() if value is not None and name not in {"from_ms", "to_ms"}
    }
    left_ms = None if fault.to_ms >= FOREVER_MS else max(0, fault.to_ms - now_ms)
    return {**given, "left_ms": left_ms}
