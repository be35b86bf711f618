"""What a replay came to: one record, as JSON for machines and in words for people."""

import json
from dataclasses import asdict, dataclass
from typing import Final

from holdfast.lab.replay_margin import MarginFigures
from holdfast.lab.replay_settings import show_time
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES

_SHOWN_MAX: Final = 10


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Every figure of a run. Counts and `*_atoms` are integers."""

    blocks: int
    orders: int
    orders_accepted: int
    fills: int
    rejected: dict[str, int]
    liquidated_accounts: int
    auctions: int
    haircut_atoms: int
    insurance_atoms: int
    settled_instruments: int
    validators: list[dict[str, int | str]]
    app_hashes_agree: bool
    halted_blocks: int
    conservation: dict[str, dict[str, int]]
    invariants: dict[str, dict[str, int]]
    oracle: dict[str, dict[str, int]]
    undercollateralised_at_end: int
    seconds: float
    seed: int
    root_log_sha256: str
    # Beyond what every caller may rely on: what the figures above rest on.
    insurance_used_atoms: int
    insurance_owed_atoms: int  # at the end: deficits that nobody could bear
    deficits: int  # accounts closed that owed more than their coins were worth
    deficit_atoms: int
    liquidated_kinds: dict[str, int]
    margin: MarginFigures
    in_liquidation_at_end: int
    refused_order_types: dict[str, int]
    commands: int
    instruments_listed: int
    start_ms: int
    end_ms: int
    agents: dict[str, dict[str, int]]
    fees: dict[str, int]
    insurance_first_atoms: int
    backstop_first_atoms: int
    faults: list[str]
    faults_fired: dict[str, int]
    synthetic_only_blocks: dict[str, int]
    taken_at_par: list[str]
    notes: list[str]
    disagreements: list[str]
    reads: int
    restored_from_snapshot_at: int

    @property
    def failures(self) -> tuple[str, ...]:
        """Return each promise that did not hold, in words; none where the run is good."""
        found: list[str] = []
        if not self.app_hashes_agree:
            found.append(f"validators disagree: {'; '.join(self.disagreements[:5])}")
        for name, counts in self.invariants.items():
            if counts["broken"]:
                found.append(f"{name} was broken {counts['broken']} times")
        for asset, money in self.conservation.items():
            if money["difference_atoms"]:
                found.append(f"{asset} is not conserved: {money['difference_atoms']} atoms differ")
        found.extend(
            f"{validator['name']} {validator['status']} (height {validator['height']})"
            for validator in self.validators
            if str(validator["status"]).startswith("halted")
        )
        return tuple(found)

    @property
    def is_good(self) -> bool:
        """Tell whether every promise held."""
        return not self.failures

    def to_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def to_words(self) -> str:
        """Return the verdict for people."""
        word = "GOOD" if self.is_good else "BROKEN"
        span = f"{show_time(self.start_ms)} to {show_time(self.end_ms)}"
        return "\n".join(
            [
                f"{word}: {self.blocks:,} blocks, {span}, seed {self.seed}, {self.seconds:.1f} s",
                *(f"  BROKEN: {failure}" for failure in self.failures),
                *self._chain_words(),
                *self._market_words(),
                *self._safety_words(),
                *self._oracle_words(),
                *self._setting_words(),
            ]
        )

    def _chain_words(self) -> list[str]:
        lines = []
        for validator in self.validators:
            app_hash = str(validator["app_hash"])[:16]
            lines.append(f"  {validator['name']}: height {validator['height']}, {app_hash}..., {validator['status']}")
        agree = "agree at every height that two hold" if self.app_hashes_agree else "DISAGREE"
        halted = f"; {self.halted_blocks} intervals passed without a block" if self.halted_blocks else ""
        return [f"Validators: app hashes {agree}{halted}", *lines, f"  root log {self.root_log_sha256}"]

    def _market_words(self) -> list[str]:
        orders = f"{self.orders:,} orders in {self.commands:,} commands, {self.orders_accepted:,} accepted"
        instruments = f"{self.instruments_listed:,} instruments listed, {self.settled_instruments:,} settled"
        return [
            f"Market: {orders}, {self.fills:,} fills; {instruments}",
            f"  refused: {_listed(self.rejected)}",
            f"  refused by order type: {_listed(self.refused_order_types)}",
        ]

    def _safety_words(self) -> list[str]:
        fund = f"{_dollars(self.insurance_first_atoms)} at the start, {_dollars(self.insurance_atoms)} at the end"
        fund += f", owing {_dollars(self.insurance_owed_atoms)}" if self.insurance_owed_atoms else ""
        end = f"{self.undercollateralised_at_end}; still in liquidation: {self.in_liquidation_at_end}"
        held = ", ".join(f"{asset} {money['difference_atoms']}" for asset, money in self.conservation.items())
        checked = min((counts["checked"] for counts in self.invariants.values()), default=0)
        broken = sum(counts["broken"] for counts in self.invariants.values())
        haircut = f"haircut {_dollars(self.haircut_atoms)}"
        kinds = "".join(f", {_counted(count, kind)}" for kind, count in self.liquidated_kinds.items())
        deficits = f"{self.deficits:,} deficits of {_dollars(self.deficit_atoms)}"
        return [
            f"Liquidation: {self.liquidated_accounts:,} accounts{kinds}; {self.auctions:,} auctions; {deficits}",
            f"  fund {fund}; used {_dollars(self.insurance_used_atoms)}; {haircut}",
            f"  under maintenance margin at the end: {end}",
            f"Margin: {self._margin_words()}",
            f"Conservation: differences in atoms {held}",
            f"Invariants: {len(self.invariants)}, each checked in at least {checked:,} blocks, {broken} broken",
        ]

    def _margin_words(self) -> str:
        margin = self.margin
        calls = f"{margin.margin_calls:,} calls to {margin.accounts_called:,} accounts"
        ranges = ", ".join(
            f"{name} {first / 10_000:.2f} to {margin.ranges_last_ppm[name] / 10_000:.2f} %"
            f" (highest {margin.ranges_highest_ppm[name] / 10_000:.2f} %)"
            for name, first in margin.ranges_first_ppm.items()
        )
        peak = f"open interest at most {margin.interest_peak_usd:,} USD"
        if not margin.is_adaptive:
            return f"fixed ranges, {ranges}; {calls}; {peak}"
        changes = f"{margin.range_changes:,} changes, {margin.range_emergencies:,} unannounced"
        return f"adaptive ranges, {ranges}, {changes}, from {margin.past_epochs:,} returns before; {calls}; {peak}"

    def _oracle_words(self) -> list[str]:
        return [
            f"Oracle {feed}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
            for feed, counts in self.oracle.items()
        ]

    def _setting_words(self) -> list[str]:
        lines = [f"Fault: {fault}" for fault in self.faults]
        kinds = ", ".join(_counted(row["agents"], kind) for kind, row in self.agents.items())
        money = ", ".join(
            f"{sum(row[f'{name.lower()}_atoms'] for row in self.agents.values()) // atoms:,} {name}"
            for name, atoms in zip(ASSET_NAMES, ASSET_ATOMS, strict=True)
        )
        lines.append(f"Agents: {kinds}; starting with {money}")
        lines.append(f"Fees: {', '.join(f'{name} {value:,}' for name, value in self.fees.items())}")
        lines.append(f"Blocks priced by synthetic venues alone: {_listed(self.synthetic_only_blocks)}")
        if self.taken_at_par:
            lines.append(f"Taken at par with USD, no rate in this input: {', '.join(self.taken_at_par)}")
        lines.extend(f"Note: {note}" for note in self.notes)
        return lines


def _listed(counts: dict[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:_SHOWN_MAX]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "") if shown else "none"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _dollars(atoms: int) -> str:
    sign, whole = ("-" if atoms < 0 else ""), abs(atoms) // USDC_ATOMS
    return f"{sign}{whole:,} USDC"
