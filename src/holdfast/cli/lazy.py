"""A group of commands each of which is imported when it is asked for, so that the program starts at once."""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from typing import IO, NamedTuple

import typer
from typer._click import Command, Context, HelpFormatter
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption, UsageError
from typer.core import TyperGroup


class Entry(NamedTuple):
    """Where a command is, as `module:name` below this package, and what it does in one line."""

    place: str
    summary: str


class Commands(MutableMapping[str, Command]):
    """Commands by name; looking one up imports it."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded[name] = load(name, self.entries[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.entries or name in self._loaded

    def __iter__(self) -> Iterator[str]:
        return iter({**self.entries, **self._loaded})

    def __len__(self) -> int:
        return len({**self.entries, **self._loaded})


def load(name: str, entry: Entry) -> Command:
    """Import a command: a function, or an app with commands of its own."""
    module, _, attribute = entry.place.partition(":")
    target = getattr(import_module(f"holdfast.cli.{module}"), attribute)
    if isinstance(target, typer.Typer):
        return typer.main.get_group(target)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name)(target)
    return typer.main.get_command(single)


class WrongUsage(ClickException):
    """A command line that means nothing, told in one line with where to look."""

    exit_code = 2

    def __init__(self, error: UsageError) -> None:
        """Keep what is wrong and with which command."""
        super().__init__(error.format_message())
        self.command = "holdfast" if error.ctx is None else error.ctx.command_path
        self.is_negative = isinstance(error, NoSuchOption) and error.option_name[1:2].isdigit()

    def show(self, file: IO[str] | None = None) -> None:
        """Say it on standard error."""
        words = " ".join("".join(char if char.isprintable() else " " for char in self.message).split()).rstrip(".")
        mend = "a number below zero stands behind --" if self.is_negative else f"see: {self.command} --help"
        typer.echo(f"{self.command}: {words}; {mend}", file=file, err=file is None)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        raise WrongUsage(error) from None


def make_group(entries: Mapping[str, Entry]) -> type[TyperGroup]:
    """Return the class of a group of these commands, in this order."""
    table = Commands(entries)

    class LazyGroup(TyperGroup):
        """The group. Its help needs no command imported."""

        @property
        def commands(self) -> MutableMapping[str, Command]:
            return table

        @commands.setter
        def commands(self, given: MutableMapping[str, Command]) -> None:
            table.update(given)

        def make_context(
            self, info_name: str | None, args: list[str], parent: Context | None = None, **extra: object
        ) -> Context:
            with _in_one_line():
                return super().make_context(info_name, args, parent, **extra)

        def invoke(self, ctx: Context) -> object:
            with _in_one_line():
                return super().invoke(ctx)

        def format_commands(self, _ctx: Context, formatter: HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])

    return LazyGroup
