"""Reader threads: queries against live replicas from other threads, while the chain runs. They must change nothing."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from holdfast.lab.replay_nodes import ObservedExchange
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.ledger.state import BALANCES
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.oracle.state import FEEDS

_PAUSE_SECONDS: Final = 0.002
_ACCOUNTS_PER_READ: Final = 5


class Readers:
    """So many threads that read for as long as the context lasts."""

    def __init__(self, count: int, apps: Callable[[], list[ObservedExchange]]) -> None:
        """Prepare the threads; `apps` gives the applications that are up."""
        self._apps = apps
        self._stop = threading.Event()
        self._reads = [0] * count
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(place,), daemon=True) for place in range(count)]

    @property
    def reads(self) -> int:
        """Return how many reads were answered."""
        return sum(self._reads)

    def __enter__(self) -> Self:
        """Start reading."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop, and raise what a reader has met."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def _run(self, place: int) -> None:
        try:
            while not self._stop.wait(_PAUSE_SECONDS):
                for app in self._apps():
                    self._read(app, place)
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that waits
            self._errors.append(error)

    def _read(self, app: ObservedExchange, place: int) -> None:
        with app.reading() as draft:
            account_ids = list(draft[ACCOUNTS].keys())
            if not account_ids:
                return
            for step in range(_ACCOUNTS_PER_READ):
                account_id = account_ids[(self._reads[place] + step) % len(account_ids)]
                margin.get_requirement(draft, account_id)
            keys = [BALANCES.encode_key(key) for key in draft[BALANCES].keys()[:2]]
            _ = [feed.price_e8 for _, feed in draft[FEEDS].items()]
        for key in keys:
            app.query("row", key)
        self._reads[place] += 1
