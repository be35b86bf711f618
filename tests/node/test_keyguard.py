"""The lock of a validator key: one holder on a machine, and none once its holder is dead."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.node import keyguard
from holdfast.node.keyguard import KeyGuard, KeyInUseError

HOLD = """
import sys
from holdfast.node.keyguard import KeyGuard
guard = KeyGuard.acquire(bytes.fromhex(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


def holder(key: bytes) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, key.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_acquire__key_held_by_a_process__is_refused_with_key_and_process_named(key: bytes) -> None:
    with holder(key) as process:
        with pytest.raises(KeyInUseError, match=f"process {process.pid} .*{key.hex()}") as refusal:
            KeyGuard.acquire(key)
        assert refusal.value.pid == process.pid
        assert "\n" not in str(refusal.value)
        process.send_signal(signal.SIGKILL)
        process.wait()
        KeyGuard.acquire(key).release()


def test_acquire__twice_in_one_process__is_refused(key: bytes) -> None:
    with KeyGuard.acquire(key), pytest.raises(KeyInUseError):
        KeyGuard.acquire(key)


def test_acquire__asked_often_while_held__holder_keeps_it(key: bytes) -> None:
    with KeyGuard.acquire(key):
        for _ in range(20):
            with pytest.raises(KeyInUseError):
                KeyGuard.acquire(key)


def test_release__then_acquire__is_free_again_and_others_are_untouched(key: bytes) -> None:
    other = bytes(32)
    with KeyGuard.acquire(other):
        guard = KeyGuard.acquire(key)
        guard.release()
        guard.release()
        with KeyGuard.acquire(key):
            pass


def test_acquire__system_without_abstract_sockets__locks_a_file(
    key: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(keyguard, "_HAS_ABSTRACT_SOCKETS", False)
    with KeyGuard.acquire(key), pytest.raises(KeyInUseError, match=key.hex()):
        KeyGuard.acquire(key)
    KeyGuard.acquire(key).release()
