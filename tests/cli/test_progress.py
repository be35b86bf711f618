"""Progress of long work: every item passes, and where no terminal is, a plain line now and then says how far it is."""

import pytest

from holdfast.cli import progress


def test_track__without_a_terminal__passes_every_item_and_tells_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0)
    assert list(progress.track("abc", "margin", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == ["margin 0/3", "margin 1/3", "margin 2/3"]


def test_track__of_short_work__says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(3), "margin", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
