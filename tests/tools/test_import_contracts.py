"""Each import contract of pyproject.toml, proved on a skeleton of the package with one planted import."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, list[str]]] = {contract["id"]: contract for contract in SETTINGS["contracts"]}

# contract, file, its one line, what the tool must name
FAULTS = [
    (
        "rings",
        "state/root.py",
        "from holdfast.node import ports",
        "holdfast.state is not allowed to import holdfast.node",
    ),
    (
        "rings",
        "protocol/machine.py",
        "import holdfast.consensus",
        "holdfast.protocol is not allowed to import holdfast.consensus",
    ),
    ("rings", "node/ports.py", "import holdfast.lab", "holdfast.node is not allowed to import holdfast.lab"),
    ("rings", "sidecar/__init__.py", "", "holdfast.sidecar"),
    (
        "ladder",
        "protocol/ledger/rules.py",
        "from holdfast.protocol.margin import rules",
        "ledger is not allowed to import holdfast.protocol.margin",
    ),
    (
        "ladder",
        "protocol/settlement/rules.py",
        "from holdfast.protocol import liquidation",
        "holdfast.protocol.settlement is not allowed",
    ),
    ("ladder", "protocol/perpetuals/__init__.py", "", "holdfast.protocol.perpetuals"),
    ("core", "primitives/units.py", "import math", "holdfast.primitives is not allowed to import math"),
    ("core", "protocol/book/rules.py", "from time import time", "holdfast.protocol is not allowed to import time"),
    ("core", "consensus/step.py", "import random", "holdfast.consensus is not allowed to import random"),
    (
        "consensus",
        "consensus/step.py",
        "import holdfast.state",
        "holdfast.consensus is not allowed to import holdfast.state",
    ),
    (
        "engine-free",
        "node/exchange.py",
        "import holdfast.consensus",
        "holdfast.node.exchange is not allowed to import holdfast.consensus",
    ),
    (
        "edge",
        "cli/replay.py",
        "from holdfast.protocol import machine",
        "holdfast.cli is not allowed to import holdfast.protocol",
    ),
    (
        "client",
        "client/follow.py",
        "from holdfast.protocol.book import rules",
        "holdfast.client is not allowed to import",
    ),
    (
        "second-engine",
        "lab/reference/smiles.py",
        "from holdfast.primitives import smiles",
        "holdfast.lab.reference is not allowed to import",
    ),
    (
        "second-engine",
        "lab/reference/trading.py",
        "from holdfast.protocol.book import rules",
        "holdfast.lab.reference is not allowed to import",
    ),
]


def modules_of(contract: dict[str, list[str]]) -> list[str]:
    """Return the dotted names that a layers contract speaks of."""
    layers = " | ".join(contract["layers"]).split(" | ")
    return [f"{contract['containers'][0]}.{layer.strip('()')}" for layer in layers]


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """Write empty packages for every declared layer, with the modules that the contracts name."""
    names = [
        *modules_of(CONTRACTS["rings"]),
        *modules_of(CONTRACTS["ladder"]),
        "holdfast",
        "holdfast.node.application",
        "holdfast.node.exchange",
    ]
    for name in [
        *names,
        "holdfast.lab.reference",
        "holdfast.node.ports",
        "holdfast.primitives.smiles",
        "holdfast.state.draft",
        "holdfast.state.store",
        "holdfast.state.tree",
        "holdfast.protocol.book.rules",
        "holdfast.protocol.book.handlers",
        "holdfast.protocol.margin.rules",
    ]:
        folder = tmp_path.joinpath(*name.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    return tmp_path


def lint_imports(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(REPOSITORY / "pyproject.toml"),
        *chosen,
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_contracts__skeleton_without_fault__are_kept(skeleton: Path) -> None:
    result = lint_imports(skeleton)
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize(("contract", "file", "line", "named"), FAULTS)
def test_contract__planted_import__is_named(skeleton: Path, contract: str, file: str, line: str, named: str) -> None:
    planted = skeleton / "holdfast" / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(line + "\n", encoding="utf-8")
    result = lint_imports(skeleton, contract)
    assert named in " ".join(result.stdout.split()), result.stdout + result.stderr
    assert result.returncode == 1


def test_contracts__each_one__has_a_planted_fault() -> None:
    assert {contract for contract, *_ in FAULTS} == set(CONTRACTS)
