"""How commands speak: tables for people, JSON for machines, one line for what is wrong."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NoReturn

import typer

from holdfast.client.errors import ClientError, ExchangeError, Rejected


@contextmanager
def told(command: str, *, as_json: bool = False) -> Iterator[None]:
    """End a command that fails with one line on standard error and the exit code of the failure."""
    try:
        yield
    except ClientError as error:
        if as_json:
            print_json({"error": describe(error), "exit_code": error.exit_code})
        stop(command, str(error), error.exit_code)
    except BrokenPipeError:
        # Who read our output has left, as `head` does; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def describe(error: ClientError) -> dict[str, object]:
    """Return an error as machines read it."""
    told: dict[str, object] = {"type": type(error).__name__, "message": str(error), "retryable": error.retryable}
    if isinstance(error, ExchangeError):
        told |= {"code": error.code, "name": error.name, "param": error.param}
    if isinstance(error, Rejected):
        told |= {"tx_hash": error.tx_hash, "height": error.height, "mend": error.mend}
    return told


def stop(command: str, message: str, code: int) -> NoReturn:
    """Say what is wrong in one line, and leave."""
    typer.echo(f"holdfast {command}: {one_line(message)}", err=True)
    raise typer.Exit(code)


def note(message: str) -> None:
    """Say something beside the result, on standard error."""
    typer.echo(message, err=True)


def print_json(value: object, *, height: int | None = None, app_hash: str = "") -> None:
    """Print one line of JSON; what was read from a committed state names its height and app hash."""
    import msgspec

    content = value if height is None else {"height": height, "app_hash": app_hash, "result": value}
    encoder = msgspec.json.Encoder(decimal_format="number")
    typer.echo(encoder.encode(content).decode())


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str = "",
    right: str = "",
    numbers: Sequence[str] = (),
) -> None:
    """Print a table: with rules on a terminal, aligned columns elsewhere. Columns of numbers stand to the right."""
    if not rows:
        typer.echo(f"{title}: none" if title else "none")
        return
    texts = [[show_value(value) for value in row] for row in rows]
    numbers = numbers or right.split()
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
        for column in columns:
            table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
        for texts_of_row in texts:
            table.add_row(*texts_of_row)
        Console().print(table)
        return
    if title:
        typer.echo(title)
    widths = [max(len(row[place]) for row in [list(columns), *texts]) for place in range(len(columns))]
    for row in [list(columns), *texts]:
        cells = [
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, text, width in zip(columns, row, widths, strict=True)
        ]
        typer.echo("  ".join(cells).rstrip())


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name.ljust(width)}  {show_value(value)}")


def print_state(height: int, app_hash: str, units: str = "") -> None:
    """Print the units of an answer, and which committed state it is of."""
    if units:
        typer.echo(units)
    if height:
        typer.echo(f"height {height}  app hash {app_hash}")


def show_value(value: object) -> str:
    """Return a value as people read it; what is absent is a dash."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Decimal | float):
        text = f"{Decimal(str(value)):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(str(value))


def usdc(value: Decimal | None) -> str:
    """Return an amount of money with its unit."""
    return "-" if value is None else f"{show_value(value)} USDC"


def coin(value: Decimal, instrument_name: str) -> str:
    """Return an amount of an instrument with its unit, which the name begins with: BTC_USDC-27MAR26."""
    return f"{show_value(value)} {instrument_name.partition('_')[0]}"


def brief(value: Decimal | None) -> Decimal | None:
    """Return a number for a table: cents, and finer only below one."""
    if value is None:
        return None
    return value.quantize(Decimal("0.01") if abs(value) >= 1 else Decimal("0.0001"))


def one_line(text: str) -> str:
    """Return a text without line breaks and without what could move a terminal's cursor."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def show_time(time_ms: int) -> str:
    """Return a time in UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if time_ms else "-"
