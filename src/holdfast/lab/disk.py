"""A simulated disk: what was synced survives a crash, what was not is kept, torn or lost, as the seed decides.

Owns the files of one validator. Content is kept as the chunks that were appended, so that histories which several
validators append as the same bytes objects are held once. Implements `holdfast.node.ports.Disk`.

Promises: bytes that `sync` or `replace` covered are never lost by `crash`; what a crash leaves of the rest is a prefix
of what was appended to each file, whatever it leaves of the others, so that later writes may outlive earlier ones;
`replace` and `delete` are atomic and durable at once.
"""

import errno
import os
from random import Random

from holdfast.node.ports import DiskError


class PowerLoss(BaseException):
    """The power fails inside a disk operation: the world treats it as a crash of that node.

    Why: not an Exception, so that nothing in a node can catch it and live on.
    """


class _File:
    """Chunks on the platter, chunks that only the cache holds, and their size."""

    __slots__ = ("chunks", "durable", "exists_durably", "size")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.durable = 0
        self.size = 0
        self.exists_durably = False

    def append(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)

    def settle(self) -> None:
        self.durable = len(self.chunks)
        self.exists_durably = True

    def tear(self, random: Random) -> None:
        """Keep of the unsynced chunks what a crash leaves of them."""
        survivors = _surviving_prefix(random, self.chunks[self.durable :])
        self.chunks[self.durable :] = survivors
        self.size = sum(map(len, self.chunks))
        if survivors:
            self.settle()

    def read_at(self, offset: int, size: int) -> bytes:
        pieces = []
        start = self.size
        # From the end, because what is read is mostly near it.
        for chunk in reversed(self.chunks):
            start -= len(chunk)
            if start < offset + size and offset < start + len(chunk):
                pieces.append(chunk[max(0, offset - start) : offset + size - start])
            if start <= offset:
                break
        return b"".join(reversed(pieces))


class SimulatedDisk:
    """Named append-only files of one validator, with faults."""

    def __init__(self, random: Random) -> None:
        """Start empty; `random` decides what a crash leaves of unsynced bytes."""
        self._random = random
        self._files: dict[str, _File] = {}
        self._operations_left: int | None = None
        self._error: int | None = None
        self._is_failed = False
        self.operations = 0

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end of a file, creating it where absent."""
        self._file(name).append(_checked(data))
        self._step(name, "write")

    def sync(self, name: str) -> None:
        """Make everything appended so far to a file survive a crash."""
        self._step(name, "sync")
        self._file(name).settle()

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""
        file = self._files.get(name)
        return b"" if file is None else b"".join(file.chunks)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return part of a file: fewer bytes where it ends early, none where it is absent."""
        file = self._files.get(name)
        return b"" if file is None or offset >= file.size else file.read_at(offset, size)

    def size(self, name: str) -> int:
        """Return a file's length in bytes, zero where it is absent."""
        file = self._files.get(name)
        return 0 if file is None else file.size

    def replace(self, name: str, data: bytes) -> None:
        """Put durable new content in a file's place: after a crash it holds the old bytes or the new."""
        content = _checked(data)
        self._step(name, "replace")
        file = _File()
        file.append(content)
        file.settle()
        self._files[name] = file

    def delete(self, name: str) -> None:
        """Remove a file; absent is fine."""
        self._step(name, "delete")
        self._files.pop(name, None)

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""
        return sorted(self._files)

    def close(self) -> None:
        """Do nothing: a simulated disk holds nothing open, and outlives its nodes."""

    def size_bytes(self) -> int:
        """Return the bytes held over all files, unsynced ones included."""
        return sum(file.size for file in self._files.values())

    def crash(self) -> None:
        """Lose the cache: of each file's unsynced appends a seeded prefix survives, its last piece perhaps torn.

        Why each file apart: a kernel writes back in any order, so the end of one file may survive what came before it
        in another.
        """
        self._operations_left = self._error = None
        self._is_failed = False
        for name in self.names():
            file = self._files[name]
            file.tear(self._random)
            if not file.exists_durably:
                del self._files[name]

    def wipe(self) -> None:
        """Delete the whole store, as an operator's mistake or a dead drive does."""
        self._files.clear()

    def fail_after(self, operations: int, *, error: int | None = None) -> None:
        """Let the operation that follows this many more writes, syncs, replaces and deletes fail.

        The power fails inside it, or it raises DiskError where `error` is an errno; then every later operation does,
        until a crash ends that life of the node.
        Why: sweeping the number over a run visits every crash point of the code above.
        """
        self._operations_left = operations
        self._error = error

    def flip_bit(self, name: str, bit: int) -> None:
        """Rot one bit of a file in place; `bit` counts from the first byte's lowest bit."""
        content = bytearray(self.read(name))
        content[bit // 8] ^= 1 << (bit % 8)
        self._files[name].chunks = [bytes(content)]
        self._files[name].settle()

    def _file(self, name: str) -> _File:
        return self._files.setdefault(name, _File())

    def _step(self, name: str, operation: str) -> None:
        self.operations += 1
        if self._is_failed:
            raise self._failure(name, operation)
        if self._operations_left is None:
            return
        if self._operations_left == 0:
            self._operations_left = None
            if self._error is None:
                raise PowerLoss
            self._is_failed = True
            raise self._failure(name, operation)
        self._operations_left -= 1

    def _failure(self, name: str, operation: str) -> DiskError:
        return DiskError(name, operation, os.strerror(self._error or errno.EIO), "start again after the fault")


def _checked(data: bytes) -> bytes:
    if type(data) is not bytes:
        message = f"a disk takes bytes, not {type(data).__name__}"
        raise TypeError(message)
    return data


def _surviving_prefix(random: Random, pending: list[bytes]) -> list[bytes]:
    """Return what a crash leaves of unsynced appends: nothing, all, or a prefix whose last chunk may be torn."""
    if not pending:
        return []
    outcome = random.randrange(3)
    if outcome == 0:
        return []
    if outcome == 1:
        return list(pending)
    whole = random.randrange(len(pending))
    torn = pending[whole][: random.randrange(len(pending[whole]) + 1)]
    return [*pending[:whole], torn] if torn else pending[:whole]
