"""`holdfast risk margin --check`: the figures that files publish, held against ours."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import typer

from holdfast.cli.progress import track
from holdfast.cli.risk_shared import EXIT_BAD_INPUT, find_folder
from holdfast.cli.show import note, one_line, print_json, print_table
from holdfast.risk import InputError, load_cases
from holdfast.risk.checking import Check, Compared, check_cases

EXIT_BEYOND: Final = 1
_COLUMNS: Final = ("case", "model", "figures", "largest relative", "largest absolute", "worst figure", "not compared")


class Answer(NamedTuple):
    """What was found of a portfolio: how near its figures are, or why that cannot be told."""

    case: str
    found: Check | InputError


def check_files(files: Sequence[Path], model: str | None, case: str | None, tolerance: float, *, as_json: bool) -> None:
    """Tell how far our figures are from those that files publish; leave with 1 where one is beyond the tolerance."""
    answers = [answer for path in track(files, "check", len(files)) for answer in _check_file(path, model, case)]
    checks = [(answer.case, answer.found) for answer in answers if isinstance(answer.found, Check)]
    refused = [(answer.case, answer.found) for answer in answers if isinstance(answer.found, InputError)]
    beyond = [(name, figure) for name, check in checks for figure in check.figures if figure.relative > tolerance]
    if as_json:
        print_json(_tell(answers, tolerance, within=not beyond and not refused))
    else:
        if checks:
            folder = find_folder(files)
            checks = [(name.removeprefix(folder), check) for name, check in checks]
            _show(checks, folder)
            typer.echo(_summarise(checks, len(beyond), tolerance))
        for name, figure in beyond:
            note(f"{name}: {figure.field}: published {figure.published!r}, ours {figure.ours!r}")
        for name, error in refused:
            note(one_line(f"{name} refused: {error}"))
    if refused or beyond:
        raise typer.Exit(EXIT_BAD_INPUT if refused else EXIT_BEYOND)


def is_tolerance(tolerance: float) -> bool:
    """Tell whether a share can be a tolerance."""
    return math.isfinite(tolerance) and tolerance >= 0


def _check_file(path: Path, model: str | None, case: str | None) -> list[Answer]:
    try:
        cases = load_cases(path)
        found = list(check_cases(cases if case is None else cases.choose(case), model))
    except InputError as error:
        return [Answer(f"{path}", error)]
    return [Answer(f"{path}: {name}" if cases.are_named else f"{path}", one) for name, one in found]


def _show(checks: Sequence[tuple[str, Check]], folder: str) -> None:
    rows = [
        (
            name,
            check.model,
            len(check.figures),
            f"{check.largest_relative:.1e}",
            f"{check.largest_absolute:.1e}",
            check.worst.field,
            len(check.not_compared),
        )
        for name, check in checks
    ]
    print_table(_COLUMNS, rows, title=f"in {folder}" if folder else "", numbers=(*_COLUMNS[2:5], _COLUMNS[6]))


def _summarise(checks: Sequence[tuple[str, Check]], beyond: int, tolerance: float) -> str:
    worst_case, worst = max(checks, key=lambda told: (told[1].largest_relative, told[1].largest_absolute))
    absolute = max(check.largest_absolute for _, check in checks)
    verdict = f"{beyond:,} beyond {tolerance:g}" if beyond else f"all within {tolerance:g}"
    return (
        f"{len(checks):,} cases, {sum(len(check.figures) for _, check in checks):,} figures: {verdict}; "
        f"largest relative error {worst.largest_relative:.1e} ({worst_case}: {worst.worst.field}), "
        f"largest absolute {absolute:.1e}"
    )


def _tell(answers: Sequence[Answer], tolerance: float, *, within: bool) -> dict[str, object]:
    found = [answer.found for answer in answers if isinstance(answer.found, Check)]
    return {
        "is_within_tolerance": within,
        "tolerance": tolerance,
        "figures": sum(len(check.figures) for check in found),
        "largest_relative": max((check.largest_relative for check in found), default=None),
        "largest_absolute": max((check.largest_absolute for check in found), default=None),
        "cases": [_tell_answer(answer, tolerance) for answer in answers],
    }


def _tell_answer(answer: Answer, tolerance: float) -> dict[str, object]:
    found = answer.found
    if isinstance(found, InputError):
        return {"case": answer.case, "refused": str(found)}
    return {
        "case": answer.case,
        "model": found.model,
        "figures": len(found.figures),
        "largest_relative": found.largest_relative,
        "largest_absolute": found.largest_absolute,
        "worst": _tell_figure(found.worst),
        "beyond_tolerance": [_tell_figure(figure) for figure in found.figures if figure.relative > tolerance],
        "not_compared": found.not_compared,
    }


def _tell_figure(figure: Compared) -> dict[str, object]:
    return {
        "field": figure.field,
        "published": figure.published,
        "ours": figure.ours,
        "relative": figure.relative,
        "absolute": figure.absolute,
    }
