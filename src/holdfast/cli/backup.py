"""`holdfast backup` and `holdfast restore`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from holdfast.cli.show import stop
from holdfast.node import backup as work
from holdfast.node.backup import BackupError, Copied
from holdfast.node.home import HomeError

EXIT_BAD_INPUT: Final = 2
EXIT_NO_RIGHT: Final = 3
_WIDTH: Final = 60

_BACKUP_HELP: Final = """Copy a data directory into a new folder, while it runs or not.

The copy is consistent and was opened to make sure. It holds the validators' private keys: keep it as safe as them.

\b
Example:
  holdfast backup holdfast-data backup-monday

Exit codes: 0 done; 2 bad input, or files that do not check; 3 no right to read or write."""

_RESTORE_HELP: Final = """Make a data directory of a backup.

Without --validator, DIR must be absent or empty, and all validators come back as they were. Never run it beside the
directory that the backup is of: two signers of one key are a crime.

With --validator N, DIR is a stopped data directory of the same chain whose other validators went on: N's files are
replaced, the old ones kept beside them, and N signs nothing until it has caught up with the others.

\b
Example:
  holdfast restore backup-monday holdfast-data --validator 2

Exit codes: 0 done; 2 bad input, or files that do not check; 3 no right to read or write."""


def backup(
    directory: Annotated[Path, typer.Argument(help="A data directory of `holdfast up`.", metavar="DIR")],
    out: Annotated[Path, typer.Argument(help="A folder that is absent or empty.", metavar="OUT")],
    validator: Annotated[
        list[int] | None, typer.Option(help="Only this validator; may be given often.", metavar="N")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Copy a data directory; `_BACKUP_HELP` is what a user reads."""
    try:
        copied = work.backup(directory, out, validator, _show)
    except (BackupError, HomeError) as error:
        _stop("backup", str(error), EXIT_BAD_INPUT)
    except OSError as error:
        _stop("backup", f"{error.filename}: {error.strerror}; free space, or choose another folder", EXIT_NO_RIGHT)
    finally:
        _clear()
    _tell(copied, out, as_json=as_json)


def restore(
    source: Annotated[Path, typer.Argument(help="What `holdfast backup` wrote.", metavar="OUT")],
    directory: Annotated[Path, typer.Argument(help="The data directory to make, or to mend.", metavar="DIR")],
    validator: Annotated[int | None, typer.Option(help="Only this validator, into its chain.", metavar="N")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Restore a data directory; `_RESTORE_HELP` is what a user reads."""
    aside: Path | None = None
    try:
        if validator is None:
            copied = work.restore(source, directory, _show)
        else:
            one, aside = work.restore_validator(source, directory, validator, _show)
            copied = [one]
    except (BackupError, HomeError) as error:
        _stop("restore", str(error), EXIT_BAD_INPUT)
    except OSError as error:
        _stop("restore", f"{error.filename}: {error.strerror}; free space, or choose another folder", EXIT_NO_RIGHT)
    finally:
        _clear()
    _tell(copied, directory, as_json=as_json, aside=aside)
    if validator is not None and not as_json:
        typer.echo(f"Validator {validator} signs again once it has caught up with the others.")


backup.__doc__ = _BACKUP_HELP
restore.__doc__ = _RESTORE_HELP


def _tell(copied: list[Copied], place: Path, *, as_json: bool, aside: Path | None = None) -> None:
    if as_json:
        validators = [
            {
                "index": one.validator,
                "height": one.height,
                "app_hash": one.app_hash.hex(),
                "size_bytes": one.size_bytes,
            }
            for one in copied
        ]
        told = {"path": str(place), "validators": validators, "set_aside": None if aside is None else str(aside)}
        typer.echo(json.dumps(told))
        return
    for one in copied:
        typer.echo(f"validator {one.validator}: height {one.height}, {one.size_bytes:,} bytes")
    if aside is not None:
        typer.echo(f"Its old files are in {aside}")
    typer.echo(f"Written: {place}")


def _show(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{name:<{_WIDTH}}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * _WIDTH + "\r")


def _stop(command: str, message: str, code: int) -> NoReturn:
    stop(command, message, code)
