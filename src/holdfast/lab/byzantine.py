"""Byzantine validators: a real replica whose network port lies for it, with its real key.

Owns the lies, each a function from an outgoing message to what one peer gets in its place, in a table by name. The
replica inside stays honest and believes itself understood; so a liar keeps up with the chain and lies to the point.
Lies carry genuine signatures of the liar wherever they can: only then do they reach past the first check.

Promises: a liar signs with its own key only; the same seed tells the same lies.
"""

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from holdfast.consensus.messages import (
    NIL,
    Block,
    SignDomains,
    Vote,
    VoteKind,
    compute_txs_hash,
    decode_block,
    extension_sign_bytes,
    header_hash,
    make_sign_domains,
    proposal_sign_bytes,
    vote_sign_bytes,
)
from holdfast.node.ports import Network, Signer
from holdfast.node.replica_wire import (
    BlockResponse,
    CommitNotice,
    Message,
    ProposalMessage,
    StatusMessage,
    decode_message,
    encode_message,
)
from holdfast.primitives.codec import encode

_PAST_MAX: Final = 512
_FLOOD_COPIES: Final = 6
_OVERSIZED_EXTENSION_BYTES: Final = 8 * 1024 + 1
_HOUR_MS: Final = 3_600_000
_FAR: Final = 1_000


class Means(NamedTuple):
    """What a liar has to lie with."""

    own_index: int
    size: int
    signer: Signer
    domains: SignDomains
    random: Random
    past: deque[bytes]
    # The second block behind each block that this liar proposed twice.
    twins: dict[bytes, bytes]

    def sign_vote(self, vote: Vote) -> Vote:
        """Return a vote with the liar's genuine signature over what it now says."""
        return replace(vote, signature=self.signer.sign(vote_sign_bytes(self.domains, vote)))

    def sign_extension(self, vote: Vote, extension: bytes) -> Vote:
        """Return a precommit that carries another extension, genuinely signed."""
        message = extension_sign_bytes(self.domains, vote.height, vote.round, extension)
        return replace(vote, extension=extension, extension_signature=self.signer.sign(message))

    def propose(self, message: ProposalMessage, block: Block) -> ProposalMessage:
        """Return a proposal of another block for the same round, genuinely signed."""
        block_hash = header_hash(block.header)
        proposal = replace(message.proposal, block_hash=block_hash)
        signed = replace(proposal, signature=self.signer.sign(proposal_sign_bytes(self.domains, proposal)))
        return ProposalMessage(signed, encode(block), message.polka)

    def is_victim(self, peer: int, height: int) -> bool:
        """Tell whether a peer is of the half that is told the other story at a height."""
        return (peer + height) % 2 == 0


Lie = Callable[[Means, int, Message], Iterable[Message | bytes]]


# Stories


def equivocate(means: Means, peer: int, message: Message) -> Iterable[Message]:
    """Propose two blocks and vote for both sides: one half of the peers hears the other story, in part both."""
    match message:
        case ProposalMessage(proposal=proposal) if means.is_victim(peer, proposal.height):
            twin = means.propose(message, _twin_of(decode_block(message.block)))
            means.twins[proposal.block_hash] = twin.proposal.block_hash
            return (twin,)
        case Vote() if means.is_victim(peer, message.height):
            conflict = _conflicting(means, message)
            # Who hears both prevotes holds the proof at once; two precommits meet only when peers compare.
            return (conflict, message) if message.kind == VoteKind.PREVOTE else (conflict,)
        case CommitNotice():
            return ()
        case _:
            return (message,)


def split_locks(means: Means, peer: int, message: Message) -> Iterable[Message]:
    """Prevote two blocks, each before those who can lock on it, and say nothing else.

    Why: a replica that counts only the first of two prevotes never sees the polka behind the others' lock, and stalls.
    """
    match message:
        case ProposalMessage():
            return equivocate(means, peer, message)
        case Vote(kind=VoteKind.PREVOTE):
            return (_conflicting(means, message) if means.is_victim(peer, message.height) else message,)
        case _:
            return ()


