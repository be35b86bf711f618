"""Backups of a data directory, taken while it runs, and what is made of them.

A validator's files are copied in an order that keeps the copy consistent without stopping anybody: first the state,
then the block log, then what was signed. So the chain of a copy is never behind its state, and what it has signed is
never behind its chain. What was deleted under the copy's feet is begun again. The copy is opened, read only, before it
counts.

Restoring a whole directory brings all validators back together, with the memory of what they have signed. Copies of a
directory in use are not of one moment, so their memories contradict each other, and a lower one could decide again what
a higher one holds. Then all come back with the highest copy, at one height; what they signed above it is given up with
the blocks that went with it. Restoring
one validator into a directory whose others went on is another matter: its key may have signed since. So its right to
sign is left out, and it earns it again by standing above what the others have announced (`node/replica_permit.py`).
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.node import blockstore, replica_permit, replica_restore, snapshots, store, version, wal
from holdfast.node.blockstore import BlockStore
from holdfast.node.disk import ReadOnlyDisk
from holdfast.node.frames import DamagedFileError, numbers_of
from holdfast.node.home import ABOUT_FILE, GENESIS_FILE, About, Home, HomeError
from holdfast.node.ports import DiskError
from holdfast.node.snapshots import open_snapshot
from holdfast.node.store import StateStore, StoreError
from holdfast.node.version import VersionError
from holdfast.node.wal import SignLog
from holdfast.primitives.reject import Malformed
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State

_ATTEMPTS_MAX: Final = 8
_PIECE_BYTES: Final = 1024 * 1024
_KEY_FILE: Final = "key"
_UNFINISHED: Final = ".unfinished"
_IN_USE_FILE: Final = "taken-while-in-use"
_STATE: Final = (version.FILE, store.LOG_PREFIX, snapshots.PREFIX)
_BLOCKS: Final = (blockstore.PREFIX, replica_restore.FILE, "checkpoints")
_SIGNED: Final = (wal.PREFIX, replica_permit.FILE)

OnFile = Callable[[str], None]


class BackupError(Exception):
    """A backup or a restore that cannot be: which file, why, and the mend, in one line."""


class Copied(NamedTuple):
    """One validator in a backup."""

    validator: int
    height: int
    app_hash: bytes
    size_bytes: int


def backup(directory: Path, out: Path, validators: Sequence[int] | None, on_file: OnFile) -> list[Copied]:
    """Copy a data directory, or some of its validators, into a new folder.

    Refuses: BackupError and HomeError, leaving nothing in `out`.
    """
    home = Home(directory)
    about = home.read_about()
    wanted = _check_indices(about, validators)
    unfinished = _begin(out)
    is_still = home.hold()
    try:
        return _backup(home, about, wanted, unfinished, out, is_still=is_still, on_file=on_file)
    finally:
        home.close()


def _backup(
    home: Home, about: About, wanted: list[int], unfinished: Path, out: Path, *, is_still: bool, on_file: OnFile
) -> list[Copied]:
    target = Home(unfinished)
    copied = []
    for index in wanted:
        home.read_key(index)
        target.store(index).mkdir(parents=True, mode=0o700)
        _copy(home.validator(index) / _KEY_FILE, target.validator(index) / _KEY_FILE)
        _copy_store(home.store(index), target.store(index), on_file)
        copied.append(check_store(target.store(index), index))
    if not is_still:
        _write(unfinished / _IN_USE_FILE, [])
    _copy(home.root / GENESIS_FILE, unfinished / GENESIS_FILE)
    _copy(home.root / ABOUT_FILE, unfinished / ABOUT_FILE)
    target.read_genesis(about)
    _finish(unfinished, out)
    return copied


def restore(source: Path, directory: Path, on_file: OnFile) -> list[Copied]:
    """Make a data directory of a backup that holds every validator.

    Refuses: BackupError and HomeError, leaving nothing in `directory`.
    """
    backed_up = Home(source)
    about = backed_up.read_about()
    backed_up.read_genesis(about)
    missing = [index for index in range(about.validators) if not backed_up.store(index).is_dir()]
    if missing:
        raise BackupError(
            f"{source}: holds no validator {missing[0]}; restore the others with --validator, into a directory that has"
            " the chain"
        )
    found = [check_store(backed_up.store(index), index) for index in range(about.validators)]
    unfinished = _begin(directory)
    target = Home(unfinished)
    was_in_use = (source / _IN_USE_FILE).exists()
    highest = max(found, key=lambda copied: copied.height)
    if was_in_use:
        found = [highest._replace(validator=index) for index in range(about.validators)]
    for index in range(about.validators):
        target.store(index).mkdir(parents=True, mode=0o700)
        _copy(backed_up.validator(index) / _KEY_FILE, target.validator(index) / _KEY_FILE)
        if was_in_use:
            store_folder = backed_up.store(highest.validator)
            names = [name for name in _names(store_folder) if not name.startswith(_SIGNED)]
            _copy_files(store_folder, target.store(index), names, on_file)
            _write(target.store(index) / replica_permit.FILE, [replica_permit.record(highest.height + 1)])
        else:
            _copy_files(backed_up.store(index), target.store(index), _names(backed_up.store(index)), on_file)
    _copy(source / GENESIS_FILE, unfinished / GENESIS_FILE)
    _copy(source / ABOUT_FILE, unfinished / ABOUT_FILE)
    _finish(unfinished, directory)
    return found


def restore_validator(source: Path, directory: Path, index: int, on_file: OnFile) -> tuple[Copied, Path | None]:
    """Put one validator of a backup in its place in a stopped data directory; return it, and where its old files went.

    Refuses: BackupError and HomeError, leaving the directory as it was.
    """
    backed_up, home = Home(source), Home(directory)
    about = backed_up.read_about()
    _check_indices(about, [index])
    if not backed_up.store(index).is_dir():
        raise BackupError(f"{source}: holds no validator {index}; choose another backup")
    found = check_store(backed_up.store(index), index)
    present = home.open()
    try:
        if present is None or present.genesis_hash != about.genesis_hash:
            raise BackupError(f"{directory}: has not the chain of the backup; restore without --validator elsewhere")
        key = backed_up.read_key(index)
        if (home.validator(index) / _KEY_FILE).exists() and home.read_key(index) != key:
            raise BackupError(f"{home.validator(index)}: has another key than the backup; choose another backup")
        fresh = home.validator(index) / ("store" + _UNFINISHED)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        names = [name for name in _names(backed_up.store(index)) if name != replica_permit.FILE]
        _copy_files(backed_up.store(index), fresh, names, on_file)
        if not (home.validator(index) / _KEY_FILE).exists():
            _copy(backed_up.validator(index) / _KEY_FILE, home.validator(index) / _KEY_FILE)
        aside = home.set_aside(index) if home.store(index).exists() else None
        fresh.rename(home.store(index))
        _sync_folder(home.validator(index))
    finally:
        home.close()
    return found, aside


def check_store(folder: Path, index: int) -> Copied:
    """Open a validator's files without changing them, and check that state and chain agree.

    Refuses: BackupError.
    """
    disk = ReadOnlyDisk(folder)
    try:
        loaded = StateStore(disk).load()
        blocks = BlockStore(disk)
        SignLog(disk)
        height, app_hash = (0, b"") if loaded is None else (loaded.height, loaded.app_hash)
        if loaded is not None:
            state = State(TABLES)
            state.load(loaded.rows)
            if state.root != app_hash:
                raise BackupError(f"{folder}: the rows of height {height} do not have their root; take another backup")
    except (StoreError, VersionError, DamagedFileError, DiskError, Malformed) as error:
        raise BackupError(f"{folder}: {error}") from error
    if height > blocks.last:
        raise BackupError(f"{folder}: its state is at height {height}, its chain at {blocks.last}; take another backup")
    tip = blocks.tip_at(height) if height else None
    if tip is not None and tip.app_hash != app_hash:
        raise BackupError(f"{folder}: state and chain of height {height} are not of one another; take another backup")
    return Copied(index, blocks.last, b"" if blocks.tip is None else blocks.tip.app_hash, _size_bytes(folder))


def _copy_store(source: Path, target: Path, on_file: OnFile) -> None:
    """Copy a store that may be written to: state, then blocks, then signatures."""
    if not source.is_dir():
        raise BackupError(f"{source}: absent; is this validator set up?")
    for prefixes in (_STATE, _BLOCKS, _SIGNED):
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                _copy_files(source, target, _chosen(source, prefixes), on_file)
                break
            except FileNotFoundError as error:
                if attempt == _ATTEMPTS_MAX:
                    raise BackupError(f"{error.filename}: deleted while it was copied, again and again") from error
                for name in _chosen(target, prefixes):
                    (target / name).unlink()


def _chosen(folder: Path, prefixes: tuple[str, ...]) -> list[str]:
    """Return the files of a kind, but no snapshot that is not finished."""
    disk = ReadOnlyDisk(folder)
    heights = numbers_of(disk.names(), snapshots.PREFIX)
    unfinished = {snapshots.file_name(height) for height in heights if open_snapshot(disk, height) is None}
    return [name for name in disk.names() if name.startswith(prefixes) and name not in unfinished]


def _names(folder: Path) -> list[str]:
    return ReadOnlyDisk(folder).names()


def _copy_files(source: Path, target: Path, names: Iterable[str], on_file: OnFile) -> None:
    for name in names:
        _copy(source / name, target / name)
        on_file(name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file as far as it goes now."""
    with source.open("rb") as read:
        _write(target, iter(lambda: read.read(_PIECE_BYTES), b""))


def _write(target: Path, pieces: Iterable[bytes]) -> None:
    """Write a file, durably, for its owner alone."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as written:
        for piece in pieces:
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())


def _begin(out: Path) -> Path:
    """Return the folder to fill, which becomes `out` once it is whole."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BackupError(f"{out}: exists and is not an empty folder; choose another")
        unfinished = out.with_name(out.name + _UNFINISHED)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise BackupError(f"{out}: {error.strerror}; choose another folder") from error
    return unfinished


def _finish(unfinished: Path, out: Path) -> None:
    for folder, _, _ in os.walk(unfinished):
        _sync_folder(Path(folder))
    if out.exists():
        out.rmdir()
    unfinished.rename(out)
    _sync_folder(out.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_indices(about: About, validators: Sequence[int] | None) -> list[int]:
    wanted = list(range(about.validators)) if validators is None else sorted(set(validators))
    for index in wanted:
        if not 0 <= index < about.validators:
            raise HomeError(f"--validator {index}: this chain has validators 0 to {about.validators - 1}")
    return wanted


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
