"""What a machine may lack is named in one line that says how to mend it."""

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = ("bash", "env", "dirname", "cat", "cksum", "sed", "cut", "sort", "head", "ls", "tail")
COMPLETE = {
    "python3": "exit 0",
    "cargo": "echo cargo 1.99.0",
    "rustc": "echo 'rustc 1.99.0 (abc 2026-01-01)'",
    "cc": "exit 0",
}

LACKS = [
    ({"python3": None}, "setup: python3 is missing or older than 3.11: install Python 3.11"),
    ({"python3": "exit 1"}, "setup: python3 is missing or older than 3.11: install Python 3.11"),
    ({"python3": '[[ "$2" != *ensurepip* ]]'}, "setup: Python's venv module is missing: install it"),
    ({"cargo": None}, "setup: cargo is missing: install Rust"),
    ({"rustc": None}, "setup: rustc is missing: install Rust"),
    ({"rustc": "echo 'rustc 1.60.0 (abc 2022-01-01)'"}, "setup: rustc 1.60.0 is too old: install Rust"),
    ({"cc": None}, "setup: a C linker (cc) is missing: install gcc or clang"),
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what setup reads, and lay out a path with the programs that every system has."""
    crates = [
        f"kernels/{folder}{name}" for folder in ("", "margin/", "pricing/") for name in ("Cargo.toml", "src/lib.rs")
    ]
    for name in ("tools/setup", "requirements.txt", "pyproject.toml", *crates):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for program in PROGRAMS:
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or program)
    return tmp_path


@pytest.mark.parametrize(("changed", "said"), LACKS)
def test_setup__machine_lacks_something__says_so_in_one_line(
    clone: Path, changed: dict[str, str | None], said: str
) -> None:
    for program, script in {**COMPLETE, **changed}.items():
        if script is not None:
            (clone / "bin" / program).write_text(f"#!{shutil.which('bash')}\n{script}\n", encoding="utf-8")
            (clone / "bin" / program).chmod(0o755)
    command = [shutil.which("bash") or "bash", str(clone / "tools" / "setup")]
    result = subprocess.run(command, env={"PATH": str(clone / "bin")}, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1
    assert " and try again" in result.stderr
