"""Progress of long work on standard error: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from holdfast.lab.replay import OnProgress, Progress
from holdfast.lab.replay_settings import show_time

_LINE_EVERY_SECONDS: Final = 15

Item = TypeVar("Item")


@contextmanager
def watch() -> Iterator[OnProgress]:
    """Give a function that shows how far a replay is."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=None)

        def show(progress: Progress) -> None:
            bar.update(task, total=progress.intervals, completed=progress.interval, description=_describe(progress))

        yield show


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield items while a bar on a terminal, or a plain line every few seconds elsewhere, shows how far it is."""
    if not sys.stderr.isatty():
        yield from _tell_lines(items, label, total)
        return
    from rich.console import Console
    from rich.progress import track as draw

    yield from draw(items, description=label, total=total, console=Console(stderr=True), transient=True)


def _tell_lines(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    last = time.monotonic()
    for place, item in enumerate(items):
        if time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            sys.stderr.write(f"{label} {place}/{total}\n")
            sys.stderr.flush()
        yield item


def _lines() -> OnProgress:
    """Return what writes a plain line at the start, every few seconds, and at the end."""
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY_SECONDS or progress.interval in (1, progress.intervals):
            last = now
            line = f"replay {progress.interval}/{progress.intervals} {_describe(progress)}"
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return show


def _describe(progress: Progress) -> str:
    return (
        f"{show_time(progress.time_ms)} height {progress.height:,} fills {progress.fills:,} "
        f"liquidated {progress.liquidated:,}"
    )
