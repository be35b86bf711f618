"""`tools/golden` with programs that stand in for the compiler and the emulators."""

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = "bash dirname sed tr uname env".split()
PINNED, PINNED_MARGIN, OTHER = "a" * 64, "c" * 64, "b" * 64
TARGET = "aarch64-unknown-linux-musl"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Lay out a repository whose native program gives the pinned hashes, and a path without an emulator."""
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools" / "golden", tmp_path / "tools" / "golden")
    pinned = tmp_path / "src/holdfast/primitives/pricing/golden.py"
    pinned.parent.mkdir(parents=True)
    pinned.write_text(f'GOLDEN: Final = "{PINNED}"\nMARGIN_GOLDEN: Final = "{PINNED_MARGIN}"\n', encoding="utf-8")
    (tmp_path / "bin").mkdir()
    for program in PROGRAMS:
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or program)
    add_program(
        tmp_path / "kernels/target/release/examples/golden",
        f"echo pricing portable {PINNED}\necho margin portable {PINNED_MARGIN}",
    )
    add_program(tmp_path / "bin/cargo", "exit 0")
    add_program(tmp_path / "bin/rustc", f"echo {tmp_path}")
    (tmp_path / "lib/rustlib" / TARGET / "lib").mkdir(parents=True)
    return tmp_path


def add_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{shutil.which('bash')}\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def run(clone: Path) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("bash") or "bash", str(clone / "tools/golden")]
    return subprocess.run(command, env={"PATH": str(clone / "bin")}, capture_output=True, text=True, check=False)


def test_golden__no_emulator__passes_over_each_in_one_line(clone: Path) -> None:
    result = run(clone)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split(":")[1] for line in result.stdout.splitlines()[2:]] == [
        " aarch64 is passed over",
        " riscv64 is passed over",
    ]


def test_golden__emulated_machine_agrees__is_listed(clone: Path) -> None:
    add_program(clone / "bin/qemu-aarch64", f"echo pricing portable {PINNED}\necho margin portable {PINNED_MARGIN}")
    result = run(clone)
    assert result.returncode == 0
    assert f"golden: aarch64 pricing portable {PINNED}" in result.stdout
    assert f"golden: aarch64 margin portable {PINNED_MARGIN}" in result.stdout


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"echo pricing portable {OTHER}", f"aarch64 pricing portable computes {OTHER}, pinned is {PINNED}"),
        (f"echo margin portable {PINNED}", f"aarch64 margin portable computes {PINNED}, pinned is {PINNED_MARGIN}"),
        ("exit 3", "aarch64: the program failed"),
    ],
)
def test_golden__emulated_machine_differs_or_dies__fails(clone: Path, script: str, said: str) -> None:
    add_program(clone / "bin/qemu-aarch64", script)
    result = run(clone)
    assert result.returncode == 1
    assert said in result.stderr
