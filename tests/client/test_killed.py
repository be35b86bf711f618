"""A client that is killed at any moment: its journal tells afterwards what became of each command."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.client import Exchange, Journal, demo_key
from tests.support.devnet import LiveDevnet

_CLIENT = """
import asyncio, sys
from pathlib import Path
from holdfast.client import AsyncExchange, Journal, demo_key

async def main():
    async with AsyncExchange(sys.argv[1], key=demo_key("demo-3"), journal=Journal(Path(sys.argv[2]))) as exchange:
        await exchange.cancel_all()
        print("begun", flush=True)
        async def trade():
            while True:
                await exchange.cancel_all()
        await asyncio.gather(*(trade() for _ in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
def test_client__killed_under_way_and_started_again__knows_the_end_of_every_command(
    live: LiveDevnet, tmp_path: Path, seed: int
) -> None:
    path, key = tmp_path / "journal", demo_key("demo-3")
    client = subprocess.Popen([sys.executable, "-c", _CLIENT, live.url, str(path)], stdout=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline() == b"begun\n"
    client.stdout.close()
    time.sleep(random.Random(seed).uniform(0.1, 0.6))
    os.kill(client.pid, signal.SIGKILL)
    client.wait()

    journal = Journal(path)
    left = [entry for entry in journal.read() if entry.is_open]
    assert left, "commands were in flight"
    with Exchange(live.url, key=key, journal=journal) as exchange:
        recovered = {result.tx_hash: result for result in exchange.recover()}
        assert set(recovered) == {entry.tx_hash for entry in left}
        assert exchange.cancel_all().is_effective
        entries = Journal(path).read()
        for entry in entries:
            found = exchange.resolve(entry.tx_hash)
            if entry.state == "committed":
                assert (found.state, found.height, found.code) == ("committed", entry.height, entry.code)
            else:
                assert (entry.state, found.state) == ("rejected", "unknown")
    assert len({(entry.signer, entry.nonce) for entry in entries}) == len(entries)
