"""Instruments by id and by name, those that are retired too, and when they were listed."""

import re
from collections.abc import Iterable
from typing import Final

from holdfast.gateway.rows import InstrumentRow
from holdfast.primitives.units import DAY_MS, E8
from holdfast.protocol.instruments.params import CONTRACT_SPECS
from holdfast.protocol.instruments.rules import EXPIRY_HOUR_MS, MONTHS, compute_days, compute_instrument
from holdfast.protocol.instruments.state import INSTRUMENTS, NAMES, Instrument, Kind
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.state.draft import Draft

_NAME: Final = re.compile(r"^([A-Z]+)_USDC-([1-9][0-9]?)([A-Z]{3})([0-9]{2})(?:-([1-9][0-9]{0,8})-([CP]))?$")
_CENTURY: Final = 2_000


def parse_name(name: str) -> tuple[int, Kind, int, int] | None:
    """Return (underlying, kind, expiry, strike) that a name says, None where it says none."""
    found = _NAME.match(name)
    if found is None:
        return None
    asset, day, month, year, strike, letter = found.groups()
    if asset not in ASSET_NAMES or month not in MONTHS:
        return None
    days = compute_days(_CENTURY + int(year), MONTHS.index(month) + 1, int(day))
    kind = {"C": Kind.CALL, "P": Kind.PUT}.get(letter or "", Kind.FUTURE)
    return ASSET_NAMES.index(asset), kind, days * DAY_MS + EXPIRY_HOUR_MS, int(strike or 0) * E8


class Instruments:
    """What is known of instruments beside the state. Filled by the follower, read by all, in the gateway's thread."""

    def __init__(self) -> None:
        """Start knowing none."""
        self.rows: dict[int, InstrumentRow] = {}
        self._ids: dict[str, int] = {}
        # What never changes of an instrument serves to show its orders and trades without looking at the state.
        self._seen: dict[int, Instrument] = {}

    def note(self, rows: Iterable[InstrumentRow]) -> None:
        """Take what the index holds, or what a block adds to it."""
        for row in rows:
            known = self.rows.get(row.instrument_id)
            if known is None:
                self.rows[row.instrument_id] = row
            else:
                known.retired_height, known.settled_e8 = row.retired_height, row.settled_e8
            if row.name:
                self._ids[row.name] = row.instrument_id

    def find(self, draft: Draft, name: str) -> int | None:
        """Return the id of a name, of a retired instrument too."""
        found = draft[NAMES].get(name)
        return self._ids.get(name) if found is None else found

    def get(self, draft: Draft, instrument_id: int) -> Instrument | None:
        """Return an instrument, made from its name where it is retired; None where nothing is known of it."""
        live = draft[INSTRUMENTS].get(instrument_id)
        if live is not None:
            self._seen[instrument_id] = live
            return live
        known = self._seen.get(instrument_id)
        row = self.rows.get(instrument_id)
        if known is None and row is not None and row.name:
            parsed = parse_name(row.name)
            spec = None if parsed is None else draft[CONTRACT_SPECS].get(parsed[0])
            if parsed is not None and spec is not None:
                underlying, kind, expiry_ms, strike_e8 = parsed
                known = compute_instrument(spec, underlying, kind, expiry_ms, strike_e8, row.listed_height)
                self._seen[instrument_id] = known
        return known

    def peek(self, instrument_id: int) -> Instrument | None:
        """Return an instrument that was asked for before; whether it is halted may have changed since."""
        return self._seen.get(instrument_id)

    def listed_ms(self, instrument_id: int) -> int:
        """Return when an instrument was listed, 0 where the index does not know."""
        row = self.rows.get(instrument_id)
        return 0 if row is None else row.listed_ms
