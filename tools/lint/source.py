"""One source file as the rules see it, and what they say about it."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

CORE: Final = ("primitives", "state", "protocol", "consensus")

_EXCUSE: Final = re.compile(r"det-ok\b:?\s*(.*)")


class Finding(NamedTuple):
    """One broken rule at one line."""

    path: PurePosixPath
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class Source(NamedTuple):
    """A Python file: its path from the root of the repository, its tree and its comments by line."""

    path: PurePosixPath
    text: str
    tree: ast.Module
    comments: dict[int, str]

    @property
    def ring(self) -> str:
        """The folder below src/holdfast that the file belongs to, or nothing."""
        package = PurePosixPath("src/holdfast")
        return self.path.relative_to(package).parts[0] if package in self.path.parents else ""

    @property
    def excuses(self) -> dict[int, str]:
        """The reasons given by `# det-ok: reason`, by line."""
        found = {line: _EXCUSE.search(comment) for line, comment in self.comments.items()}
        return {line: match[1].strip() for line, match in found.items() if match}

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Yield every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parse(path: PurePosixPath, text: str) -> Source:
    """Read one Python file."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    return Source(path, text, ast.parse(text, str(path)), comments)
