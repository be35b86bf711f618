"""The documents name what exists: paths, names of the code, commands, make targets and links."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import typer

from holdfast.cli.main import app

REPOSITORY: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    "ARCHITECTURE.md",
    "GLOSSARY.md",
    "CHANGELOG.md",
    "docs/parameters.md",
    "docs/determinism.md",
)
ROOTS: Final = (REPOSITORY, REPOSITORY / "src" / "holdfast")
# What a first run makes.
MADE: Final = ("out/", ".venv")

PACKAGES: Final = ("", "protocol.", "node.", "consensus.", "state.", "primitives.", "lab.", "client.", "cli.")
SUFFIXES: Final = ("md", "py", "toml", "txt", "svg", "rs", "json", "csv", "html", "png")
NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
CLASS: Final = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*\d*)+")
CONSTANT: Final = re.compile(r"_?[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
# Names that are not of this code.
FOREIGN: Final = ("NPY_DISABLE_CPU_FEATURES", "VENUE_PAIR")


def _read(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def _spans(page: str) -> list[str]:
    """Return what stands in backticks outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", _read(page), flags=re.MULTILINE | re.DOTALL))


def _is_path(span: str) -> bool:
    has_suffix = re.fullmatch(rf"[\w./-]+\.({'|'.join(SUFFIXES)})", span) is not None
    return not span.startswith("-") and (has_suffix or re.fullmatch(r"[\w.-]+/([\w.-]+/?)*", span) is not None)


def _exists(path: str) -> bool:
    return path.startswith(MADE) or any((root / path).exists() for root in ROOTS)


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for package in PACKAGES:
        for size in range(len(parts), 0, -1):
            try:
                found: object = importlib.import_module(f"holdfast.{package}{'.'.join(parts[:size])}")
            except ImportError:
                continue
            try:
                for attribute in parts[size:]:
                    found = getattr(found, attribute)
            except AttributeError:
                break
            return True
    return False


def _commands(page: str) -> Iterator[list[str]]:
    """Yield each line that a reader may type, without its continuation marks."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", _read(page), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    yield from (line.removeprefix("$ ").split() for line in [*lines, *_spans(page)])


@pytest.mark.parametrize("page", PAGES)
def test_page__every_path__exists(page: str) -> None:
    assert [span for span in _spans(page) if _is_path(span) and not _exists(span)] == []


@pytest.mark.parametrize("page", PAGES)
def test_page__every_link__leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", _read(page)) + re.findall(r'src="([^"]+)"', _read(page))
    here = (REPOSITORY / page).parent
    assert [target for target in targets if "://" not in target and not (here / target).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_page__every_dotted_name__is_in_the_code(page: str) -> None:
    names = {span.removesuffix("()") for span in _spans(page) if not _is_path(span)}
    assert sorted(name for name in names if NAME.fullmatch(name) and not _resolves(name)) == []


@pytest.mark.parametrize("page", PAGES)
def test_page__every_class_and_constant__is_in_the_code(page: str) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "src").rglob("*.py"))
    words = set(re.findall(r"\w+", code))
    named = {span for span in _spans(page) if CLASS.fullmatch(span) or CONSTANT.fullmatch(span)}
    assert sorted(named - words - set(FOREIGN)) == []


@pytest.mark.parametrize("page", PAGES)
def test_page__every_make_target__is_in_the_makefile(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", _read("Makefile"), re.MULTILINE))
    assert [words for words in _commands(page) if words[:1] == ["make"] and not set(words[1:2]) <= targets] == []


@pytest.mark.parametrize("page", PAGES)
def test_page__every_command_with_its_options__is_one_of_the_program(page: str) -> None:
    wrong: list[str] = []
    for words in _commands(page):
        if not words or Path(words[0]).name != "holdfast":
            continue
        command = typer.main.get_command(app)
        rest = words[1:]
        while rest and rest[0] in (below := getattr(command, "commands", {})):
            command, rest = below[rest[0]], rest[1:]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        is_named = not hasattr(command, "commands") or not rest or rest[0].startswith("-")
        unknown = [word for word in rest if word.startswith("--") and word not in options]
        if unknown or not is_named:
            wrong.append(" ".join(words))
    assert wrong == []


def test_readme__its_picture__is_a_picture_with_words_for_those_who_do_not_see_it() -> None:
    picture = _read("docs/picture.svg")
    assert "docs/picture.svg" in _read("README.md")
    assert re.search(r"<title[^>]*>[^<]+</title>", picture)
    assert re.search(r"<desc[^>]*>[^<]+</desc>", picture)


def test_changelog__its_newest_version__is_the_package_s() -> None:
    version = re.search(r'^version = "([^"]+)"', _read("pyproject.toml"), re.MULTILINE)
    newest = re.search(r"^## (\S+)", _read("CHANGELOG.md"), re.MULTILINE)
    assert version
    assert newest
    assert newest[1] == version[1]
