"""The determinism fence: below `node`, nothing depends on floats, clocks, the machine, or an order other than of keys.

An exception needs `# det-ok: reason` on its line, and is counted.
"""

import ast
from collections.abc import Iterator
from typing import Final

from tools.lint.source import CORE, Finding, Source

FLOATS_ALLOWED: Final = "primitives/pricing/"
FLOOR_ALLOWED: Final = (FLOATS_ALLOWED, "primitives/units.py")
MODULES: Final = frozenset(
    "asyncio datetime decimal fractions json logging math os pickle random secrets socket statistics "
    "threading time uuid".split()
)
CALLS: Final = frozenset("breakpoint dir eval exec globals hash id input locals open print round vars".split())
ORDER_FREE: Final = frozenset("all any frozenset len max min set sorted sum".split())
_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_COMPREHENSIONS: Final = (ast.ListComp, ast.DictComp, ast.GeneratorExp)

Complaint = tuple[ast.AST, str, str]


def check(source: Source) -> Iterator[Finding]:
    """Find what could make two replicas differ; an excuse that excuses nothing is a finding too."""
    if source.ring not in CORE:
        return
    excuses, used = source.excuses, set[int]()
    for node, rule, message in _complaints(source):
        first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
        excused = [line for line in range(first, last + 1) if line in excuses]
        used.update(excused)
        if not excused:
            yield Finding(source.path, first, rule, message)
    for line, reason in sorted(excuses.items()):
        if not reason:
            yield Finding(source.path, line, "excuse", "det-ok needs a reason: `# det-ok: reason`")
        elif line not in used:
            yield Finding(source.path, line, "excuse", "det-ok excuses nothing here")


def _complaints(source: Source) -> Iterator[Complaint]:
    file = str(source.path.relative_to("src/holdfast"))
    sets, tables, free = _set_names(source.tree), _table_names(source.tree), _order_free(source.tree)
    for node in ast.walk(source.tree):
        if not file.startswith(FLOATS_ALLOWED):
            yield from _floats(node)
        if not file.startswith(FLOOR_ALLOWED) and _operator(node, ast.FloorDiv):
            yield node, "division", "bare `//`: say how it rounds with div_floor, div_ceil or div_exact"
        yield from _outside(node)
        yield from _hazards(node)
        yield from _set_order(node, sets, free)
        if source.ring in ("protocol", "state"):
            yield from _dict_order(node, tables, free)
    yield from _reprs(source.tree)


def _operator(node: ast.AST, kind: type[ast.operator]) -> bool:
    return isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, kind)


def _floats(node: ast.AST) -> Iterator[Complaint]:
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        yield node, "float", "a float literal outside primitives/pricing"
    elif isinstance(node, ast.Name) and node.id == "float":
        yield node, "float", "float outside primitives/pricing"
    elif _operator(node, ast.Div):
        yield node, "division", "`/` makes a float: use div_floor, div_ceil or div_exact"


def _outside(node: ast.AST) -> Iterator[Complaint]:
    """Find what reaches out of the machine: libraries, files, the environment, the process."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for name in sorted(MODULES.intersection(name.split(".")[0] for name in names)):
            yield node, "import", f"{name} may not be imported below node"
    elif isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
        yield node, "environment", "the environment is not an input of the state machine"
    elif isinstance(node, ast.Call):
        values = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
        for name in sorted(CALLS.intersection(value.id for value in values if isinstance(value, ast.Name))):
            yield node, "builtin", f"{name} depends on the process or acts outside the draft"


def _hazards(node: ast.AST) -> Iterator[Complaint]:
    if isinstance(node, ast.Assert):
        yield node, "assert", "assert is stripped under -O: use ensure"
    elif isinstance(node, ast.ExceptHandler) and node.type is None:
        yield node, "except", "a bare except hides a broken invariant"
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield node, "global", "state lives in the draft, not in names of a module or closure"
    elif isinstance(node, ast.arguments):
        for default in [*node.defaults, *node.kw_defaults]:
            made = (
                isinstance(default, ast.Call)
                and isinstance(default.func, ast.Name)
                and default.func.id in ("list", "dict", "set")
            )
            if default and (made or isinstance(default, _MUTABLE)):
                yield default, "default", "a mutable default outlives the call"


def _reprs(tree: ast.Module) -> Iterator[Complaint]:
    """Find reprs in data: they are for a person, in a raise or a __repr__."""
    spared = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.FunctionDef) and node.name == "__repr__")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "repr"
        if (called or (isinstance(node, ast.FormattedValue) and node.conversion == ord("r"))) and id(
            node
        ) not in spared:
            yield node, "repr", "the repr of an object is not data"


def _order_free(tree: ast.Module) -> set[int]:
    """Return the expressions whose order cannot matter: what sorted, sum and their like consume."""
    free = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE and node.args:
            consumed = node.args[0]
            free.add(id(consumed))
            if isinstance(consumed, _COMPREHENSIONS) and not isinstance(consumed, ast.DictComp):
                free.update(id(generator.iter) for generator in consumed.generators)
    return free


def _iterated(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a node walks through, in the order that it has."""
    if isinstance(node, ast.For):
        yield node.iter
    elif isinstance(node, _COMPREHENSIONS):
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in (
            "list",
            "tuple",
            "iter",
            "next",
            "enumerate",
            "zip",
            "map",
            "filter",
            "join",
            "extend",
            "fromkeys",
            "dict",
        ):
            yield from node.args


def _is_set(node: ast.expr | None, names: set[str]) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left, names) or _is_set(node.right, names)
    if isinstance(node, ast.Call):
        function = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        return isinstance(function, ast.Name) and function.id in ("set", "frozenset")
    named = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
    return isinstance(node, ast.Set | ast.SetComp) or named in names


def _set_names(tree: ast.Module) -> set[str]:
    """Names that a file gives to sets, by value or by annotation; a name used for both counts as a set."""
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_set(node.value, names):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            kind = node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation
            if isinstance(kind, ast.Name) and kind.id in ("set", "frozenset", "Set", "AbstractSet", "MutableSet"):
                target = (
                    node.arg
                    if isinstance(node, ast.arg)
                    else getattr(node.target, "id", getattr(node.target, "attr", ""))
                )
                names.add(target)
    return names


def _set_order(node: ast.AST, names: set[str], free: set[int]) -> Iterator[Complaint]:
    for walked in _iterated(node):
        if _is_set(walked, names) and id(walked) not in free and id(node) not in free:
            yield walked, "set-order", "a set has no order that replicas share: walk sorted(...)"
    method, owner = _bare_method(node)
    if method == "pop" and _is_set(owner, names):
        yield node, "set-order", "pop takes any element of a set"


def _bare_method(node: ast.AST) -> tuple[str, ast.expr | None]:
    """Return the name and the owner of a method called without arguments."""
    if isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Attribute):
        return node.func.attr, node.func.value
    return "", None


def _table_names(tree: ast.Module) -> set[str]:
    """Names that a file gives to tables: `orders = draft[ORDERS]`."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_table(node.value, set())]
    return {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}


def _is_table(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Name) and (node.slice.id.isupper() or node.slice.id == "table")
    return isinstance(node, ast.Name) and node.id in names


def _dict_order(node: ast.AST, tables: set[str], free: set[int]) -> Iterator[Complaint]:
    for walked in _iterated(node):
        method, owner = _bare_method(walked)
        table = owner is not None and _is_table(owner, tables | {"self"})
        if id(walked) not in free and (method == "changes" or (method in ("items", "keys", "values") and not table)):
            yield walked, "dict-order", "a dict keeps the order of its making: walk a table, or sorted(...)"
