"""The market on one application without consensus, block by block: for tests, and to measure what the market costs."""

import time
from collections import Counter
from collections.abc import Mapping

from holdfast.lab.faults import FaultPlan
from holdfast.lab.market.accounts import Nonces, genesis_accounts, make_custodian
from holdfast.lab.market.path import PricePath
from holdfast.lab.market.reporter import make_report_sources
from holdfast.lab.market.traders import Traders
from holdfast.lab.market.venues import MarketVenues
from holdfast.lab.solo import START_MS, Solo
from holdfast.primitives.reject import Code
from holdfast.primitives.units import SECOND_MS
from holdfast.protocol.machine import Receipt
from holdfast.protocol.trading.messages import Quoted, Traded
from holdfast.state.draft import Draft


class Rehearsal(Solo):
    """A chain of one application with the whole market around it, whose clock the caller moves."""

    def __init__(
        self,
        seed: int = 1,
        *,
        interval_ms: int = 250,
        start_ms: int = START_MS,
        plan: FaultPlan | None = None,
        genesis_changes: Mapping[str, object] | None = None,
    ) -> None:
        """Begin a chain and its market."""
        self.plan = plan or FaultPlan()
        self.path = PricePath(seed, start_ms)
        self.venues = MarketVenues(self.path, seed, self.plan.venue_fault)
        self._sources = make_report_sources(
            self.venues, self.plan, lambda: self.time_ms, validators=1, seed=seed, interval_ms=interval_ms
        )
        super().__init__(
            0,
            genesis_changes={
                "accounts": genesis_accounts(),
                "custodian_key": make_custodian().public_key,
                "time_ms": start_ms,
                **(genesis_changes or {}),
            },
            rebuilds=False,
            interval_ms=interval_ms,
        )
        self.time_ms = start_ms
        self.seed = seed
        self.commands: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.quote_codes: Counter[str] = Counter()
        self.trades: list[Traded] = []
        self.act_seconds: list[float] = []
        self.block_seconds: list[float] = []
        self.report_seconds: list[float] = []
        self._acted_ms = 0
        self.reopen()

    def reopen(self) -> None:
        """Put new traders in the place of the old ones, as a new process does."""
        self.traders = Traders(self.seed, Nonces())

    def report(self, height: int, draft: Draft) -> bytes:
        """Return the report of the one reporter, which all validators give."""
        started = time.perf_counter()
        data = self._sources[0](height, draft)
        self.report_seconds.append(time.perf_counter() - started)
        return data

    def advance(self, blocks: int, *, interval_ms: int | None = None) -> None:
        """Make blocks; the traders act on the state before one when a second has passed since they last did."""
        for _ in range(blocks):
            txs: list[bytes] = []
            if self.height and self.time_ms - self._acted_ms >= SECOND_MS:
                self._acted_ms = self.time_ms
                started = time.perf_counter()
                txs = self.traders.act(self.draft(), self.height, self.time_ms, self.domain)
                self.act_seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            self.block(*txs, time_ms=self.time_ms + (interval_ms or self.interval_ms))
            self.block_seconds.append(time.perf_counter() - started)
            applied = self.app.last_applied
            if applied is not None:
                self._note(applied.receipts)

    def _note(self, receipts: tuple[Receipt, ...]) -> None:
        for receipt in receipts:
            self.codes[Code(receipt.code).name] += 1
            for event in receipt.events:
                self.commands[type(event).__name__] += 1
                if isinstance(event, Quoted):
                    self.quote_codes.update(Code(code).name for code in event.codes)
                if isinstance(event, Traded):
                    self.trades.append(event)
