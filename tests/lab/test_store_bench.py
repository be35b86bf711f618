"""The store bench, in the small: every store commits the same rows, and the figures say what was compared."""

from pathlib import Path

from holdfast.lab.bench.store import LIMIT, OWN, SQLITE, measure_store


def test_measure__few_commits__tells_every_store_and_leaves_nothing(tmp_path: Path) -> None:
    figures = measure_store(tmp_path, commits=4, keys=10, rows=60)
    assert {OWN, LIMIT, SQLITE} <= set(figures.taken)
    assert all(0 < taken.p50_ms <= taken.p99_ms for taken in figures.taken.values())
    assert figures.ratio == figures.taken[OWN].p50_ms / figures.taken[LIMIT].p50_ms
    assert f"{figures.ratio:.2f}x" in figures.to_lines()[-1]
    assert figures.bytes_a_commit > 10 * 57
    assert list(tmp_path.iterdir()) == []
