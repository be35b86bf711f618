"""Units: names whose suffixes disagree may be multiplied, never added, compared, assigned or passed for one another."""

import ast
from collections.abc import Iterator
from typing import Final

from tools.lint.source import Finding, Source

UNITS: Final = frozenset(("atoms", "ticks", "lots", "e8", "ppm", "ms", "e12", "height"))
_SAME: Final = frozenset(("abs", "max", "min", "sum"))


def check(source: Source) -> Iterator[Finding]:
    """Find every place where one unit stands for another."""
    if source.path.parts[:2] != ("src", "holdfast"):
        return
    for node in ast.walk(source.tree):
        for left, right, how in _pairs(node):
            if left and right and left != right:
                yield Finding(source.path, getattr(node, "lineno", 1), "units", f"{left} {how} {right}")


def _pairs(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield unit(node.left), unit(node.right), "plus or minus"
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.Sub):
        yield unit(node.target), unit(node.value), "plus or minus"
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if not isinstance(operator, ast.In | ast.NotIn):
                yield unit(left), unit(right), "compared with"
    elif isinstance(node, ast.keyword) and node.arg:
        yield suffix(node.arg), unit(node.value), "is passed"
    elif isinstance(node, ast.Assign):
        yield from ((unit(target), unit(node.value), "is assigned") for target in node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield unit(node.target), unit(node.value), "is assigned"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("max", "min"):
        yield from ((unit(node.args[0]), unit(other), "against") for other in node.args[1:])


def suffix(name: str) -> str:
    """Return the unit that a name carries; a rate (`_per_`) or an index (`_by_`) carries none."""
    *words, last = name.lower().strip("_").split("_")
    return last if words and last in UNITS and not {"per", "by"} & set(words) else ""


def unit(node: ast.expr) -> str:
    """Return the unit of an expression where its names tell it, else nothing."""
    if isinstance(node, ast.Name):
        return suffix(node.id)
    if isinstance(node, ast.Attribute):
        return suffix(node.attr)
    if isinstance(node, ast.UnaryOp | ast.Await):
        return unit(node.operand if isinstance(node, ast.UnaryOp) else node.value)
    if isinstance(node, ast.IfExp):
        return unit(node.body) or unit(node.orelse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return unit(node.left) or unit(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SAME and node.args:
        return unit(node.args[0])
    return unit(node.func) if isinstance(node, ast.Call) else ""
