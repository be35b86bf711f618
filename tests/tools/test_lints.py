"""Each own lint, proved by a planted fault beside the same code put right."""

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from tools.lint import layout
from tools.lint.__main__ import check_python
from tools.lint.source import parse

REPOSITORY = Path(__file__).parents[2]

CORE = "src/holdfast/protocol/book/rules.py"
LONG = "def f() -> None:\n" + "    x = 1\n" * 70
DOCUMENTED = 'def f() -> None:\n    """Long.\n' + "\n" * 70 + '    """\n'

# rule, path, what breaks it, what does not
CASES = [
    ("float", CORE, "x = 1.5", "x = 15"),
    ("float", CORE, "x: float", "x: int"),
    ("float", CORE, "x = float(y)", "x = int(y)"),
    ("division", CORE, "x = y / z", "x = div_floor(y, z)"),
    ("division", CORE, "x //= y", "x = div_ceil(x, y)"),
    ("division", "src/holdfast/primitives/check.py", "x = y // z", "x = y % z"),
    ("import", CORE, "import json", "import bisect"),
    ("import", CORE, "from random import choice", "from itertools import chain"),
    ("import", "src/holdfast/consensus/step.py", "import time", "import enum"),
    ("environment", CORE, "x = os.environ", "x = params.bound"),
    ("builtin", CORE, "print(x)", "events.append(x)"),
    ("builtin", CORE, "with open(x) as f: pass", "with draft.nested() as f: pass"),
    ("builtin", CORE, "x = hash(y)", "x = sha256(y)"),
    ("builtin", CORE, "x = sorted(y, key=id)", "x = sorted(y, key=by_price)"),
    ("builtin", CORE, "x = round(y)", "x = div_floor(y, 1)"),
    ("assert", CORE, "assert x", "ensure(x, 'x holds')"),
    ("except", CORE, "try: f()\nexcept: pass", "try: f()\nexcept Rejected: pass"),
    ("global", CORE, "def f():\n    global x", "def f():\n    x = 1"),
    ("global", CORE, "def f():\n    x = 1\n    def g():\n        nonlocal x", "def f():\n    x = 1"),
    ("default", CORE, "def f(x=[]): pass", "def f(x=()): pass"),
    ("default", CORE, "def f(*, x=dict()): pass", "def f(*, x=None): pass"),
    ("repr", CORE, "x = repr(y)", "raise Broken(repr(y))"),
    ("repr", CORE, "x = f'{y!r}'", "raise Broken(f'{y!r}')"),
    ("set-order", CORE, "for x in {1, 2}: pass", "for x in sorted({1, 2}): pass"),
    ("set-order", CORE, "x = list(set(y))", "x = sorted(set(y))"),
    (
        "set-order",
        CORE,
        "def f(ids: frozenset[int]):\n    return [x for x in ids]",
        "def f(ids: tuple[int]):\n    return [x for x in ids]",
    ),
    ("set-order", CORE, "ids = set[int]()\nx = [*ids]", "ids = set[int]()\nx = sum(i for i in ids)"),
    ("set-order", CORE, "a = {1}\nfor x in a | b: pass", "a = {1}\nfor x in sorted(a | b): pass"),
    ("set-order", CORE, "a = {1}\nx = a.pop()", "a = [1]\nx = a.pop()"),
    ("dict-order", CORE, "for k, v in found.items(): pass", "for k, v in sorted(found.items()): pass"),
    ("dict-order", CORE, "x = list(found.values())", "x = sum(found.values())"),
    ("dict-order", CORE, "for k in found.keys(): pass", "for k in draft[ORDERS].keys(): pass"),
    (
        "dict-order",
        CORE,
        "for k in draft[ORDERS].changes(): pass",
        "orders = draft[ORDERS]\nfor k in orders.keys(): pass",
    ),
    ("excuse", CORE, "x = y // z  # det-ok", "x = y // z  # det-ok: a constant"),
    ("excuse", CORE, "x = y  # det-ok: nothing to excuse", "x = y"),
    ("units", CORE, "x = price_ticks + size_lots", "x = price_ticks * size_lots"),
    ("units", CORE, "total_atoms += fee_ppm", "total_atoms += fee_atoms"),
    ("units", CORE, "x = order.price_ticks < mark_e8", "x = order.price_ticks < best_ticks"),
    ("units", CORE, "charge(amount_atoms=price_ticks)", "charge(amount_atoms=compute_fee_atoms(price_ticks))"),
    ("units", CORE, "cash_atoms = to_ticks(x)", "cash_atoms = rate_atoms_per_lot * size_lots"),
    ("units", CORE, "x = max(now_ms, book.height)\ny = max(now_ms, start_height)", "x = max(now_ms, expiry_ms)"),
    ("vocabulary", "src/holdfast/protocol/book/helpers.py", "x = 1", None),
    ("file-length", CORE, "x = 1\n" * 451, "x = 1\n" * 450),
    ("function-length", CORE, LONG, DOCUMENTED),
    ("comment", CORE, "x = 1  # " + "TO" + "DO later", "x = 1  # the bound of the page"),
    ("comment", CORE, "# ---- helpers ----", "# a-b is one word"),
]
OUTSIDE = ("src/holdfast/node/ports.py", "src/holdfast/primitives/pricing/black.py")


