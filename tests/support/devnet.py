"""A devnet with its gateway, in threads of this process: real validators, real sockets, one machine."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Self, TypeVar

import structlog

from holdfast.gateway import serve
from holdfast.lab.devnet.run import Devnet
from holdfast.lab.devnet.settings import DevnetSettings

T = TypeVar("T")


class LiveDevnet:
    """A running devnet in memory, and its API's address. Without a market nobody trades but the test."""

    def __init__(self, *, validators: int = 1, block_interval_ms: int = 100, seed: int = 7) -> None:
        settings = DevnetSettings(
            validators=validators, block_interval_ms=block_interval_ms, seed=seed, port=0, has_market=False
        )
        self.devnet = Devnet(settings, lambda _event, _fields: None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        # As in `holdfast up`: what a request was refused for is no news to whoever runs the node.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        self._thread.start()
        self.gateway = self.run(
            serve(
                self.devnet.cluster,
                "127.0.0.1",
                0,
                dev=self.devnet.controls,
                genesis=self.devnet.ground.genesis,
            )
        )
        self.port = self.gateway.port
        self.devnet.start()
        assert self.devnet.wait_until_ready(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.gateway.close())
        self.devnet.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    @property
    def height(self) -> int:
        return self.devnet.cluster.height
