"""One `holdfast up` as its operator has it: a process that is started, asked over HTTP, killed, started again."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Final

READY_WITHIN_S: Final = 60.0
_STOP_WITHIN_S: Final = 60.0
_ANSWER_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.02
_LOG_TAIL_BYTES: Final = 4_096
_PROGRAM: Final = "import sys; from holdfast.cli.main import main; main()"

Json = dict[str, object]


class ExchangeDownError(Exception):
    """The exchange does not come up, or does not answer: what it said last."""


class Running:
    """One data directory and the process on it."""

    def __init__(self, data: Path, log: Path, *options: str, port: int = 0) -> None:
        """Name the directory, the file that takes what the process says, and the options of `up`."""
        self.data = data
        self.port = port or find_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.about: Json = {}
        self.starts = 0
        self.started_s = 0.0
        self.ready_s = 0.0
        self._log = log
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: Thread | None = None
        self._first_line: list[bytes] = []

    @property
    def is_alive(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process in a group of its own."""
        self.starts += 1
        self.started_s = time.monotonic()
        self.about = {}
        arguments = ["up", "--json", "--data", str(self.data), "--port", str(self.port), *self._options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own program, with our own arguments
                [sys.executable, "-c", _PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._first_line = []
        self._reader = Thread(target=self._read_line, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> Json:
        """Wait for the line that says that it is ready, and return it.

        Refuses: ExchangeDownError, where it ends or takes too long.
        """
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if self._first_line:
                self.ready_s = time.monotonic()
                self.about = json.loads(self._first_line[0])
                return self.about
            if not self.is_alive and self._reader is not None and not self._reader.is_alive():
                break
            time.sleep(_POLL_S)
        state = "is not ready" if self.is_alive else f"ended with {self.exit_code}"
        raise ExchangeDownError(
            f"holdfast up {state} after {time.monotonic() - self.started_s:.1f} s: {self.last_words()}"
        )

    @property
    def exit_code(self) -> int | None:
        """Return how the process ended, None while it lives."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """SIGKILL the whole group."""
        self._signal(signal.SIGKILL)
        self._wait(_STOP_WITHIN_S)

    def stop(self) -> int:
        """Stop it as Ctrl-C does, and return its exit code."""
        self._signal(signal.SIGINT)
        return self._wait(_STOP_WITHIN_S)

    def ask(self, method: str, params: Mapping[str, object] | None = None) -> Json:
        """Return an answer's result.

        Refuses: ExchangeDownError, where there is none, or an error.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
        _, data = self._request("POST", "/api/v2", body)
        answer = json.loads(data)
        if "result" not in answer:
            raise ExchangeDownError(f"{method}: {answer.get('error')}")
        found = answer["result"]
        return found if isinstance(found, dict) else {"rows": found}

    def fault(self, spec: str) -> None:
        """Inject a fault, as `holdfast dev` does."""
        self.ask("dev/fault", {"spec": spec})

    def heal(self) -> None:
        """End all faults."""
        self.ask("dev/heal")

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page."""
        status, data = self._request("GET", path, None)
        return status, data.decode("utf-8", "replace")

    def validators(self) -> list[Json]:
        """Return how each validator is."""
        rows = self.ask("public/get_validators")["rows"]
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def wait_level(self, within_s: float) -> str:
        """Wait until every validator runs at one height with one app hash; return what is amiss, if it stays."""
        deadline_s = time.monotonic() + within_s
        amiss = "nobody answers"
        while time.monotonic() < deadline_s:
            try:
                rows = self.validators()
            except (ExchangeDownError, OSError) as error:
                amiss = str(error)
                time.sleep(_POLL_S)
                continue
            # Validators commit a height within moments of each other: a look between them shows two heights.
            states = {(str(row["height"]), str(row["app_hash"])) for row in rows}
            if len(states) == 1 and all(row["status"] == "running" for row in rows):
                return ""
            amiss = "; ".join(f"{row['name']} {row['status']} at {row['height']}" for row in rows)
            time.sleep(_POLL_S)
        return amiss

    def last_words(self) -> str:
        """Return the end of what the process has said."""
        if not self._log.exists():
            return "nothing"
        lines = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "nothing"

    def _request(self, verb: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_WITHIN_S)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(verb, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ExchangeDownError(f"{path}: no answer: {error}") from error
        finally:
            connection.close()

    def _read_line(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdout is None:
            return
        with process.stdout as source:
            line = source.readline()
            if line:
                self._first_line.append(line)
            source.read()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _wait(self, within_s: float) -> int:
        if self._process is None:
            return 0
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise ExchangeDownError(f"holdfast up does not stop within {within_s:.0f} s: {self.last_words()}") from None
        if self._reader is not None:
            self._reader.join()
        return code


def find_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_to_end(*arguments: str, within_s: float = 60.0) -> tuple[int, str]:
    """Run a command of ours to its end; return its exit code and what it said on standard error."""
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    ended = subprocess.run(command, capture_output=True, timeout=within_s, check=False)  # noqa: S603 -- as above
    return ended.returncode, ended.stderr.decode("utf-8", "replace").strip()