def rules_broken(path: str, text: str) -> set[str]:
    return {finding.rule for finding in check_python(parse(PurePosixPath(path), text))}


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES)
def test_lint__planted_fault__is_named_and_its_mend_passes(rule: str, path: str, bad: str, good: str | None) -> None:
    assert rules_broken(path, bad) == {rule}
    assert good is None or rules_broken(path, good) == set()


@pytest.mark.parametrize("path", OUTSIDE)
def test_lint__floats_in_the_shell_or_the_pricing_file__pass(path: str) -> None:
    assert rules_broken(path, "x: float = 1.5 / 2") == set()


@pytest.mark.parametrize("name", ["messages.py", "__init__.py", "rules/matrix.py"])
def test_vocabulary__the_eight_names_and_their_folders__pass(name: str) -> None:
    assert rules_broken(f"src/holdfast/protocol/margin/{name}", "x = 1") == set()


@pytest.mark.parametrize("text", ["@work/main/x", "@root/.cargo", "see @home/someone", "cd '@work'"])
def test_paths__of_one_machine__are_named(text: str) -> None:
    findings = layout.check_paths(PurePosixPath("README.md"), text.replace("@", "/"))
    assert [finding.rule for finding in findings] == ["machine-path"]


@pytest.mark.parametrize(
    "rest", ["../shared/work/x", "a/root/b", "https://x.org/home/", "$HOME/work/x", "state/root", "out/demo"]
)
def test_paths__relative_or_remote__pass(rest: str) -> None:
    assert list(layout.check_paths(PurePosixPath("README.md"), rest)) == []


def test_rust_comments__unfinished_work__is_named() -> None:
    text = "fn f() {} // FIX" + "ME: later\n/// Hash a leaf.\n"
    assert [finding.line for finding in layout.check_rust(PurePosixPath("kernels/src/lib.rs"), text)] == [1]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.lint", str(root)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_command__planted_fault__names_file_and_line_and_fails(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    file = tmp_path / CORE
    file.parent.mkdir(parents=True)
    file.write_text("import bisect\n\nHALF = 10 // 2  # det-ok: a constant\n", encoding="utf-8")
    clean = lint(tmp_path)
    file.write_text("import bisect\n\nHALF = 10 / 2\n", encoding="utf-8")
    faulty = lint(tmp_path)
    assert (clean.returncode, clean.stdout) == (0, "own lints: 1 files, 0 findings, 1 excuses (det-ok)\n")
    assert faulty.returncode == 1
    assert f"{CORE}:3: division: " in faulty.stdout
