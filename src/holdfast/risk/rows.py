"""What was given, row by row: reading a field refuses what is not a usable number, and names the row and the field.

A row is a mapping with a label, such as `positions[2]` of a JSON document or `line 7 (positions)` of a CSV file.
Numbers may be written as text, as CSV and the published vectors do. No number of this package is a NaN or an infinity.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

# Beyond these a figure is a slip of the pen, not a position: coins, USD, USD a coin.
AMOUNT_MAX: Final = 1e9
MONEY_MAX: Final = 1e15
PRICE_MAX: Final = 1e9
SECONDS_MAX: Final = 10 * 366 * 86_400.0

# How much of each part an error tells, and of a value that it names.
_TOLD_MAX: Final = 1_000
_VALUE_TOLD_MAX: Final = 40

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class InputError(ValueError):
    """What was given cannot be margined; its text is one line that names the row and the field."""

    def __init__(self, row: str, field: str, problem: str) -> None:
        """Keep where the problem is, and the problem; what was given may be longer than a line can hold."""
        self.row, self.field, self.problem = (_shorten(part, _TOLD_MAX) for part in (row, field, problem))
        super().__init__(": ".join(part for part in (self.row, self.field, self.problem) if part))


@dataclass(frozen=True, slots=True)
class Row:
    """Fields of one thing that was given, and what an error calls it."""

    label: str
    values: Mapping[str, object]

    def has(self, field: str) -> bool:
        return self.values.get(field) is not None

    def refuse(self, field: str, problem: str) -> InputError:
        return InputError(self.label, field, problem)

    def number(
        self, field: str, *, least: float = -MONEY_MAX, most: float = MONEY_MAX, default: float | None = None
    ) -> float:
        """Return a finite number within bounds.

        Refuses: a missing field without a default, what is not a number, NaN and infinity, a number out of bounds.
        """
        value = self.values.get(field)
        if value is None:
            if default is None:
                raise self.refuse(field, "is missing")
            return default
        number = _parse(value)
        if number is None:
            raise self.refuse(field, f"{brief(value)} is not a number")
        if not math.isfinite(number):
            raise self.refuse(field, f"{number} is not a finite number")
        if number < least:
            raise self.refuse(field, f"{brief(value)} is below {least:g}")
        if number > most:
            raise self.refuse(field, f"{brief(value)} is above {most:g}, which is absurd")
        return number

    def positive(self, field: str, *, most: float = PRICE_MAX, default: float | None = None) -> float:
        """Return a number above zero."""
        number = self.number(field, least=-math.inf, most=most, default=default)
        if number <= 0:
            raise self.refuse(field, f"{number:g} is not above zero")
        return number

    def share(self, field: str, *, default: float | None = None) -> float:
        """Return a number from 0 to 1, such as a confidence or a haircut."""
        return self.number(field, least=0.0, most=1.0, default=default)

    def text(self, field: str, *, default: str | None = None) -> str:
        value = self.values.get(field)
        if value is None:
            if default is None:
                raise self.refuse(field, "is missing")
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(field, f"{brief(value)} is not a name")
        return value.strip()

    def flag(self, field: str, *, default: bool | None = None) -> bool:
        """Return a truth value, written as true and false or as 1 and 0."""
        value = self.values.get(field)
        if value is None:
            if default is None:
                raise self.refuse(field, "is missing")
            return default
        known = {True: True, False: False, "1": True, "0": False, "true": True, "false": False}
        wanted = value.strip().lower() if isinstance(value, str) else value
        if not isinstance(wanted, bool | int | float | str) or wanted not in known:
            raise self.refuse(field, f"{brief(value)} is neither true nor false")
        return known[wanted]

    def row(self, field: str, *, label: str = "") -> "Row":
        """Return a field that holds fields."""
        value = self.values.get(field)
        if value is None:
            raise self.refuse(field, "is missing")
        return as_row(value, label or self.below(field))

    def rows(self, field: str, *, required: bool = True) -> "list[Row]":
        """Return a field that holds a list of rows."""
        value = self.values.get(field)
        if value is None and not required:
            return []
        if not isinstance(value, list):
            raise self.refuse(field, "is missing" if value is None else "is not a list")
        return [as_row(item, f"{self.below(field)}[{place}]") for place, item in enumerate(value)]

    def below(self, field: str) -> str:
        return f"{self.label}.{field}" if self.label else field

    def items(self) -> "Iterator[tuple[str, Row]]":
        """Yield every field as a row of its own."""
        for field in self.values:
            yield field, self.row(field)

    def refuse_others(self, known: frozenset[str]) -> None:
        """Refuse a field that nothing reads, since a misspelt one would be passed over in silence."""
        for field in self.values:
            if field not in known:
                raise self.refuse(field, f"is no field of this row; known are {', '.join(sorted(known))}")


def as_row(value: object, label: str) -> Row:
    """Return a decoded value as a row."""
    if not isinstance(value, dict):
        raise InputError(label, "", f"{brief(value)} is not an object with fields")
    return Row(label, {str(field): content for field, content in value.items()})


def _parse(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        if text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
            return float(text)
    return None


def brief(value: object) -> str:
    """Return a value as an error tells it."""
    return _shorten(repr(value) if isinstance(value, str) else str(value), _VALUE_TOLD_MAX)


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
