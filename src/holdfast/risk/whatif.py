"""What a trade would make of an account's margin before it is sent, and whether the venue would take it.

    impact = judge(portfolio, [parse_trade("+5 BTC_USDC-27MAR26-90000-P @ 1200")])
    impact.fits, impact.before.initial, impact.after.initial

Several trades are judged together, as a bundle, by the end state alone; `judge_one_by_one` judges each on what those
before it have left, and passes over what does not fit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from holdfast.risk.holdfast import MODEL
from holdfast.risk.holdfast.judging import Fill, judge_fills
from holdfast.risk.holdfast.market import Contract
from holdfast.risk.models import DEFAULT_MODEL, compute_margin, find_model
from holdfast.risk.portfolio import Portfolio, net_positions
from holdfast.risk.result import Figure, MarginResult
from holdfast.risk.rows import InputError
from holdfast.risk.trades import Trade, apply_trades, find_key

# What doubles lose, in units of a requirement.
_DUST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Impact:
    """A model's margins before and after trades, the fees in USD, and why the trades do not fit, where they do not."""

    trades: tuple[str, ...]
    before: MarginResult
    after: MarginResult
    fee: float
    refusal: str

    @property
    def fits(self) -> bool:
        return not self.refusal

    def to_dict(self) -> dict[str, Figure]:
        return {
            "trades": self.trades,
            "fits": self.fits,
            "refusal": self.refusal,
            "fee": self.fee,
            "before": _tell(self.before),
            "after": _tell(self.after),
            "difference": {name: after - before for name, before, after in self.list_changes()},
        }

    def list_changes(self) -> list[tuple[str, float, float]]:
        """Return (name, before, after) of both requirements and the mark to market, in the model's currency."""
        before, after = _tell(self.before), _tell(self.after)
        return [(name, before[name], after[name]) for name in before]


def judge(portfolio: Portfolio, trades: Iterable[Trade], model: str = DEFAULT_MODEL) -> Impact:
    """Return what trades together make of a portfolio's margin.

    Under `holdfast` it is the exchange's own check of an account's end state, fees as a taker's included; under another
    model trades fit while the mark to market meets the initial margin, or where no shortfall grows.

    Refuses: what cannot be traded, and what the model refuses.
    """
    return _judge(portfolio, tuple(trades), model)[0]


def judge_one_by_one(portfolio: Portfolio, trades: Iterable[Trade], model: str = DEFAULT_MODEL) -> list[Impact]:
    """Return what each trade makes of what the trades before it have left; one that does not fit is not made."""
    impacts: list[Impact] = []
    for trade in trades:
        impact, after = _judge(portfolio, (trade,), model)
        impacts.append(impact)
        portfolio = after if impact.fits else portfolio
    return impacts


def _judge(portfolio: Portfolio, trades: tuple[Trade, ...], model: str) -> tuple[Impact, Portfolio]:
    find_model(model)
    portfolio = net_positions(portfolio)
    after = apply_trades(portfolio, trades)
    before = replace(portfolio, surfaces=after.surfaces)
    names = tuple(trade.row.removeprefix("trade ").strip("'") for trade in trades)
    if model == MODEL:
        found = judge_fills(before, after, [_make_fill(portfolio, trade) for trade in trades])
        return Impact(names, found.before, found.after, found.fee, found.refusal), found.portfolio
    results = [compute_margin(one, model) for one in (before, after)]
    return Impact(names, results[0], results[1], 0.0, _find_shortfall(results)), after


def _make_fill(portfolio: Portfolio, trade: Trade) -> Fill:
    instrument = trade.instrument
    key = find_key(portfolio, trade)
    if key is None:
        raise InputError(trade.row, "instrument", "the exchange lists no perpetual; its futures are dated")
    is_call = instrument.is_call or instrument.strike is None
    return Fill(trade.row, Contract(*key, instrument.strike or 0.0, is_call), trade.amount, trade.price)


def _find_shortfall(results: Sequence[MarginResult]) -> str:
    """Return why an end state is not taken: a shortfall of either margin that has grown."""
    before, after = (
        [one.initial_requirement - one.mark_to_market, one.maintenance_requirement - one.mark_to_market]
        for one in results
    )
    if after[0] <= _DUST:
        return ""
    for name, first, last in zip(("initial", "maintenance"), before, after, strict=True):
        if last > max(0.0, first) + _DUST:
            return f"{name} margin is short by {last:,.2f} {results[1].currency}"
    return ""


def _tell(result: MarginResult) -> dict[str, float]:
    return {
        "initial": result.initial_requirement,
        "maintenance": result.maintenance_requirement,
        "mark_to_market": result.mark_to_market,
    }
