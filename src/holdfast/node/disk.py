"""The disk port on real files, below one folder.

Appends go through descriptors that are kept open, a bounded number of them, so that the hot path costs one write and
one fdatasync. A name is durable once the folder is synced too: at the first sync of a new file, at a replace and at a
delete. A replace writes beside the file and renames.

Why a failed write or sync is final: the kernel may drop the pages that it could not write and report success the next
time. The file is refused from then on; only a new start, which reads what is really there, uses it again.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from holdfast.node.ports import DiskError

T = TypeVar("T")

OPEN_FILES_MAX: Final = 16
_NEW_SUFFIX: Final = ".new"
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_NO_SPACE: Final = "free space on its volume, then start again"
_FAILING: Final = "check the device; then start again, or delete this store and let it resync from its peers"
_RIGHTS: Final = "give this user the right to write there, then start again"
_MENDS: Final = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EIO: _FAILING,
    errno.EROFS: "mount the volume writable, then start again",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EMFILE: "raise the limit of open files, then start again",
    errno.ENFILE: "raise the system's limit of open files, then start again",
}


class _File:
    """An open file, and whether it holds bytes or a name that no sync has covered."""

    __slots__ = ("descriptor", "has_new_name", "is_dirty", "uses")

    def __init__(self, descriptor: int, *, has_new_name: bool) -> None:
        self.descriptor = descriptor
        self.has_new_name = has_new_name
        self.is_dirty = has_new_name
        self.uses = 0


class FileDisk:
    """Named files in one folder."""

    def __init__(self, root: Path) -> None:
        """Use a folder, made where absent; what an interrupted replace left behind is removed."""
        self._root = root
        self._lock = Lock()
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._failed: dict[str, DiskError] = {}
        self._is_closed = False
        self._guarded("", "open", self._prepare)

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end of a file, creating it where absent."""
        file = self._take(name)
        try:
            self._guarded(name, "write", lambda: _write_all(file.descriptor, data))
            file.is_dirty = True
        finally:
            self._release(file)

    def sync(self, name: str) -> None:
        """Make everything appended so far to a file survive a crash."""
        file = self._take(name)
        try:
            self._sync(name, file)
        finally:
            self._release(file)

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""
        return self._guarded(name, "read", lambda: _read(self._path(name), 0, None))

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return part of a file: fewer bytes where it ends early, none where it is absent."""
        return self._guarded(name, "read", lambda: _read(self._path(name), offset, size))

    def size(self, name: str) -> int:
        """Return a file's length in bytes, zero where it is absent."""
        return self._guarded(name, "stat", lambda: _size(self._path(name)))

    def replace(self, name: str, data: bytes) -> None:
        """Put durable new content in a file's place: after a crash it holds the old bytes or the new."""
        self._forget(name)
        self._guarded(name, "replace", lambda: self._replace(self._path(name), data))

    def delete(self, name: str) -> None:
        """Remove a file; absent is fine."""
        self._forget(name)
        self._guarded(name, "delete", lambda: self._delete(self._path(name)))

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""
        found = self._guarded("", "list", lambda: [path.name for path in self._root.iterdir()])
        return sorted(filter(_is_own, found))

    def close(self) -> None:
        """Let go of what is open; what was not synced may be lost, as in a crash. The disk is not used after it."""
        with self._lock:
            self._is_closed = True
            idle = [name for name, file in self._open.items() if file.uses == 0]
            closing = [self._open.pop(name) for name in idle]
        for file in closing:
            os.close(file.descriptor)

    def _prepare(self) -> None:
        self._root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for path in self._root.iterdir():
            if path.name.endswith(_NEW_SUFFIX):
                path.unlink()
        # A process that was killed may have left names that no sync had covered.
        self._sync_folder()

    def _path(self, name: str) -> Path:
        if not _is_own(name) or "/" in name:
            message = f"{name!r} is not the name of a file of this disk"
            raise ValueError(message)
        return self._root / name

    def _take(self, name: str) -> _File:
        """Return an open file, which stays open until it is released."""
        with self._lock:
            failed = self._failed.get(name)
            if failed is not None:
                raise failed
            if self._is_closed:
                raise DiskError(str(self._root / name), "open", "the disk is closed", "start again")
            file = self._open.get(name)
            if file is not None:
                self._open.move_to_end(name)
                file.uses += 1
                return file
        file = self._guarded(name, "open", lambda: _open_to_append(self._path(name)))
        with self._lock:
            self._open[name] = file
            file.uses += 1
        self._close_some()
        return file

    def _release(self, file: _File) -> None:
        with self._lock:
            file.uses -= 1
            is_last = self._is_closed and file.uses == 0
        if is_last:
            os.close(file.descriptor)

    def _close_some(self) -> None:
        """Close what was not used for longest; what it has not synced is synced first, so that no error is missed."""
        with self._lock:
            spare = len(self._open) - OPEN_FILES_MAX
            idle = [name for name, file in self._open.items() if file.uses == 0][: max(0, spare)]
            closing = [(name, self._open.pop(name)) for name in idle]
        for name, file in closing:
            try:
                if file.is_dirty:
                    self._sync(name, file)
            finally:
                os.close(file.descriptor)

    def _sync(self, name: str, file: _File) -> None:
        self._guarded(name, "sync", lambda: os.fdatasync(file.descriptor))
        if file.has_new_name:
            self._guarded(name, "sync", self._sync_folder)
        file.is_dirty = file.has_new_name = False

    def _sync_folder(self) -> None:
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _forget(self, name: str) -> None:
        with self._lock:
            file = self._open.pop(name, None)
        if file is not None:
            os.close(file.descriptor)

    def _replace(self, path: Path, data: bytes) -> None:
        beside = path.with_name(path.name + _NEW_SUFFIX)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            _write_all(descriptor, data)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(path)
        self._sync_folder()

    def _delete(self, path: Path) -> None:
        try:
            path.unlink()
        except FileNotFoundError:
            return
        self._sync_folder()

    def _guarded(self, name: str, operation: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except OSError as error:
            mend = _MENDS.get(error.errno or 0, _FAILING)
            reason = error.strerror or str(error)
            failure = DiskError(str(self._root / name) if name else str(self._root), operation, reason, mend)
            if operation in ("write", "sync"):
                self._failed.setdefault(name, failure)
            raise failure from error


class ReadOnlyDisk(FileDisk):
    """A folder of files as they lie, for who looks at a store without being its owner.

    Opening a store mends what a crash has left; here that does nothing, and what is open shows what a mended store
    would.
    """

    def append(self, name: str, data: bytes) -> None:
        """Refuse."""
        raise DiskError(
            str(self._root / name), "write", f"{len(data)} bytes for a folder that is read only", "report it"
        )

    def sync(self, name: str) -> None:
        """Leave it."""

    def replace(self, name: str, data: bytes) -> None:
        """Leave it."""

    def delete(self, name: str) -> None:
        """Leave it."""

    def _prepare(self) -> None:
        """Leave it."""


def _is_own(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not name.endswith(_NEW_SUFFIX)


def _open_to_append(path: Path) -> _File:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        return _File(os.open(path, flags), has_new_name=False)
    except FileNotFoundError:
        return _File(os.open(path, flags | os.O_CREAT, _FILE_MODE), has_new_name=True)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _read(path: Path, offset: int, size: int | None) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        wanted = os.fstat(descriptor).st_size - offset if size is None else size
        pieces = []
        while wanted > 0:
            piece = os.pread(descriptor, wanted, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
