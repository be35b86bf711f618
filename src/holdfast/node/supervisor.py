"""Who looks after the validators of one process: what died comes back, what is damaged is made anew from its peers.

its disk fails       tried again, less and less often: space may be freed
its store is damaged its files are set aside and it starts empty, if the others can go on without it
a promise is broken, or another instance has its key: it stays down, since a restart mends neither
anything else        restarted a few times, then left down
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from holdfast.node.validator import Cause, Failure, Validator

_LOOK_EVERY_S: Final = 0.25
_WAIT_FIRST_S: Final = 0.5
_WAIT_MAX_S: Final = 30.0
_FAILURES_MAX: Final = 5
# A validator that has been up so long has recovered: its failures are forgotten.
_HEALTHY_S: Final = 60.0


class _Record:
    """What is remembered of one validator."""

    __slots__ = ("due_s", "failures", "up_since_s")

    def __init__(self) -> None:
        self.failures = 0
        self.due_s = 0.0
        self.up_since_s = 0.0


class Supervisor:
    """Restarts validators that went down by themselves. Those that an operator stopped are left alone."""

    def __init__(self, validators: Sequence[Validator], set_aside: Callable[[int], str]) -> None:
        """Look after some validators; `start` begins it."""
        self._validators = validators
        self._set_aside = set_aside
        self._records = [_Record() for _ in validators]
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, now_s: float) -> None:
        """Look once at everybody, and bring back whose time has come."""
        for validator, record in zip(self._validators, self._records, strict=True):
            failure = validator.failure()
            if failure is None:
                if validator.is_serving and now_s - record.up_since_s > _HEALTHY_S:
                    record.failures = 0
                continue
            if record.due_s == 0.0:
                self._note(validator, record, failure, now_s)
            if record.due_s <= now_s:
                self._bring_back(validator, record, failure, now_s)

    def _note(self, validator: Validator, record: _Record, failure: Failure, now_s: float) -> None:
        record.failures += 1
        wait_s = min(_WAIT_MAX_S, _WAIT_FIRST_S * 2 ** min(record.failures - 1, 10))
        is_hopeless = failure.cause in (Cause.BROKEN, Cause.FOREIGN)
        gives_up = is_hopeless or (failure.cause is Cause.ERROR and record.failures > _FAILURES_MAX)
        record.due_s = float("inf") if gives_up else now_s + wait_s
        validator.given.log(
            "validator_left_down" if gives_up else "validator_failed",
            {"validator": validator.given.index, "cause": failure.cause.name.lower(), "reason": failure.reason},
        )

    def _bring_back(self, validator: Validator, record: _Record, failure: Failure, now_s: float) -> None:
        is_damaged = failure.cause is Cause.DAMAGED
        if is_damaged and not self._can_spare(validator):
            return
        record.due_s = 0.0
        record.up_since_s = now_s
        validator.stop()
        if is_damaged:
            place = self._set_aside(validator.given.index)
            validator.given.log("store_set_aside", {"validator": validator.given.index, "place": place})
        validator.start(state_sync=is_damaged)
        validator.given.log("validator_restarted", {"validator": validator.given.index})

    def _can_spare(self, validator: Validator) -> bool:
        """Tell whether the others hold more than two thirds of power without this one."""
        power = {
            one.given.index: info.power for one, info in zip(self._validators, validator.given.validators, strict=True)
        }
        others = sum(power[one.given.index] for one in self._validators if one is not validator and one.is_serving)
        return 3 * others > 2 * sum(power.values())

    def _run(self) -> None:
        while not self._is_stopping.wait(_LOOK_EVERY_S):
            self.look(time.monotonic())
