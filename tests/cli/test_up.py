"""`holdfast up` as a process: what it says once it is ready, and that a chain keeps its margin."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

START = "import sys; from holdfast.cli.main import app; app(prog_name='holdfast')"


def up(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, "up", "--validators", "1", "--port", "0", "--no-market", "--for", "1s"]
    return subprocess.run([*command, "--json", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_up__with_fixed_margin__says_so_and_goes_on_with_it(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    for arguments in ((*data, "--margin", "fixed"), data):
        done = up(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["margin"] == "fixed"
    refused = up(*data, "--margin", "adaptive")
    assert refused.returncode == 2
    assert refused.stderr.startswith("holdfast up: --margin adaptive: the chain in this data directory has fixed;")


def test_up__without_a_word__follows_the_market() -> None:
    assert json.loads(up("--in-memory").stdout)["margin"] == "adaptive"


@pytest.mark.parametrize("word", ["both", "off"])
def test_up__other_margin__is_refused_in_one_line(word: str) -> None:
    done = up("--in-memory", "--margin", word)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--margin" in done.stderr
    assert "adaptive" in done.stderr
