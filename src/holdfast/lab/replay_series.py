"""What the report's plots show, collected once a block interval. Nothing here touches the run."""

from dataclasses import dataclass, field
from typing import Final

from holdfast.lab.agents import KINDS, Population
from holdfast.lab.replay_margin import Look
from holdfast.lab.replay_nodes import Nodes
from holdfast.lab.replay_settings import ReplayPlan
from holdfast.primitives.units import PPM
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.liquidation.state import LIQUIDATIONS
from holdfast.protocol.margin.state import RISK_MATRIX
from holdfast.protocol.oracle.state import FEEDS
from holdfast.state.draft import Draft

# The low, middle and high of each kind's band: places in a hundred.
BAND_PERCENT: Final = (10, 50, 90)


@dataclass
class Series:
    """One entry an interval in every list; None where there is nothing to show."""

    times_ms: list[int] = field(default_factory=list)
    elapsed: list[int] = field(default_factory=list)  # the height that a chain without a halt would have
    venues: dict[str, dict[str, list[int | None]]] = field(default_factory=dict)
    medians: dict[str, list[int | None]] = field(default_factory=dict)
    equity_ppm: dict[str, list[tuple[int, int, int] | None]] = field(default_factory=dict)
    insurance_atoms: list[int] = field(default_factory=list)
    liquidated: list[int] = field(default_factory=list)
    in_liquidation: list[int] = field(default_factory=list)
    heights: dict[str, list[int | None]] = field(default_factory=dict)
    fills: list[int] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


class Collector:
    """Fills a series."""

    def __init__(self, plan: ReplayPlan, population: Population) -> None:
        """Prepare one list for every line of every plot."""
        self.series = Series()
        self._plan = plan
        self._members = {
            kind: [agent.account_id for agent in population.agents if agent.kind == kind] for kind in KINDS
        }
        self._first: dict[int, int] = {}
        for feed in plan.history.feeds:
            self.series.venues[feed] = {venue: [] for venue in plan.venues.names(feed)}
            self.series.medians[feed] = []
        self.series.equity_ppm = {kind: [] for kind in KINDS}
        self.series.heights = {f"validator {index}": [] for index in range(plan.settings.validators)}

    def collect(self, nodes: Nodes, draft: Draft, look: Look, liquidated: int, fills: int) -> None:
        """Take one look at the venues, a committed state and the validators."""
        series, now_ms = self.series, nodes.world.now_ms
        series.times_ms.append(now_ms)
        series.elapsed.append((now_ms - self._plan.start_ms) // self._plan.settings.interval_ms + 1)
        for feed, venues in series.venues.items():
            told = {quote.venue: quote.price_e8 for quote in self._plan.venues.quotes(feed, now_ms)}
            for venue, prices in venues.items():
                prices.append(told.get(venue))
            row = draft[FEEDS].get(ASSET_NAMES.index(feed))
            series.medians[feed].append(None if row is None else row.price_e8)
        self._collect_equity(draft)
        series.insurance_atoms.append(get_cash(draft, INSURANCE_FUND))
        series.liquidated.append(liquidated)
        series.in_liquidation.append(len(draft[LIQUIDATIONS].keys()))
        series.fills.append(fills)
        series.looks.append(look)
        up = dict(nodes.world.nodes())
        for index, heights in enumerate(series.heights.values()):
            heights.append(up[index].height if index in up else None)

    def _collect_equity(self, draft: Draft) -> None:
        """Note each kind's band of equity as a share of what its accounts had at first sight."""
        matrix = draft[RISK_MATRIX].get(0)
        ids, values = ([], []) if matrix is None else (matrix.account_ids.tolist(), matrix.equity_atoms.tolist())
        equities: dict[int, int] = dict(zip(ids, values, strict=True))
        for kind, members in self._members.items():
            shares: list[int] = []
            for account_id in members if matrix is not None else ():
                # What holds neither position nor coin has its cash alone, and no place in the matrix.
                equity = equities[account_id] if account_id in equities else get_cash(draft, account_id)
                first = self._first.setdefault(account_id, equity)
                if first > 0:
                    shares.append(equity * PPM // first)
            shares.sort()
            low, middle, high = (shares[(len(shares) - 1) * place // 100] if shares else 0 for place in BAND_PERCENT)
            self.series.equity_ppm[kind].append((low, middle, high) if shares else None)
