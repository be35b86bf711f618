import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.client.signing import SigningKey
from holdfast.node.home import FORMAT, About, Home, HomeError, KeyPair
from holdfast.primitives.crypto import sha256

GENESIS = b"a genesis"
SEED = bytes(31) + b"\x01"
PUBLIC = SigningKey(SEED).public_key


def make_about() -> About:
    return About(
        format=FORMAT,
        chain_id="test",
        genesis_hash=sha256(GENESIS).hex(),
        genesis_time_ms=1_000,
        validators=1,
        block_interval_ms=250,
        seed=7,
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "data")
    assert made.open() is None
    made.create(make_about(), GENESIS, [KeyPair(SEED, PUBLIC)])
    yield made
    made.close()


def reopen(home: Home) -> About | None:
    home.close()
    return Home(home.root).open()


def test_home__created_and_opened_again__gives_back_what_was_put_in(home: Home) -> None:
    assert home.read_about() == make_about()
    assert home.read_genesis(make_about()) == GENESIS
    assert home.read_key(0) == KeyPair(SEED, PUBLIC)


def test_home__in_use__a_second_process_is_refused_with_the_holder(home: Home) -> None:
    with pytest.raises(HomeError, match=f"in use by process {os.getpid()}"):
        Home(home.root).open()


def test_home__key_that_others_may_read__is_refused_with_the_mend(home: Home) -> None:
    path = home.validator(0) / "key"
    path.chmod(0o644)
    with pytest.raises(HomeError, match=r"mode 0644.*chmod 600"):
        home.read_key(0)


def test_home__created__keys_are_for_their_owner_alone(home: Home) -> None:
    assert (home.validator(0) / "key").stat().st_mode & 0o777 == 0o600
    assert home.validator(0).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("found", "age"), [(FORMAT + 1, "a newer"), (0, "an older")])
def test_home__other_format__is_refused_and_told_which_program_opens_it(home: Home, found: int, age: str) -> None:
    path = home.root / "holdfast.json"
    path.write_text(json.dumps({"format": found, "unknown": "field"}))
    with pytest.raises(HomeError, match=f"{age} Holdfast \\(format {found}"):
        reopen(home)


def test_home__foreign_directory__is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(HomeError, match=r"not a Holdfast data directory"):
        Home(tmp_path).open()
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_home__damaged_genesis__is_refused(home: Home) -> None:
    (home.root / "genesis").write_bytes(GENESIS[:-1] + b"?")
    with pytest.raises(HomeError, match=r"genesis: is damaged"):
        home.read_genesis(make_about())


def test_home__damaged_description__is_refused_in_one_line(home: Home) -> None:
    (home.root / "holdfast.json").write_bytes(b'{"format": 1, "chain_id": "\xff')
    with pytest.raises(HomeError, match=r"holdfast\.json") as refused:
        reopen(home)
    assert "\n" not in str(refused.value)


def test_home__store_set_aside_twice__keeps_both(home: Home) -> None:
    for content in (b"first", b"second"):
        home.store(0).mkdir()
        (home.store(0) / "file").write_bytes(content)
        home.set_aside(0)
    folder = home.validator(0)
    assert (folder / "store.damaged-1" / "file").read_bytes() == b"first"
    assert (folder / "store.damaged-2" / "file").read_bytes() == b"second"


def test_home__description_changed_by_hand__is_refused(home: Home) -> None:
    path = home.root / "holdfast.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 5'))
    with pytest.raises(HomeError, match="changed by hand"):
        reopen(home)


def test_home__private_key_of_another_public_key__is_refused(home: Home) -> None:
    path = home.validator(0) / "key"
    path.write_text(path.read_text().replace(SEED.hex(), SEED[:-1].hex() + "03"))
    with pytest.raises(HomeError, match="is damaged: its private key"):
        home.read_key(0)


def test_home__layout_that_was_cut_short__is_laid_out_anew(home: Home) -> None:
    home.close()
    (home.root / "holdfast.json").rename(home.root / "holdfast.json.new")
    (home.root / "unfinished").touch()
    again = Home(home.root)
    assert again.open() is None
    again.create(make_about(), GENESIS, [KeyPair(SEED, PUBLIC)])
    assert not (home.root / "unfinished").exists()
    assert reopen(again) == make_about()


@pytest.mark.parametrize("call", ["mkdir", "touch"])
def test_home__no_room_to_lay_out__is_refused_in_one_line_and_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    home = Home(tmp_path / "full")
    assert home.open() is None

    def fail(path: Path, *_given: object, **_named: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as full:
        full.setattr(Path, call, fail)
        with pytest.raises(HomeError, match="No space left on device; free space and start again") as refusal:
            home.create(make_about(), GENESIS, [KeyPair(SEED, PUBLIC)])
    assert "\n" not in str(refusal.value)
    assert reopen(home) is None


def test_home__lock_that_cannot_be_written__is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(HomeError, match=r"lock: .*; make the directory writable"):
        Home(tmp_path).open()
