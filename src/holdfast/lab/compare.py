"""Runs of one history that differ in their margin alone, side by side."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from holdfast.lab.verdict import Verdict
from holdfast.primitives.units import USDC_ATOMS

Named = tuple[str, Verdict]


def to_words(verdicts: Sequence[Named]) -> str:
    """Return a table with one column a run."""
    columns = [dict(_figures(verdict)) for _, verdict in verdicts]
    rows = [("margin", *(name for name, _ in verdicts))]
    rows += [(name, *(column[name] for column in columns)) for name in columns[0]]
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


def _figures(verdict: Verdict) -> list[tuple[str, str]]:
    margin = verdict.margin
    return [
        ("insurance used, USDC", _usdc(verdict.insurance_used_atoms)),
        ("insurance fund at the end, USDC", _usdc(verdict.insurance_atoms)),
        ("haircuts, USDC", _usdc(verdict.haircut_atoms)),
        ("accounts liquidated", f"{verdict.liquidated_accounts:,}"),
        ("auctions", f"{verdict.auctions:,}"),
        ("margin calls", f"{margin.margin_calls:,}"),
        ("accounts called", f"{margin.accounts_called:,}"),
        ("fills", f"{verdict.fills:,}"),
        ("orders refused for margin", f"{verdict.rejected.get('MARGIN_INITIAL_SHORT', 0):,}"),
        ("changes of ranges", f"{margin.range_changes:,}"),
        ("of them unannounced", f"{margin.range_emergencies:,}"),
        *((f"range of {name} at the start", _percent(ppm)) for name, ppm in margin.ranges_first_ppm.items()),
        *((f"range of {name} at its highest", _percent(ppm)) for name, ppm in margin.ranges_highest_ppm.items()),
        *((f"range of {name} at the end", _percent(ppm)) for name, ppm in margin.ranges_last_ppm.items()),
        ("promises", "held" if verdict.is_good else "BROKEN"),
    ]


def _usdc(atoms: int) -> str:
    return f"{atoms / USDC_ATOMS:,.0f}"


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"