def vote_nil(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote nil whatever was proposed."""
    return (_as_nil(means, message) if isinstance(message, Vote) else message,)


def withhold_votes(_means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose and follow, never vote."""
    return () if isinstance(message, Vote) else (message,)


def withhold_proposals(_means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote, never propose."""
    return () if isinstance(message, ProposalMessage) else (message,)


def favour_one(means: Means, peer: int, message: Message) -> Iterable[Message]:
    """Vote to one peer a height, so that each has another view."""
    chosen = not isinstance(message, Vote) or peer == (means.own_index + 1 + message.height) % means.size
    return (message,) if chosen else ()


def vote_unknown_block(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote for a block that nobody has."""
    if not isinstance(message, Vote):
        return (message,)
    return (means.sign_vote(replace(message, block_hash=means.random.randbytes(32))),)


# Forgeries


def forge_votes(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote in everybody's name as well."""
    if not isinstance(message, Vote):
        return (message,)
    others = [index for index in range(means.size) if index != means.own_index]
    return (message, *(means.sign_vote(replace(_as_nil(means, message), validator_index=index)) for index in others))


def sign_for_other_chain(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Use signatures that another chain's domain covers."""
    foreign = means._replace(domains=make_sign_domains("elsewhere", bytes(32)))
    match message:
        case Vote():
            return (foreign.sign_vote(message),)
        case ProposalMessage():
            return (foreign.propose(message, decode_block(message.block)),)
        case _:
            return (message,)


def vote_from_nowhere(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote under an index that no validator has."""
    if not isinstance(message, Vote):
        return (message,)
    return (means.sign_vote(replace(message, validator_index=means.size)), message)


def propose_out_of_turn(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Claim every next round with the own block."""
    if not isinstance(message, ProposalMessage):
        return (message,)
    early = replace(message.proposal, round=message.proposal.round + 1)
    signed = replace(early, signature=means.signer.sign(proposal_sign_bytes(means.domains, early)))
    return (ProposalMessage(signed, message.block, message.polka), message)


# Blocks that are not what they say, or not allowed


def mutate_block_bytes(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Flip one bit of a proposed block under its true proposal."""
    if not isinstance(message, ProposalMessage):
        return (message,)
    data = bytearray(message.block)
    data[means.random.randrange(len(data))] ^= 1 << means.random.randrange(8)
    return (replace(message, block=bytes(data)),)


def propose_wrong_app_hash(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose on top of a state that nobody has."""
    return (_reproposed(means, message, lambda block: _with_header(block, app_hash=means.random.randbytes(32))),)


def propose_wrong_time(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose a block from the future."""
    return (_reproposed(means, message, lambda block: _with_header(block, time_ms=block.header.time_ms + _HOUR_MS)),)


def propose_without_oracle(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose a block whose first transaction, the oracle's, is missing."""
    return (_reproposed(means, message, lambda block: _with_txs(block, block.txs[1:])),)


def propose_duplicates(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose a block that holds everything twice."""
    return (_reproposed(means, message, lambda block: _with_txs(block, block.txs * 2)),)


def propose_garbage(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Propose a block of bytes that mean nothing, behind a genuine signature."""
    if not isinstance(message, ProposalMessage):
        return (message,)
    return (replace(message, block=means.random.randbytes(len(message.block))),)


# Extensions


def pad_extension(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Append bytes to the own extension, and sign it."""
    if not isinstance(message, Vote) or not message.extension_signature:
        return (message,)
    return (means.sign_extension(message, message.extension + b"\x00"),)


def oversize_extension(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Send an extension over the limit, signed."""
    if not isinstance(message, Vote) or not message.extension_signature:
        return (message,)
    return (means.sign_extension(message, bytes(_OVERSIZED_EXTENSION_BYTES)),)


def unsign_extension(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Send a genuine precommit with an extension whose signature is nonsense."""
    if not isinstance(message, Vote) or not message.extension_signature:
        return (message,)
    return (replace(message, extension_signature=means.random.randbytes(64)),)


# Noise


def replay_old(means: Means, _peer: int, message: Message) -> Iterable[Message | bytes]:
    """Say old things again between the new ones."""
    return (message, *(means.random.choice(means.past) for _ in range(2)))


def flood(_means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Say everything many times."""
    return (message,) * _FLOOD_COPIES


def talk_of_the_future(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Vote in far rounds and heights as well."""
    if not isinstance(message, Vote):
        return (message,)
    bare = _as_nil(means, message)
    return (
        message,
        means.sign_vote(replace(bare, round=message.round + _FAR)),
        means.sign_vote(replace(bare, height=message.height + _FAR)),
    )


def send_garbage(means: Means, _peer: int, message: Message) -> Iterable[Message | bytes]:
    """Send noise, cut and padded messages among the true ones."""
    data = encode_message(message)
    noise = means.random.randbytes(means.random.randrange(200))
    return (message, noise, data[: means.random.randrange(len(data))], data + b"\x00", b"")


def lie_to_who_is_behind(means: Means, _peer: int, message: Message) -> Iterable[Message]:
    """Claim heights that do not exist, and serve blocks that were never decided."""
    match message:
        case StatusMessage():
            return (replace(message, height=message.height + _FAR),)
        case BlockResponse():
            block = decode_block(message.block)
            altered = _with_header(block, app_hash=means.random.randbytes(32))
            return (replace(message, block=encode(altered)),)
        case _:
            return (message,)


LIES: Final[dict[str, Lie]] = {
    "equivocate": equivocate,
    "split-locks": split_locks,
    "vote-nil": vote_nil,
    "withhold-votes": withhold_votes,
    "withhold-proposals": withhold_proposals,
    "favour-one": favour_one,
    "vote-unknown-block": vote_unknown_block,
    "forge-votes": forge_votes,
    "sign-for-other-chain": sign_for_other_chain,
    "vote-from-nowhere": vote_from_nowhere,
    "propose-out-of-turn": propose_out_of_turn,
    "mutate-block-bytes": mutate_block_bytes,
    "propose-wrong-app-hash": propose_wrong_app_hash,
    "propose-wrong-time": propose_wrong_time,
    "propose-without-oracle": propose_without_oracle,
    "propose-duplicates": propose_duplicates,
    "propose-garbage": propose_garbage,
    "pad-extension": pad_extension,
    "oversize-extension": oversize_extension,
    "unsign-extension": unsign_extension,
    "replay-old": replay_old,
    "flood": flood,
    "talk-of-the-future": talk_of_the_future,
    "send-garbage": send_garbage,
    "lie-to-who-is-behind": lie_to_who_is_behind,
}


class LyingNetwork:
    """A network port that passes messages through a lie while the fault holds."""

    def __init__(self, inner: Network, means: Means, lie: Lie, is_active: Callable[[], bool]) -> None:
        """Stand between a replica and its network port; `is_active` is asked for every message."""
        self.lies = 0
        self._inner = inner
        self._means = means
        self._lie = lie
        self._is_active = is_active

    def send(self, peer: int, message: bytes) -> None:
        """Send the lie in the message's place."""
        self._tell((peer,), message)

    def broadcast(self, message: bytes) -> None:
        """Tell every other validator its own story."""
        self._tell([peer for peer in range(self._means.size) if peer != self._means.own_index], message)

    def _tell(self, peers: Iterable[int], message: bytes) -> None:
        self._means.past.append(message)
        if not self._is_active():
            for peer in peers:
                self._inner.send(peer, message)
            return
        meant = decode_message(message)
        for peer in peers:
            for told in self._lie(self._means, peer, meant):
                data = told if isinstance(told, bytes) else encode_message(told)
                self.lies += data != message
                self._inner.send(peer, data)


def make_means(index: int, size: int, signer: Signer, domains: SignDomains, random: Random) -> Means:
    """Return the means of a liar that has said nothing yet."""
    return Means(index, size, signer, domains, random, deque(maxlen=_PAST_MAX), {})


def _twin_of(block: Block) -> Block:
    """Return another block for the same place: one transaction less where one can be spared."""
    if len(block.txs) > 1:
        return _with_txs(block, block.txs[:-1])
    return _with_header(block, last_results_hash=bytes(32))


def _with_txs(block: Block, txs: tuple[bytes, ...]) -> Block:
    return replace(block, txs=txs, header=replace(block.header, txs_hash=compute_txs_hash(txs)))


def _with_header(block: Block, **fields: bytes | int) -> Block:
    return replace(block, header=replace(block.header, **fields))


def _reproposed(means: Means, message: Message, alter: Callable[[Block], Block]) -> Message:
    if not isinstance(message, ProposalMessage):
        return message
    return means.propose(message, alter(decode_block(message.block)))


def _as_nil(means: Means, vote: Vote) -> Vote:
    return means.sign_vote(replace(vote, block_hash=NIL, extension=b"", extension_signature=b""))


def _conflicting(means: Means, vote: Vote) -> Vote:
    """Return a vote against the given one, for the liar's second block where there is one."""
    if vote.block_hash == NIL:
        return means.sign_vote(replace(vote, block_hash=means.random.randbytes(32)))
    twin_hash = means.twins.get(vote.block_hash)
    if twin_hash is None:
        return _as_nil(means, vote)
    return means.sign_vote(replace(vote, block_hash=twin_hash))
