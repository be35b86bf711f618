"""Whether this replica may sign at a height, when its disk may not know what it signed before.

A disk that holds nothing belongs to a chain that has not begun, or it was lost; then earlier signatures of this key may
be about, and signing again could be equivocation. So an empty replica waits until it has heard from more than two
thirds of power. Nobody past genesis: it signs from height 1. Otherwise it follows without signing until it stands above
every height that a third of power announces, leaves out the height then in progress, and signs from the next. The
answer is made durable.

Why a third: one liar can neither silence a validator for ever nor make it sign too early.
"""

from typing import Final

from holdfast.node.replica_catchup import CatchUp
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.wal import DamagedFileError, frame, read_frames

_FILE: Final = "sign-from"


class SigningPermit:
    """The first height that this replica signs, once it is known."""

    def __init__(self, env: Environment, chain: Chain, catchup: CatchUp) -> None:
        """Know nothing; `open` reads the disk."""
        self._env = env
        self._chain = chain
        self._catchup = catchup
        self._sign_from = 0

    def open(self) -> None:
        """Read the height that was settled before."""
        data = self._env.disk.read(_FILE)
        if not data:
            return
        try:
            payloads = read_frames(_FILE, data).payloads
        except DamagedFileError as error:
            raise HaltError(str(error)) from error
        if len(payloads) != 1:
            raise HaltError(f"{_FILE}: the record is cut short")
        self._sign_from = int.from_bytes(payloads[0], "big")

    def may_sign(self, height: int) -> bool:
        """Tell whether this replica may sign at a height."""
        return self.is_settled() and height >= self._sign_from

    def is_settled(self) -> bool:
        """Tell whether the first height to sign is known, settling it where that is possible by now."""
        if self._sign_from:
            return True
        if not self._catchup.has_heard_quorum():
            return False
        height = self._chain.tip.height + 1
        backed_height = self._catchup.backed_height()
        if height <= backed_height:
            return False
        self._settle(1 if height == 1 else height + 1)
        return True

    def _settle(self, height: int) -> None:
        self._sign_from = height
        self._env.disk.replace(_FILE, frame(height.to_bytes(8, "big")))
        self._env.count("signing_settled", from_height=height)
