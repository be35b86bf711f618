"""Reads a file into portfolios: the documented JSON or CSV, or a file of Derive's published cases as it is.

Refuses, with one line that names the row and the field: whatever cannot be margined, in either form.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from holdfast.risk.document_positions import read_document
from holdfast.risk.documents import Document, split_csv, split_json
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.published import Published, publish_document, publish_pm2, publish_standard
from holdfast.risk.rows import InputError, Row, as_row
from holdfast.risk.texts import read_text
from holdfast.risk.vectors import is_pm2_case, is_standard_case, read_pm2_case, read_standard_case


@dataclass(frozen=True, slots=True)
class Cases:
    """The portfolios of a file, by name; `are_named` says that the file itself names them, as one of many does.

    `published` is what the file tells of their margins beside them, if it does.
    """

    portfolios: Mapping[str, Portfolio]
    are_named: bool
    published: Mapping[str, Sequence[Published]] = field(default_factory=dict)

    def choose(self, name: str) -> "Cases":
        """Return one of them alone.

        Refuses: a name that is none of theirs.
        """
        if name not in self.portfolios:
            known = ", ".join(self.portfolios)
            raise InputError("--case", "", f"{name!r} is not in the file, which holds {known}")
        return Cases({name: self.portfolios[name]}, are_named=False, published=self.published)


def load_cases(path: Path) -> Cases:
    """Read all portfolios of a file."""
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        return _read_document(split_csv(text), path.stem)
    return parse_cases(_decode(text), path.stem)


def load_portfolio(path: Path, case: str | None = None) -> Portfolio:
    """Read one portfolio of a file: its only one, or the named one of many.

    Refuses: a file of several without a name, a name that is not in the file.
    """
    portfolios = load_cases(path).portfolios
    known = ", ".join(portfolios)
    if case is None:
        if len(portfolios) != 1:
            raise InputError(
                "", "case", f"the file holds {len(portfolios)} cases, of which one has to be chosen: {known}"
            )
        return next(iter(portfolios.values()))
    if case not in portfolios:
        raise InputError("", "case", f"{case!r} is not in the file, which holds {known}")
    return portfolios[case]


def parse_cases(document: object, name: str = "portfolio") -> Cases:
    """Read a decoded JSON document; `name` is what its only portfolio is called."""
    root = as_row(document, "")
    if is_pm2_case(root.values) or is_standard_case(root.values):
        portfolio, published = _read_case(root)
        return Cases({name: portfolio}, are_named=False, published={name: [published]})
    named = [case for case, value in root.values.items() if isinstance(value, dict) and "Scenario" in value]
    if named:
        read = {case: _read_case(root.row(case)) for case in root.values}
        portfolios = {case: portfolio for case, (portfolio, _) in read.items()}
        return Cases(portfolios, are_named=True, published={case: [published] for case, (_, published) in read.items()})
    return _read_document(split_json(root), name)


def _read_document(document: Document, name: str) -> Cases:
    published = [publish_document(model, figures) for model, figures in document.published.items()]
    return Cases({name: read_document(document)}, are_named=False, published={name: published})


def _read_case(case: Row) -> tuple[Portfolio, Published]:
    if is_standard_case(case.values):
        return read_standard_case(case), publish_standard(case)
    if is_pm2_case(case.values):
        return read_pm2_case(case), publish_pm2(case)
    raise case.refuse("Scenario", "is neither a case of PM2 nor one of the standard manager")


def _decode(text: str) -> object:
    try:
        # Takes NaN and Infinity, so that the row which holds one can be named.
        return cast("object", json.loads(text, object_pairs_hook=_refuse_twice))
    except json.JSONDecodeError as error:
        raise InputError(
            f"line {error.lineno}", f"column {error.colno}", f"the file is not JSON: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("", "", "the file holds a number or a nesting that cannot be read") from None


def _refuse_twice(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise InputError("", name, "is given twice in one row")
        fields[name] = value
    return fields
