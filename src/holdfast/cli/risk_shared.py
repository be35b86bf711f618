"""What the commands of `holdfast risk` share: their options, how they read portfolios, and how they refuse."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from os import sep
from os.path import commonpath
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli.show import one_line, print_json, stop
from holdfast.risk import DEFAULT_MODEL, MODELS, Cases, InputError, MarginResult, Portfolio, load_cases

EXIT_BAD_INPUT: Final = 2
SUFFIXES: Final = (".json", ".csv")

PortfolioFile = Annotated[Path, typer.Argument(help="Positions, market data and parameters.", metavar="PORTFOLIO")]
CaseName = Annotated[
    str | None,
    typer.Option("--case", help="One case of a file of several.", metavar="NAME", show_default=False),
]
ModelName = Annotated[str, typer.Option("--model", help="The margin model.", metavar="NAME")]
PngFile = Annotated[
    Path | None, typer.Option("--png", help="Write the picture to this file.", metavar="FILE", show_default=False)
]
SvgFile = Annotated[
    Path | None, typer.Option("--svg", help="Write the picture to this file.", metavar="FILE", show_default=False)
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", help="Write a report to this file.", metavar="FILE", show_default=False)
]

__all__ = [
    "DEFAULT_MODEL",
    "EXIT_BAD_INPUT",
    "CaseName",
    "HtmlFile",
    "ModelName",
    "PngFile",
    "PortfolioFile",
    "SvgFile",
    "check_model",
    "check_pictures",
    "find_files",
    "find_folder",
    "load",
    "load_one",
    "number",
    "refuse",
    "write_file",
]


def refuse(command: str, error: InputError, where: str = "", *, as_json: bool) -> NoReturn:
    """Say in one line what cannot be used, and leave."""
    message = f"{where}: {error}" if where else str(error)
    if as_json:
        told = {"type": "InputError", "message": one_line(message), "row": error.row, "field": error.field}
        print_json({"error": told, "exit_code": EXIT_BAD_INPUT})
    stop(f"risk {command}", message, EXIT_BAD_INPUT)


def check_model(command: str, model: str, *, as_json: bool, also: Sequence[str] = ()) -> None:
    """Refuse a name that is no model's."""
    if model not in MODELS and model not in also:
        known = ", ".join((*MODELS, *also))
        refuse(command, InputError("--model", "", f"{model!r} is none of {known}"), as_json=as_json)


def check_pictures(command: str, files: Mapping[str, Path | None], *, as_json: bool) -> None:
    """Refuse, before the work, pictures that cannot be made or have nowhere to go."""
    for option, file in files.items():
        if file is None:
            continue
        if find_spec("matplotlib") is None:
            problem = "needs matplotlib, which is not installed: pip install 'holdfast[report]', or leave it out"
            refuse(command, InputError(option, "", problem), as_json=as_json)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"the folder {file.parent} cannot be made: {error.strerror}"
            refuse(command, InputError(option, "", problem), as_json=as_json)


def write_file(command: str, file: Path, content: bytes | str, *, as_json: bool) -> None:
    """Write a file whole."""
    try:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        refuse(command, InputError(str(file), "", f"cannot be written: {error.strerror}"), as_json=as_json)


def load(command: str, path: Path, case: str | None, *, as_json: bool) -> Cases:
    """Return the portfolios of a file, or the one that was asked for."""
    try:
        cases = load_cases(path)
        return cases if case is None else cases.choose(case)
    except InputError as error:
        refuse(command, error, f"{path}", as_json=as_json)


def load_one(command: str, path: Path, case: str | None, *, as_json: bool) -> Portfolio:
    """Return the one portfolio of a file, or the one that was asked for."""
    cases = load(command, path, case, as_json=as_json)
    if len(cases.portfolios) != 1:
        known = ", ".join(cases.portfolios)
        error = InputError("--case", "", f"the file holds {len(cases.portfolios)} cases; choose one of {known}")
        refuse(command, error, f"{path}", as_json=as_json)
    return next(iter(cases.portfolios.values()))


def find_files(command: str, paths: Sequence[Path], *, as_json: bool, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the files that are meant: those given, and of a folder and the folders in it every such file by name."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        if not inside:
            refuse(
                command,
                InputError(f"{path}", "", f"the folder holds no {' and no '.join(suffixes)} file"),
                as_json=as_json,
            )
        files.extend(inside)
    return files


def find_folder(files: Sequence[Path]) -> str:
    """Return what the paths of several files begin with, down to a folder; a table is too narrow for it."""
    if len(files) == 1 or len({file.is_absolute() for file in files}) > 1:
        return ""
    folder = commonpath([file.parent for file in files])
    return f"{folder}{sep}" if folder else ""


def number(amount: float, currency: str = "USD") -> str:
    """Return an amount as a table shows it: dollars with cents, coins with nine digits."""
    return f"{amount:,.2f}" if currency == "USD" else f"{amount:,.9f}"


def tell(answer: MarginResult | InputError) -> dict[str, object]:
    """Return a model's answer as machines read it."""
    return {"refused": str(answer)} if isinstance(answer, InputError) else {**answer.to_dict()}
