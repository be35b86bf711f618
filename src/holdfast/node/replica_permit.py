"""Whether this replica may sign at a height, when its disk may not know what it signed before.

At each start a replica first listens, until it has heard from more than two thirds of power (its own counts) and stands
level with what is announced: votes for heights that the others have decided would serve nobody, and on the way up, the
certificates and the votes that peers repeat to it show whether its disk is older than its signatures
(see `replica_watch`).

A disk that holds no settled height belongs to a chain that has not begun, or it was lost, or it was restored from a
backup (which removes the file); then earlier signatures of this key may be about, and signing again could be
equivocation. Nobody past genesis, or a chain that it decides alone: it signs from the next height. Otherwise it leaves
out the height in progress and the two above it, and signs from the next. The answer is made durable.

Level means: above every height that a third of power announces, and above what any peer announces that has kept its
word. Why both: one liar can neither silence a validator for ever nor make it sign too early, and one straggler among
few peers cannot hide how far the chain is.

Why three heights: who signed at a height had seen two thirds decide the one before, so at least one of the peers that
speak now has committed the height before that; which leaves two. In the third a second instance is heard before this
one speaks.
"""

from typing import Final

from holdfast.node.frames import frame, open_frame
from holdfast.node.replica_catchup import CatchUp
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_env import Environment, HaltError

FILE: Final = "sign-from"
_HEIGHTS_LEFT_OUT: Final = 3


class SigningPermit:
    """The first height that this replica signs, once it is known."""

    def __init__(self, env: Environment, chain: Chain, catchup: CatchUp) -> None:
        """Know nothing; `open` reads the disk."""
        self._env = env
        self._chain = chain
        self._catchup = catchup
        self._sign_from = 0
        self._forgotten = 0
        self._has_listened = False

    def open(self) -> None:
        """Read the height that was settled before."""
        data = self._env.disk.read(FILE)
        if not data:
            return
        payload = open_frame(data)
        if payload is None:
            raise HaltError(f"{FILE}: the record is damaged; delete it, and this validator signs above the others only")
        self._sign_from = int.from_bytes(payload, "big")

    def may_sign(self, height: int) -> bool:
        """Tell whether this replica may sign at a height."""
        return self._has_listened and height >= self._sign_from

    def is_above_others(self, height: int) -> bool:
        """Tell whether enough peers have spoken, and none that can be believed has announced a height."""
        announced = max(self._catchup.backed_height(), self._catchup.announced_height())
        return self._catchup.has_heard_quorum() and height > announced

    def is_settled(self) -> bool:
        """Tell whether the first height to sign is known, settling it where that is possible by now."""
        if not self._has_listened and self.is_above_others(self._chain.tip.height + 1):
            if not self._sign_from:
                self._settle()
            self._has_listened = True
        return self._has_listened

    def note_forgotten(self, height: int) -> None:
        """Hear that the own key signed at a height, and this disk does not know it: sign above the others only."""
        self._forgotten = max(self._forgotten, height)
        if self._sign_from and not self._has_listened and height >= self._sign_from:
            self._sign_from = 0
            self._env.disk.delete(FILE)
            self._env.count("signing_unsettled", seen_height=height, tip_height=self._chain.tip.height)

    def _settle(self) -> None:
        tip = self._chain.tip
        begins = tip.height == 0 and not self._forgotten
        is_alone = tip.validators.has_quorum(tip.validators.power(self._env.index))
        left_out = 0 if begins or is_alone else _HEIGHTS_LEFT_OUT
        height = max(tip.height + 1 + left_out, self._forgotten + 1)
        self._sign_from = height
        self._env.disk.replace(FILE, record(height))
        self._env.count("signing_settled", from_height=height)


def record(height: int) -> bytes:
    """Return the content of the file that lets a replica sign from a height on."""
    return frame(height.to_bytes(8, "big"))
