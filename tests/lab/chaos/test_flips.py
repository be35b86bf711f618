"""Flipped bits: none is served, and a node that does not check is found out."""

import random
from pathlib import Path

import pytest

from holdfast.client.signing import SigningKey
from holdfast.lab.chaos.flips import Flip, draw, flip_bit, kind_of, list_files, run_home, run_store
from holdfast.lab.chaos.observing import observe_stepped
from holdfast.lab.chaos.syscalls import Rehearsed, Stage, rehearse
from holdfast.lab.solo import Solo
from holdfast.node import blockstore, frames, home
from holdfast.primitives.crypto import sha256

HEIGHT = 31


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearse(tmp_path_factory.mktemp("chaos") / "work", [Stage("flips", HEIGHT, HEIGHT)])


def test_flip__of_a_bit__changes_that_bit_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4))
    flip_bit(tmp_path, Flip("file", 17))
    assert (tmp_path / "file").read_bytes() == bytes([0, 0, 2, 0])


def test_draw__of_small_and_large_files__passes_neither_over() -> None:
    rng = random.Random(1)
    flips = [draw({"small": 4, "large": 100_000, "empty": 0}, rng) for _ in range(200)]
    found = {flip.path for flip in flips}
    assert found == {"small", "large"}
    assert all(flip.bit < 8 * {"small": 4, "large": 100_000}[flip.path] for flip in flips)


def test_kind__of_numbered_files__leaves_the_number_out() -> None:
    assert [kind_of(name) for name in ("validator-1/store/blocks-0001", "validator-1/key", "genesis")] == [
        "blocks",
        "key",
        "genesis",
    ]


@pytest.mark.slow
def test_flips__in_a_store__are_never_served(rehearsed: Rehearsed, tmp_path: Path) -> None:
    store = rehearsed.bases["flips"]
    report = run_store(store, observe_stepped(rehearsed.script), tmp_path / "copy", seed=5, flips=50)
    assert report.violations == []
    tally = report.tally()
    assert tally["detected"] > 5
    assert tally["repaired"] > 2
    assert {kind_of(path) for path in list_files(store)} >= {"blocks", "signed", "snapshot", "state-log", "format"}


@pytest.mark.slow
def test_flips__in_a_block_log_whose_checks_are_off__are_found_out(
    rehearsed: Rehearsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockstore, "open_frame", lambda data: data[frames.HEADER_BYTES :])
    store = tmp_path / "store"
    store.mkdir()
    for path in rehearsed.bases["flips"].iterdir():
        (store / path.name).write_bytes(path.read_bytes())
    only_blocks = {name: size for name, size in list_files(store).items() if name.startswith("blocks-")}
    monkeypatch.setattr("holdfast.lab.chaos.flips.list_files", lambda _folder: only_blocks)
    report = run_store(store, observe_stepped(rehearsed.script), tmp_path / "copy", seed=5, flips=12)
    assert report.tally()["served"] > 0


def test_flips__in_keys_genesis_and_description__are_detected_or_harmless(tmp_path: Path) -> None:
    root = tmp_path / "data"
    made = home.Home(root)
    made.open()
    genesis = Solo(1).genesis
    pairs = [home.KeyPair(bytes([index]) * 32, SigningKey(bytes([index]) * 32).public_key) for index in range(2)]
    about = home.About(
        format=home.FORMAT,
        chain_id="holdfast-dev-1",
        genesis_hash=sha256(genesis).hex(),
        genesis_time_ms=1_000,
        validators=2,
        block_interval_ms=250,
        seed=1,
    )
    made.create(about, genesis, pairs)
    made.close()
    report = run_home(root, tmp_path / "copy", seed=2, flips=150)
    assert report.violations == []
    assert report.tally()["detected"] > 100
