"""How fast an exchange is there: from the command to the line that says so, and after a kill to the next blocks."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from holdfast.lab.bench.live_server import Launch, Server, folder_bytes, free_port
from holdfast.lab.bench.live_steps import Say


class Starts(NamedTuple):
    """Seconds, and what the store came to."""

    fresh_s: float
    existing_s: float
    after_kill_s: float
    store_bytes: int
    peak_bytes: int


def measure_starts(launch: Launch, data: Path, *, extra_accounts: int, say: Say) -> Starts:
    """Start on an empty folder, kill it, start again until blocks come, stop, and start on what is there."""
    shutil.rmtree(data, ignore_errors=True)
    first = replace(launch, data=data, extra_accounts=extra_accounts)
    with Server(first) as server:
        server.wait_until_ready()
        fresh_s = server.ready_s
        server.wait_until_advancing()
        say(f"ready on an empty folder after {fresh_s:.2f} s")
        server.kill()
    again = replace(launch, data=data, port=free_port())
    with Server(again) as server:
        after_kill_s = server.wait_until_advancing()
        server.wait_until_ready()
        say(f"serving {after_kill_s:.2f} s after a SIGKILL")
    with Server(replace(again, port=free_port())) as server:
        server.wait_until_ready()
        existing_s = server.ready_s
        say(f"ready on an existing store after {existing_s:.2f} s")
        peak_bytes = server.facts().peak_bytes
    return Starts(fresh_s, existing_s, after_kill_s, folder_bytes(data), peak_bytes)
