"""Lint the repository: print each finding, count the excuses, exit 1 if anything was found."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from tools.lint import determinism, layout, units
from tools.lint.source import Finding, Source, parse

PYTHON_RULES: Final = (determinism.check, units.check, layout.check)


def check_python(source: Source) -> Iterator[Finding]:
    """Apply every rule for Python."""
    for rule in PYTHON_RULES:
        yield from rule(source)


def check_file(root: Path, path: PurePosixPath) -> tuple[list[Finding], int]:
    """Return what is wrong with one file, and how many excuses it carries."""
    try:
        text = (root / path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):  # not text, or deleted and not yet staged
        return [], 0
    findings, excuses = list(layout.check_paths(path, text)), 0
    if path.suffix == ".py":
        source = parse(path, text)
        findings += check_python(source)
        excuses = len(source.excuses) if source.ring else 0
    elif path.suffix == ".rs":
        findings += layout.check_rust(path, text)
    return findings, excuses


def list_files(root: Path) -> list[PurePosixPath]:
    """List the files that git tracks or would track."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted(PurePosixPath(name) for name in listed.split("\0") if name)


def main(root: Path) -> int:
    """Lint all files below a root."""
    files = list_files(root)
    results = [check_file(root, path) for path in files]
    findings = [finding for found, _ in results for finding in found]
    for finding in findings:
        print(finding)
    excuses = sum(count for _, count in results)
    print(f"own lints: {len(files)} files, {len(findings)} findings, {excuses} excuses (det-ok)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
