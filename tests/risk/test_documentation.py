"""The Python of docs/risk.md runs as it stands."""

import re
from pathlib import Path

import pytest

from tests.support.margin_cases import account_document

REPOSITORY = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "risk.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def test_examples__of_arrays_and_margins__run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    exec(compile(_find("scenario_grid("), "docs/risk.md", "exec"), {})  # noqa: S102 -- our own page
    lines = capsys.readouterr().out.splitlines()
    assert "BTC spot-16% vol-down" in lines[0]
    assert lines[1].startswith("True ")


def test_examples__of_frames__run() -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` (pandas) is not installed")
    pytest.importorskip("polars", reason="the extra `frames` (polars) is not installed")
    sections = {name: rows if isinstance(rows, list) else [rows] for name, rows in account_document().items()}
    names: dict[str, object] = {name: pandas.DataFrame(rows) for name, rows in sections.items()}
    imports = _find("scenario_grid(").partition("portfolio =")[0]
    exec(compile(imports + _find("portfolio_of_frames("), "docs/risk.md", "exec"), names)  # noqa: S102 -- our own page


def _find(word: str) -> str:
    block: str
    (block,) = [block for block in BLOCKS if word in block and "portfolio = " in block]
    return block
