"""Keys at rest: sealed, private to their user, and refused with the mend when something is not right."""

import json
import os
import stat
from pathlib import Path

import pytest

from holdfast.client.errors import EXIT_AUTH, InputError, KeystoreError
from holdfast.client.home import find_home
from holdfast.client.keystore import Keystore, KnownAccount
from holdfast.client.signing import SigningKey

SEED = bytes(range(32))
HOME = KnownAccount("solo", "ab" * 32, 1_000)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Keystore:
    store = Keystore(tmp_path / "keys")
    store.create("alice", "open sesame", SEED)
    return store


def test_keystore__a_key_that_was_created__unlocks_to_the_same_key(store: Keystore) -> None:
    key = store.unlock("alice", "open sesame")
    assert key.public_key == SigningKey(SEED).public_key
    assert key.sign(b"message") == SigningKey(SEED).sign(b"message")
    assert store.names() == ["alice"]


def test_keystore__its_files__are_for_their_user_alone_and_hold_no_secret(store: Keystore) -> None:
    path = store.folder / "alice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert SEED.hex() not in path.read_text()
    kdf = json.loads(path.read_text())["kdf"]
    assert (kdf["name"], kdf["n"] >= 2**15) == ("scrypt", True)
    assert sorted(path.name for path in store.folder.iterdir()) == ["alice.json"]


def test_keystore__two_keys_with_one_passphrase__are_sealed_differently(store: Keystore) -> None:
    store.create("bob", "open sesame", SEED)
    sealed = [json.loads((store.folder / f"{name}.json").read_text()) for name in ("alice", "bob")]
    assert sealed[0]["cipher"]["ciphertext"] != sealed[1]["cipher"]["ciphertext"]
    assert sealed[0]["kdf"]["salt"] != sealed[1]["kdf"]["salt"]


def test_unlock__a_wrong_passphrase__is_told_in_one_line(store: Keystore) -> None:
    with pytest.raises(KeystoreError, match=r"^wrong passphrase for key 'alice' \(.*alice\.json\)$") as refusal:
        store.unlock("alice", "open sesame ")
    assert refusal.value.exit_code == EXIT_AUTH


@pytest.mark.parametrize(("name", "mode"), [("alice.json", 0o640), ("alice.json", 0o604), (".", 0o750)])
def test_read__a_file_or_folder_that_others_may_read__is_refused_with_the_mend(
    store: Keystore, name: str, mode: int
) -> None:
    path = store.folder / name
    path.chmod(mode)
    mend = "chmod 700" if name == "." else "chmod 600"
    with pytest.raises(KeystoreError, match=rf"\(mode {mode:o}\); run: {mend}"):
        store.unlock("alice", "open sesame")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.update(public_key="00" * 32), "wrong passphrase"),
        (lambda file: file["cipher"].update(ciphertext="00" * 48), "wrong passphrase"),
        (lambda file: file["kdf"].update(n=2**30), "sealed in a way that this program does not know"),
        (lambda file: file["kdf"].update(n=12_345), "sealed in a way that this program does not know"),
        (lambda file: file["kdf"].update(name="pbkdf2"), "sealed in a way that this program does not know"),
        (lambda file: file.update(format=2), "has format 2, this program reads 1"),
        (lambda file: file.update(name="bob"), "holds the key 'bob'; rename it"),
        (lambda file: file.pop("cipher"), "is damaged"),
        (lambda file: file.update(surprise=1), "is damaged"),
    ],
)
def test_unlock__a_file_that_was_changed__is_refused(store: Keystore, change: object, words: str) -> None:
    path = store.folder / "alice.json"
    file = json.loads(path.read_text())
    assert callable(change)
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(KeystoreError, match=words):
        store.unlock("alice", "open sesame")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_read__a_file_that_is_no_key__is_refused(store: Keystore, data: bytes) -> None:
    (store.folder / "alice.json").write_bytes(data)
    with pytest.raises(KeystoreError, match="is damaged"):
        store.read("alice")


def test_create__a_name_that_exists__keeps_the_old_key(store: Keystore) -> None:
    with pytest.raises(InputError, match="exists"):
        store.create("alice", "another")
    assert store.unlock("alice", "open sesame").public_key == SigningKey(SEED).public_key


@pytest.mark.parametrize("name", ["", "../alice", "Alice", "a b", "x" * 33, ".hidden", "a/b"])
def test_create__a_name_that_is_no_file_name__is_refused(store: Keystore, name: str) -> None:
    with pytest.raises(InputError, match="key name"):
        store.create(name, "pass")


def test_create__an_empty_passphrase__is_refused(store: Keystore) -> None:
    with pytest.raises(InputError, match="passphrase is empty"):
        store.create("bob", "")


def test_read__an_unknown_name__tells_those_that_there_are(store: Keystore) -> None:
    with pytest.raises(InputError, match=r"known: alice\); make it: holdfast account create bob"):
        store.read("bob")


def test_add_account__its_chain_and_id__are_kept_once_and_can_be_removed(store: Keystore) -> None:
    store.add_account("alice", HOME)
    store.add_account("alice", HOME)
    assert store.read("alice").accounts == (HOME,)
    assert store.unlock("alice", "open sesame").public_key == SigningKey(SEED).public_key
    assert store.remove_account("alice", HOME).accounts == ()


def test_write__a_full_disk__leaves_the_key_as_it_was(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (store.folder / "alice.json").read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeystoreError, match="No space left on device; nothing was kept"):
        store.add_account("alice", HOME)
    assert (store.folder / "alice.json").read_bytes() == before
    assert sorted(path.name for path in store.folder.iterdir()) == ["alice.json"]


def test_find_home__its_variables__are_taken_in_order(tmp_path: Path) -> None:
    assert find_home({"HOLDFAST_HOME": "/x", "XDG_DATA_HOME": "/y"}) == Path("/x")
    assert find_home({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "holdfast"
    assert find_home({}) == Path.home() / ".local" / "share" / "holdfast"
