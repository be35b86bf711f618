"""A client's journal: every submission's bytes before they leave, and its end when it is known.

One JSON object a line, appended under a file lock and synced before the call returns, so that several programs may
share a file. An entry without an end is open: its bytes may or may not be in a block, and the exchange can tell.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from holdfast.client.errors import ClientError

FILE_MODE: Final = 0o600
# A longer file is rewritten when it is opened, with its open entries only.
_BYTES_MAX: Final = 64 * 1024 * 1024

# (genesis hash, account id, signer)
Key = tuple[str, int, str]


class JournalError(ClientError):
    """The journal cannot be read or written, so nothing was sent."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One submission: what was sent, for whom, and how it ended (`state` is empty while that is unknown)."""

    tx_hash: str
    tx: str = ""
    account_id: int = 0
    signer: str = ""
    nonce: int = 0
    chain_id: str = ""
    genesis_hash: str = ""
    time_ms: int = 0
    state: str = ""
    height: int = 0
    code: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether the end is unknown."""
        return not self.state


class Journal:
    """An append-only file of submissions. Safe to use from several threads and processes.

    What is open is kept in memory; what has ended is in the file alone, and `read` returns it.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file and read it. Refuses: JournalError."""
        self.path = path
        self._lock = threading.Lock()
        self._open: dict[str, Entry] = {}
        self._highest: dict[Key, int] = {}
        with self._told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._reopen()
            if os.fstat(self._file).st_size > _BYTES_MAX:
                self._shorten()
            for entry in self.read():
                self._remember(entry)

    def begin(self, *entries: Entry) -> None:
        """Record submissions that are about to leave; they are on the disk when this returns. Refuses: JournalError."""
        self._append(entries, is_synced=True)
        for entry in entries:
            self._remember(entry)

    def end(self, tx_hash: str, state: str, height: int, code: int) -> None:
        """Record how a submission ended. Losing this line only means that the exchange is asked again."""
        if self._open.pop(tx_hash, None) is None:
            return
        time_ms = time.time_ns() // 1_000_000
        end = Entry(tx_hash=tx_hash, state=state, height=height, code=code, time_ms=time_ms)
        self._append((end,), is_synced=False)

    def get_open(self, tx_hash: str) -> Entry | None:
        """Return an entry whose end is unknown."""
        return self._open.get(tx_hash)

    def list_open(self, genesis_hash: str) -> list[Entry]:
        """Return the entries of a chain whose end is unknown, the oldest first."""
        return [entry for entry in self._open.values() if entry.genesis_hash == genesis_hash]

    def get_highest_nonce(self, genesis_hash: str, account_id: int, signer: str) -> int:
        """Return the highest nonce that was given out for a key, 0 for none."""
        return self._highest.get((genesis_hash, account_id, signer), 0)

    def read(self) -> list[Entry]:
        """Return all entries of the file, each with its end if that is known. Refuses: JournalError."""
        entries: dict[str, Entry] = {}
        with self._told():
            lines = self.path.read_bytes().splitlines()
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError:
                # A line that was never finished was never acknowledged, so its bytes never left.
                continue
            known = entries.get(entry.tx_hash)
            if known is None or entry.tx:
                entries[entry.tx_hash] = entry
            else:
                ended = {"state": entry.state, "height": entry.height, "code": entry.code}
                entries[entry.tx_hash] = msgspec.structs.replace(known, **ended)
        return list(entries.values())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, entries: Iterable[Entry], *, is_synced: bool) -> None:
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        with self._told(), self._lock:
            self._hold()
            try:
                # Who died amid a line left no end to it; a line of ours must not grow onto that.
                size = os.fstat(self._file).st_size
                torn = size and os.pread(self._file, 1, size - 1) != b"\n"
                _write_all(self._file, b"\n" + lines if torn else lines)
                if is_synced:
                    os.fdatasync(self._file)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _hold(self) -> None:
        """Lock the file that the path names now: another program may have put a shorter one in its place."""
        while True:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                if self.path.stat().st_ino == os.fstat(self._file).st_ino:
                    return
            except FileNotFoundError:
                pass
            os.close(self._file)
            self._file = self._reopen()

    def _reopen(self) -> int:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        if is_new:
            _sync_folder(self.path.parent)
        return descriptor

    def _remember(self, entry: Entry) -> None:
        key = (entry.genesis_hash, entry.account_id, entry.signer)
        self._highest[key] = max(entry.nonce, self._highest.get(key, 0))
        if entry.is_open:
            self._open[entry.tx_hash] = entry

    def _shorten(self) -> None:
        """Put a file in this one's place with the open entries, and of each key the one with the highest nonce."""
        self._hold()
        try:
            kept: dict[str, Entry] = {}
            highest: dict[Key, Entry] = {}
            for entry in self.read():
                key = (entry.genesis_hash, entry.account_id, entry.signer)
                if key not in highest or highest[key].nonce < entry.nonce:
                    highest[key] = entry
                if entry.is_open:
                    kept[entry.tx_hash] = entry
            kept.update((entry.tx_hash, entry) for entry in highest.values())
            shorter = self.path.with_name(self.path.name + ".new")
            descriptor = os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                for entry in kept.values():
                    _write_all(descriptor, msgspec.json.encode(entry) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            shorter.replace(self.path)
            _sync_folder(self.path.parent)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self._file = self._reopen()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            mend = "make it writable, or let HOLDFAST_HOME name another place; nothing was sent"
            message = f"journal {self.path}: {error.strerror}; {mend}"
            raise JournalError(message) from None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
