"""Hears all that one validator says over all of its lives, and remembers what it signed for each slot."""

from holdfast.consensus.messages import Checkpoint, Proposal, Vote
from holdfast.node.ports import Network
from holdfast.node.replica_wire import ProposalMessage, decode_message


class Witness:
    """The hashes signed in each slot (height, round, kind), and the states signed for each height."""

    def __init__(self) -> None:
        self.signed: dict[tuple[object, ...], set[bytes]] = {}
        self.states: dict[int, set[tuple[int, bytes]]] = {}
        self.repeated = 0

    def hear(self, data: bytes) -> None:
        message = decode_message(data)
        if isinstance(message, ProposalMessage):
            self.note(message.proposal)
        elif isinstance(message, Vote):
            self.note(message)
        elif isinstance(message, Checkpoint):
            self.states.setdefault(message.height, set()).add((message.time_ms, message.app_hash))

    def note(self, signed: Proposal | Vote) -> None:
        kind = signed.kind if isinstance(signed, Vote) else 0
        hashes = self.signed.setdefault((signed.height, signed.round, kind), set())
        self.repeated += signed.block_hash in hashes
        hashes.add(signed.block_hash)

    def conflicts(self) -> list[tuple[object, ...]]:
        both = [("checkpoint", height) for height, states in self.states.items() if len(states) > 1]
        return [slot for slot, hashes in self.signed.items() if len(hashes) > 1] + both

    def heights(self) -> list[int]:
        return sorted({int(str(slot[0])) for slot in self.signed})


class Heard:
    """A network port that lets a witness hear everything."""

    def __init__(self, inner: Network, witness: Witness) -> None:
        self.inner, self.witness = inner, witness

    def send(self, peer: int, message: bytes) -> None:
        self.witness.hear(message)
        self.inner.send(peer, message)

    def broadcast(self, message: bytes) -> None:
        self.witness.hear(message)
        self.inner.broadcast(message)
