"""A data directory: what lies where, who may open it, and which program wrote it.

    holdfast.json         what the chain is; `format` says which programs may open it
    genesis               the canonical bytes that the chain starts from
    lock                  held by the process that runs here
    unfinished            there while the directory is laid out, and after a start that did not get so far
    validator-N/key       a validator's private key, readable by its owner alone
    validator-N/store/    that validator's files
    index.sqlite          the gateway's index, which is derived and may be deleted

It knows files and their forms; what the chain's bytes mean is for others.
"""

import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from holdfast import _kernels
from holdfast.primitives.crypto import sha256

FORMAT: Final = 1
ABOUT_FILE: Final = "holdfast.json"
GENESIS_FILE: Final = "genesis"
INDEX_FILE: Final = "index.sqlite"
_LOCK_FILE: Final = "lock"
_UNFINISHED_FILE: Final = "unfinished"
_KEY_FILE: Final = "key"
_KEY_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700

_Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class HomeError(Exception):
    """A data directory that cannot be used: which file, why, and the mend, in one line."""


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `holdfast.json` says."""

    format: int
    chain_id: str
    genesis_hash: _Hex32
    genesis_time_ms: int
    validators: Annotated[int, Meta(ge=1, le=64)]
    block_interval_ms: Annotated[int, Meta(ge=20, le=60_000)]
    seed: int


class _Checked(About, frozen=True, forbid_unknown_fields=True):
    check: str


class _Format(msgspec.Struct):
    format: int = 0


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public_key: _Hex32
    private_key: _Hex32


class KeyPair(NamedTuple):
    """A validator's key: the 32-byte seed and what it signs as."""

    seed: bytes
    public_key: bytes


