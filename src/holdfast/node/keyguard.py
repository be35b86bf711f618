"""One process a validator key on one machine: a lock that the kernel gives back when its holder dies, however it dies.

The lock is a unix socket in the abstract namespace, named by the public key, so two data directories with copies of one
key exclude each other as well as two processes on one directory. It leaves no file behind that could be stale. Its
reach is one machine, and there one network namespace; beyond that, the replica itself watches over its key
(`replica_watch`).
"""

import errno
import fcntl
import os
import socket
import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_NAME: Final = "holdfast-validator-key-"
_HAS_ABSTRACT_SOCKETS: Final = os.uname().sysname == "Linux"
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


class KeyInUseError(Exception):
    """Another process signs with this key: which key, and which process where that is known."""

    def __init__(self, public_key: bytes, pid: int | None) -> None:
        """Name key and holder."""
        holder = f"process {pid}" if pid is not None else "another process"
        super().__init__(
            f"{holder} on this machine already signs with validator key {public_key.hex()}; "
            "stop it first: two instances of one validator are punished as a double signature"
        )
        self.public_key = public_key
        self.pid = pid


class KeyGuard:
    """The lock of one key, held from `acquire` to `release` or to the end of the process."""

    def __init__(self, public_key: bytes, held: socket.socket | int) -> None:
        """Hold a lock that was taken."""
        self.public_key = public_key
        self._held: socket.socket | int | None = held

    @classmethod
    def acquire(cls, public_key: bytes) -> Self:
        """Take the lock of a key.

        Refuses: KeyInUseError, while another process, or this one, holds it.
        """
        if _HAS_ABSTRACT_SOCKETS:
            return cls(public_key, _bind(public_key))
        return cls(public_key, _lock_file(public_key))

    def release(self) -> None:
        """Give the lock back; giving it back twice is fine."""
        held, self._held = self._held, None
        if isinstance(held, socket.socket):
            held.close()
        elif held is not None:
            os.close(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _bind(public_key: bytes) -> socket.socket:
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        taken.bind(f"\0{_NAME}{public_key.hex()}")
        # Who listens can be asked for its process id.
        taken.listen(1)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise KeyInUseError(public_key, _holder(public_key)) from None
        raise
    return taken


def _holder(public_key: bytes) -> int | None:
    """Return the process that listens at a key's name, None where it does not tell."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # noqa: FBT003 -- the library's own signature
        try:
            asking.connect(f"\0{_NAME}{public_key.hex()}")
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return int(pid) or None


def _lock_file(public_key: bytes) -> int:
    """Take the lock where the system has no abstract sockets: on a file, which the kernel unlocks just the same."""
    path = Path(tempfile.gettempdir()) / f"{_NAME}{public_key.hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise KeyInUseError(public_key, None) from None
    return descriptor
