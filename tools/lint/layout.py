"""Shape: the file names of a protocol module, the length of files and functions, comments, no machine's paths."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tools.lint.source import Finding, Source

VOCABULARY: Final = frozenset("messages state params rules handlers invariants queries __init__".split())
FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 450

_MARKER: Final = re.compile(r"\b(?:TODO|FIXME|XXX)\b")  # the rule's own words
_BANNER: Final = re.compile(r"[-=#*~]{4,}")
_MACHINE_PATH: Final = re.compile(r"(?<![\w./~${}:-])/(?:home|root|work|Users)(?:/|\b(?![\w/-]))")


def check(source: Source) -> Iterator[Finding]:
    """Check one Python file's place, lengths and comments."""
    if source.ring == "protocol":
        _, *below = source.path.relative_to("src/holdfast/protocol").parts
        if below and below[0].removesuffix(".py") not in VOCABULARY:
            allowed = " ".join(sorted(VOCABULARY))
            yield Finding(source.path, 1, "vocabulary", f"{below[0]} is none of a module's file names: {allowed}")
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX and source.path.parts[0] != "tests":
        yield Finding(
            source.path, 1, "file-length", f"{lines} lines, at most {FILE_LINES_MAX} (aim for 400): make it a folder"
        )
    for node in source.functions():
        length = _length(node)
        if length > FUNCTION_LINES_MAX:
            yield Finding(
                source.path,
                node.lineno,
                "function-length",
                f"{node.name} has {length} lines, at most {FUNCTION_LINES_MAX}",
            )
    for line, comment in source.comments.items():
        yield from check_comment(source.path, line, comment.lstrip("# "), comment)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def check_comment(path: PurePosixPath, line: int, words: str, comment: str) -> Iterator[Finding]:
    """Refuse markers of unfinished work and ruled lines."""
    if _MARKER.search(words):
        yield Finding(path, line, "comment", "unfinished work belongs in the tracker, not in a comment")
    if _BANNER.search(comment[1:]):
        yield Finding(path, line, "comment", "a banner: let the names and the file say it")


def check_rust(path: PurePosixPath, text: str) -> Iterator[Finding]:
    """Check the comments of a Rust file."""
    for line, content in enumerate(text.splitlines(), 1):
        _, mark, comment = content.partition("//")
        if mark:
            yield from check_comment(path, line, comment.lstrip("/! "), comment.lstrip("/!"))


def check_paths(path: PurePosixPath, text: str) -> Iterator[Finding]:
    """Refuse paths that exist on one machine only."""
    for line, content in enumerate(text.splitlines(), 1):
        if found := _MACHINE_PATH.search(content):
            yield Finding(path, line, "machine-path", f"{found[0]} names a place of one machine")
