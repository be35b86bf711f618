"""Coming up from a peer's snapshot where this replica has nothing."""

from collections.abc import Callable

from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment
from holdfast.node.replica_wire import Message


class StateSync:
    """One attempt to restore."""

    def __init__(self, env: Environment, chain: Chain, join: Callable[[], None]) -> None:
        """Stand by."""
        self._env = env
        self._chain = chain
        self._join = join
        self.is_active = False

    def start(self) -> None:
        """Begin."""

    def on_timer(self, number: int) -> None:
        """Go on."""

    def on_message(self, sender: int, message: Message) -> None:
        """Go on."""

    def serve(self, sender: int, message: Message) -> None:
        """Answer a peer."""
