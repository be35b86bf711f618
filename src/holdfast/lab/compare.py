"""Runs of one history that differ in their margin alone, side by side."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from holdfast.lab.agents import KINDS
from holdfast.lab.replay_margin import Look
from holdfast.lab.verdict import Verdict
from holdfast.primitives.units import USDC_ATOMS

Named = tuple[str, Verdict]
_MOMENTS: Final = (("an hour before the crash", "before"), ("in the crash", "crash"), ("at the end", "after"))


def to_rows(verdicts: Sequence[Named]) -> list[tuple[str, ...]]:
    """Return a table with one column a run, its head first."""
    kinds = [kind for kind in KINDS if any(kind in verdict.liquidated_kinds for _, verdict in verdicts)]
    columns = [dict(_figures(verdict, kinds)) for _, verdict in verdicts]
    rows = [("margin", *(name for name, _ in verdicts))]
    rows += [(name, *(column[name] for column in columns)) for name in columns[0]]
    return rows


def to_words(verdicts: Sequence[Named]) -> str:
    """Return the table as text."""
    rows = to_rows(verdicts)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def to_json(verdicts: Sequence[Named]) -> str:
    """Return each run's verdict by its margin, as one JSON object."""
    return json.dumps({name: asdict(verdict) for name, verdict in verdicts}, indent=2)


def _figures(verdict: Verdict, kinds: Sequence[str]) -> list[tuple[str, str]]:
    margin = verdict.margin
    return [
        ("insurance used, USDC", _usdc(verdict.insurance_used_atoms)),
        ("insurance fund at the end, USDC", _usdc(verdict.insurance_atoms)),
        ("haircuts, USDC", _usdc(verdict.haircut_atoms)),
        ("deficits", f"{verdict.deficits:,}"),
        ("deficits, USDC", _usdc(verdict.deficit_atoms)),
        ("most owed beyond all equity, USDC", _usdc(margin.owed_most_atoms)),
        ("most owed, share of the fund", _percent(margin.owed_most_of_fund_ppm)),
        ("least equity of all under maintenance, share of it", _percent(margin.under_equity_least_ppm)),
        ("accounts liquidated", f"{verdict.liquidated_accounts:,}"),
        *((f"of them {kind}s", f"{verdict.liquidated_kinds.get(kind, 0):,}") for kind in kinds),
        ("auctions", f"{verdict.auctions:,}"),
        ("margin calls", f"{margin.margin_calls:,}"),
        ("accounts called", f"{margin.accounts_called:,}"),
        ("fills", f"{verdict.fills:,}"),
        ("orders refused for margin", f"{verdict.rejected.get('MARGIN_INITIAL_SHORT', 0):,}"),
        ("peak open interest, USD", f"{margin.interest_peak_usd:,}"),
        *(row for words, name in _MOMENTS for row in _moment(words, getattr(margin, name))),
        ("largest rise of margin per open interest", f"{margin.locked_rise_ppm / 1_000_000:.2f} x"),
        ("changes of ranges", f"{margin.range_changes:,}"),
        ("of them unannounced", f"{margin.range_emergencies:,}"),
        *((f"range of {name} at the start", _percent(ppm)) for name, ppm in margin.ranges_first_ppm.items()),
        *((f"range of {name} at its lowest", _percent(ppm)) for name, ppm in margin.ranges_lowest_ppm.items()),
        *((f"range of {name} at its highest", _percent(ppm)) for name, ppm in margin.ranges_highest_ppm.items()),
        ("promises", "held" if verdict.is_good else "BROKEN"),
    ]


def _moment(words: str, look: Look | None) -> list[tuple[str, str]]:
    """Return what a look shows, in rows that are the same for every run."""
    if look is None:
        return []
    return [
        (f"margin locked {words}, USDC", _usdc(look.locked_atoms)),
        (f"open interest {words}, USD", f"{look.interest_usd:,}"),
        *((f"range of {name} {words}", _percent(ppm)) for name, ppm in look.ranges_ppm.items()),
    ]


def _usdc(atoms: int) -> str:
    return f"{atoms / USDC_ATOMS:,.0f}"


def _percent(ppm: int | None) -> str:
    return "-" if ppm is None else f"{ppm / 10_000:.2f} %"