class Home:
    """One data directory, opened by one process."""

    def __init__(self, root: Path) -> None:
        """Name the directory; nothing is touched yet."""
        self.root = root
        self._lock_fd: int | None = None

    # Opening

    def open(self) -> About | None:
        """Lock the directory, creating it where absent; return what it holds, None where it is to be laid out.

        Refuses: HomeError, for a directory in use, one that is not Holdfast's, or of another format.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in self.root.iterdir()} - {_LOCK_FILE}
        except OSError as error:
            raise HomeError(f"{self.root}: {error.strerror}; choose another directory with --data") from error
        if names and not names & {ABOUT_FILE, _UNFINISHED_FILE}:
            raise HomeError(
                f"{self.root}: holds files, and none is {ABOUT_FILE}: this is not a Holdfast data directory;"
                " choose an empty one with --data"
            )
        self._take_lock()
        return self.read_about() if ABOUT_FILE in names else None

    def hold(self) -> bool:
        """Lock a directory that nobody uses; tell whether it is locked now."""
        try:
            self._take_lock()
        except (HomeError, OSError):
            return False
        return True

    def close(self) -> None:
        """Give the lock back."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def read_about(self) -> About:
        """Return what the directory says it is.

        Refuses: HomeError, where that cannot be read or names a format that this program does not have.
        """
        path = self.root / ABOUT_FILE
        try:
            data = path.read_bytes()
            found = msgspec.json.decode(data, type=_Format).format
            if found != FORMAT:
                raise HomeError(_other_format(path, found))
            checked = msgspec.json.decode(data, type=_Checked)
        except FileNotFoundError:
            raise HomeError(f"{path}: absent; is this a Holdfast data directory?") from None
        except OSError as error:
            raise HomeError(f"{path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HomeError(f"{path}: {error}; restore a backup, or start a new chain elsewhere") from error
        about = About(*(getattr(checked, name) for name in About.__struct_fields__))
        if checked.check != _check_of(about):
            raise HomeError(f"{path}: is damaged or was changed by hand: its check does not match; restore a backup")
        return about

    def read_genesis(self, about: About) -> bytes:
        """Return the genesis bytes.

        Refuses: HomeError, where they are not those that `holdfast.json` names.
        """
        path = self.root / GENESIS_FILE
        try:
            genesis = path.read_bytes()
        except OSError as error:
            raise HomeError(f"{path}: {error.strerror}; restore it from a backup") from error
        if sha256(genesis).hex() != about.genesis_hash:
            raise HomeError(f"{path}: is damaged or of another chain; restore it from a backup")
        return genesis

    # Creating

    def create(self, about: About, genesis: bytes, seeds: Sequence[KeyPair]) -> None:
        """Lay out a directory: keys and genesis first, so that `holdfast.json` means that all is there.

        Why: one that was begun and never finished has signed nothing, so it is laid out anew.

        Refuses: HomeError, where there is no room or no right to write.
        """
        try:
            (self.root / _UNFINISHED_FILE).touch()
            _sync_folder(self.root)
            for index, pair in enumerate(seeds):
                folder = self.validator(index)
                folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                key = _Key(pair.public_key.hex(), pair.seed.hex())
                _write(folder / _KEY_FILE, msgspec.json.format(msgspec.json.encode(key)), _KEY_MODE)
            _write(self.root / GENESIS_FILE, genesis)
            self.write_about(about)
            (self.root / _UNFINISHED_FILE).unlink()
        except OSError as error:
            place = error.filename or self.root
            mend = "free space and start again, or choose another directory with --data"
            raise HomeError(f"{place}: {error.strerror}; {mend}") from error

    def write_about(self, about: About) -> None:
        """Put a new description in the old one's place."""
        checked = {**msgspec.structs.asdict(about), "check": _check_of(about)}
        _write(self.root / ABOUT_FILE, msgspec.json.format(msgspec.json.encode(checked)) + b"\n")

    # Validators

    def validator(self, index: int) -> Path:
        """Return a validator's folder."""
        return self.root / f"validator-{index}"

    def store(self, index: int) -> Path:
        """Return the folder of a validator's files."""
        return self.validator(index) / "store"

    def read_key(self, index: int) -> KeyPair:
        """Return a validator's key.

        Refuses: HomeError, for a key that others may read, or that is damaged.
        """
        path = self.validator(index) / _KEY_FILE
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = path.read_bytes()
        except OSError as error:
            raise HomeError(f"{path}: {error.strerror}; restore it from a backup") from error
        if mode & ~_KEY_MODE:
            raise HomeError(f"{path}: has mode {mode:04o}, so others may read the key; run: chmod 600 {path}")
        try:
            key = msgspec.json.decode(data, type=_Key)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HomeError(f"{path}: {error}; restore it from a backup") from error
        pair = KeyPair(bytes.fromhex(key.private_key), bytes.fromhex(key.public_key))
        if _kernels.public_key(pair.seed) != pair.public_key:
            raise HomeError(f"{path}: is damaged: its private key is not its public key's; restore it from a backup")
        return pair

    def set_aside(self, index: int) -> Path:
        """Move a damaged store out of the way, keeping it for whoever wants to look; return where it went."""
        number = 1
        while (target := self.validator(index) / f"store.damaged-{number}").exists():
            number += 1
        self.store(index).rename(target)
        return target

    def _take_lock(self) -> None:
        path = self.root / _LOCK_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            mend = "make the directory writable, or choose another with --data"
            raise HomeError(f"{path}: {error.strerror}; {mend}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise HomeError(
                f"{self.root}: in use by process {holder or '?'}; stop it, or choose another directory with --data"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock_fd = descriptor


def _check_of(about: About) -> str:
    return sha256(msgspec.json.encode(about)).hex()[:16]


def _other_format(path: Path, found: int) -> str:
    age = "a newer Holdfast" if found > FORMAT else "an older Holdfast"
    return f"{path}: was written by {age} (format {found}, this program has {FORMAT}); open it with that program"


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file durably: after a crash it holds the old bytes or the new."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
