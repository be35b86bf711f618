"""A simulated disk: what was synced survives a crash, what was not is kept, torn or lost, as the seed decides.

Owns the files of one validator. Content is kept as the chunks that were appended, so that histories which several
validators append as the same bytes objects are held once. Implements `holdfast.node.ports.Disk`.

Promises: bytes that `sync` or `replace` covered are never lost by `crash`; what a crash leaves of the rest is always a
prefix of what was appended; `replace` and `delete` are atomic and durable at once.
"""

from random import Random


class PowerLoss(BaseException):
    """The power fails inside a disk operation: the world treats it as a crash of that node.

    Why: not an Exception, so that nothing in a node can catch it and live on.
    """


class _File:
    """Chunks on the platter and chunks that only the cache holds."""

    __slots__ = ("durable", "exists_durably", "pending")

    def __init__(self) -> None:
        self.durable: list[bytes] = []
        self.pending: list[bytes] = []
        self.exists_durably = False

    def settle(self) -> None:
        self.durable.extend(self.pending)
        self.pending.clear()
        self.exists_durably = True


class SimulatedDisk:
    """Named append-only files of one validator, with faults."""

    def __init__(self, random: Random) -> None:
        """Start empty; `random` decides what a crash leaves of unsynced bytes."""
        self._random = random
        self._files: dict[str, _File] = {}
        self._operations_left: int | None = None
        self.operations = 0

    def append(self, name: str, data: bytes) -> None:
        """Add bytes at the end of a file, creating it where absent."""
        self._file(name).pending.append(_checked(data))
        self._step()

    def sync(self, name: str) -> None:
        """Make everything appended so far to a file survive a crash."""
        self._step()
        self._file(name).settle()

    def read(self, name: str) -> bytes:
        """Return a whole file, empty where absent."""
        file = self._files.get(name)
        return b"" if file is None else b"".join(file.durable + file.pending)

    def replace(self, name: str, data: bytes) -> None:
        """Put durable new content in a file's place: after a crash it holds the old bytes or the new."""
        content = _checked(data)
        self._step()
        file = _File()
        file.pending.append(content)
        file.settle()
        self._files[name] = file

    def delete(self, name: str) -> None:
        """Remove a file; absent is fine."""
        self._step()
        self._files.pop(name, None)

    def names(self) -> list[str]:
        """Return the files that exist, sorted."""
        return sorted(self._files)

    def size_bytes(self) -> int:
        """Return the bytes held over all files, unsynced ones included."""
        return sum(len(chunk) for file in self._files.values() for chunk in file.durable + file.pending)

    def crash(self) -> None:
        """Lose the cache: of each file's unsynced appends a seeded prefix survives, its last piece perhaps torn."""
        self._operations_left = None
        for name in self.names():
            file = self._files[name]
            survivors = _surviving_prefix(self._random, file.pending)
            file.pending.clear()
            if survivors:
                file.pending.extend(survivors)
                file.settle()
            elif not file.exists_durably:
                del self._files[name]

    def wipe(self) -> None:
        """Delete the whole store, as an operator's mistake or a dead drive does."""
        self._files.clear()

    def fail_after(self, operations: int) -> None:
        """Let the power fail inside the operation that follows this many more writes, syncs, replaces and deletes.

        Why: sweeping the number over a run visits every crash point of the code above.
        """
        self._operations_left = operations

    def flip_bit(self, name: str, bit: int) -> None:
        """Rot one bit of a file in place; `bit` counts from the first byte's lowest bit."""
        content = bytearray(self.read(name))
        content[bit // 8] ^= 1 << (bit % 8)
        file = self._files[name]
        file.durable = [bytes(content)]
        file.pending.clear()

    def _file(self, name: str) -> _File:
        return self._files.setdefault(name, _File())

    def _step(self) -> None:
        self.operations += 1
        if self._operations_left is None:
            return
        if self._operations_left == 0:
            self._operations_left = None
            raise PowerLoss
        self._operations_left -= 1


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
