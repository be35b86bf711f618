"""`holdfast replay`: history through the exchange in the simulated world, to a verdict.

One step an interval: the world runs to the middle of the interval, by when an undisturbed height has committed, and the
agents act on what a live validator then holds. The same settings and history give the same roots.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Final, NamedTuple

from holdfast.lab.agents import Population
from holdfast.lab.history import STABLES
from holdfast.lab.keep import keep_chain, open_kept
from holdfast.lab.replay_nodes import BACKSTOP_ATOMS, INSURANCE_ATOMS, Nodes, ObservedExchange
from holdfast.lab.replay_oracle import ReportLog
from holdfast.lab.replay_readers import Readers
from holdfast.lab.replay_series import Collector, Series
from holdfast.lab.replay_settings import ReplayPlan, ReplaySettings, plan_replay
from holdfast.lab.replay_tally import Tally
from holdfast.lab.verdict import Verdict
from holdfast.protocol import invariants
from holdfast.protocol.accounts.state import FUND_DEBT, INSURANCE_FUND
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import ASSET_NAMES, BALANCES
from holdfast.protocol.liquidation.handlers import list_unhealthy
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.state.draft import Draft


class Progress(NamedTuple):
    """How far a run is."""

    interval: int
    intervals: int
    height: int
    time_ms: int
    fills: int
    liquidated: int


class Replay(NamedTuple):
    """What a run leaves: the verdict, and the series of its plots where they were asked for."""

    verdict: Verdict
    series: Series | None
    plan: ReplayPlan


_SURFACE_NOTE: Final = "surfaces: from each validator's own volatility model of the prices that it samples"
OnProgress = Callable[[Progress], None]


def run_replay(settings: ReplaySettings, on_progress: OnProgress | None = None) -> Replay:
    """Run a replay from its settings.

    Refuses: ReplayInputError, HistoryError, FaultSpecError. A validator that fails otherwise raises NodeFailedError.
    """
    started = time.monotonic()
    run = _Run(plan_replay(settings))
    home = None if settings.keep is None else open_kept(settings.keep)
    with Readers(settings.readers, run.live_apps) if settings.readers else nullcontext() as readers:
        run.run(on_progress or (lambda _: None))
    if home is not None:
        keep_chain(home, run.nodes, run.plan)
        home.close()
    reads = readers.reads if readers is not None else 0
    verdict = run.conclude(round(time.monotonic() - started, 3), reads)
    return Replay(verdict, None if run.collector is None else run.collector.series, run.plan)


class _Run:
    """One run in progress."""

    def __init__(self, plan: ReplayPlan) -> None:
        settings = plan.settings
        self.plan = plan
        self.population = Population(settings.seed, settings.agents)
        self.tally = Tally(ReportLog())
        self.nodes = Nodes(plan, self.population, self.tally, self._on_block)
        self.collector = Collector(plan, self.population) if settings.wants_series else None
        self.halted_blocks = 0
        self.restored_at = 0
        self._intervals_with_blocks: set[int] = set()
        self._acted_height = 0

    def run(self, on_progress: OnProgress) -> None:
        """Run every interval of the plan."""
        plan, interval_ms = self.plan, self.plan.settings.interval_ms
        self.nodes.start()
        for interval in range(plan.blocks):
            self.nodes.world.run_until(plan.start_ms + interval * interval_ms + interval_ms // 2)
            self._restore_when_due()
            self._act()
            on_progress(
                Progress(
                    interval + 1,
                    plan.blocks,
                    self.tally.height,
                    self.nodes.world.now_ms,
                    self.tally.fills,
                    len(self.tally.liquidated),
                )
            )
        # The last height has begun; nothing of the next one may.
        self.nodes.world.run_until(plan.end_ms - 1)
        self.halted_blocks = plan.blocks - len(self._intervals_with_blocks)

    def live_apps(self) -> list[ObservedExchange]:
        """Return the applications of the validators that are up."""
        return [self.nodes.apps[index] for index, _ in self.nodes.world.nodes()]

    def _on_block(self, _height: int) -> None:
        now_ms = self.nodes.world.now_ms
        self._intervals_with_blocks.add((now_ms - self.plan.start_ms) // self.plan.settings.interval_ms)
        self.plan.venues.count_block(now_ms)

    def _act(self) -> None:
        """Let the agents act on a new block; while none comes, they wait."""
        live = self.nodes.live()
        if not live:
            return
        index, replica = live[0]
        with self.nodes.apps[index].reading() as draft:
            look = self.tally.margin.look(draft, self.nodes.world.now_ms)
            if self.collector is not None:
                self.collector.collect(self.nodes, draft, look, len(self.tally.liquidated), self.tally.fills)
            if replica.height <= self._acted_height:
                return
            self._acted_height = replica.height
            submissions = self.population.act(draft, replica.height, replica.time_ms, self.nodes.domain)
        for submission in submissions:
            live[(submission.agent_index) % len(live)][1].submit(submission.tx)

    def _restore_when_due(self) -> None:
        """Once the asked height is reached, restore a validator from the first snapshot of a present height."""
        wanted = self.plan.settings.restore_at
        if wanted is None or self.restored_at or self.tally.height < wanted:
            return
        last = self.plan.settings.validators - 1
        node = self.nodes.world.node(last)
        if node is not None and not node.halt_reason and self.nodes.restore_from_snapshot(last):
            self.restored_at = node.height

    def conclude(self, seconds: float, reads: int) -> Verdict:
        """Return the verdict on what was run."""
        plan, tally = self.plan, self.tally
        best = max(self.nodes.world.nodes(), key=lambda pair: (pair[1].height, -pair[0]), default=None)
        app = self.nodes.apps[best[0] if best is not None else 0]
        with app.reading() as draft:
            conservation = self._conservation(draft)
            insurance, owed = get_cash(draft, INSURANCE_FUND), -get_cash(draft, FUND_DEBT)
            unhealthy = len(list_unhealthy(draft))
            in_liquidation = len(draft[LIQUIDATIONS].keys())
        fees = self.nodes.genesis.trading_params
        liquidation = self.nodes.genesis.liquidation_params
        return Verdict(
            blocks=tally.height,
            orders=tally.orders,
            orders_accepted=tally.orders_accepted,
            fills=tally.fills,
            rejected=_ordered(tally.rejected),
            liquidated_accounts=len(tally.liquidated),
            liquidated_kinds=self.population.count_kinds(tally.liquidated),
            auctions=tally.auctions,
            haircut_atoms=tally.haircut_atoms,
            insurance_atoms=insurance,
            settled_instruments=tally.settled_instruments,
            validators=self._validators(),
            app_hashes_agree=not tally.disagreements,
            halted_blocks=self.halted_blocks,
            conservation=conservation,
            invariants={
                name: {"checked": tally.checked[name], "broken": tally.broken[name]}
                for name in (*invariants.NAMES, *sorted(set(tally.broken) - set(invariants.NAMES)))
            },
            oracle={name: feed.as_dict() for name, feed in tally.feeds.items()},
            undercollateralised_at_end=unhealthy,
            seconds=seconds,
            seed=plan.settings.seed,
            root_log_sha256=tally.root_log.hex(),
            insurance_used_atoms=tally.insurance_used_atoms,
            insurance_owed_atoms=owed,
            deficits=tally.deficits,
            deficit_atoms=tally.deficit_atoms,
            margin=tally.margin.figures(self.nodes.genesis),
            in_liquidation_at_end=in_liquidation,
            refused_order_types=_ordered(tally.refused_types),
            commands=tally.commands,
            instruments_listed=tally.instruments_listed,
            start_ms=plan.start_ms,
            end_ms=plan.end_ms,
            agents=self.population.starting_money(),
            fees={
                "maker_ppm": fees.maker_ppm,
                "taker_ppm": fees.taker_ppm,
                "option_cap_ppm": fees.option_cap_ppm,
                "insurance_share_ppm": fees.insurance_share_ppm,
                "liquidation_ppm": liquidation.fee_ppm,
            },
            insurance_first_atoms=INSURANCE_ATOMS,
            backstop_first_atoms=BACKSTOP_ATOMS,
            faults=list(plan.settings.faults),
            faults_fired={kind: count for kind, count in plan.plan.fired.items() if count},
            synthetic_only_blocks=dict(plan.venues.synthetic_only_blocks),
            taken_at_par=[name for name in STABLES if not plan.history.sources_of(name)],
            notes=[*plan.history.notes, _SURFACE_NOTE],
            disagreements=[f"validator {index} at height {height}" for index, height in tally.disagreements],
            reads=reads,
            restored_from_snapshot_at=self.restored_at,
        )

    def _validators(self) -> list[dict[str, int | str]]:
        rows: list[dict[str, int | str]] = []
        for index in range(self.plan.settings.validators):
            node = self.nodes.world.node(index)
            name = f"validator-{index}"
            if node is None:
                app = self.nodes.apps[index]
                app_hash = app.info().app_hash.hex()
                rows.append({"name": name, "height": app.height, "app_hash": app_hash, "status": "down"})
                continue
            status = f"halted: {node.halt_reason}" if node.halt_reason else node.status
            rows.append({"name": name, "height": node.height, "app_hash": node.app_hash.hex(), "status": status})
        return rows

    def _conservation(self, draft: Draft) -> dict[str, dict[str, int]]:
        """Compare what the receipts say has come in and gone out with what is held, asset by asset."""
        held: Counter[str] = Counter()
        for (_, asset_id), amount in draft[BALANCES].items():
            held[ASSET_NAMES[asset_id]] += amount
        return {
            name: {
                "deposited_atoms": self.tally.deposited[name],
                "withdrawn_atoms": self.tally.withdrawn[name],
                "held_atoms": held[name],
                "difference_atoms": self.tally.deposited[name] - self.tally.withdrawn[name] - held[name],
            }
            for name in ASSET_NAMES
        }


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
