"""The blocks of one replica from judgement to commit: make, judge, execute, store, replay.

Owns the tip, the block log and the calls that change the application. It knows nothing of rounds, peers or timers.

Order of a commit: effect computed, block and outcome durable, application committed. So after a crash the application
is at the tip or behind it, and the log has what it lacks.
"""

from collections.abc import Sequence
from typing import Final

from holdfast.consensus.commit import (
    check_extension,
    make_commit,
)
from holdfast.consensus.messages import (
    NO_COMMIT,
    Block,
    Commit,
    CommitSignature,
    EquivocationProof,
    Header,
    Vote,
    compute_commit_hash,
    compute_evidence_hash,
    compute_txs_hash,
    decode_block,
    header_hash,
)
from holdfast.consensus.validators import Validator, ValidatorSet, is_valid_set, updated_validators
from holdfast.node.application import (
    ExtendedCommit,
    ExtendedVote,
    FinalizeResponse,
    PrepareRequest,
)
from holdfast.node.blockstore import BlockStore, StoredBlock
from holdfast.node.evidence_pool import proof_key
from holdfast.node.frames import DamagedFileError
from holdfast.node.replica_env import Environment, HaltError
from holdfast.node.replica_restore import Restore, drop_restore, load_restore, save_restore
from holdfast.node.replica_rules import (
    fault_of_contents,
    fault_of_evidence,
    fault_of_header,
    misbehavior_of,
    next_time_ms,
    oldest_evidence_height,
    request_of,
)
from holdfast.node.replica_tip import Tip, genesis_tip, sets_after
from holdfast.node.version import check_version
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import encode
from holdfast.primitives.crypto import sha256

_VERDICTS_MAX: Final = 256
_APP_HASHES_MAX: Final = 1_024


class Chain:
    """One replica's chain and the application on top of it."""

    def __init__(self, env: Environment, genesis_validators: ValidatorSet) -> None:
        """Start at genesis; `open` brings what the disk holds."""
        self._env = env
        self._app = env.application
        self.genesis_validators = genesis_validators
        self.tip = genesis_tip(genesis_validators, env.chain.genesis_time_ms)
        self._store: BlockStore | None = None
        self.last_votes: dict[int, Vote] = {}
        self._sound_extensions: set[int] = set()
        self._app_hashes: dict[int, bytes] = {}
        self._verdicts: dict[bytes, str] = {}

    @property
    def store(self) -> BlockStore:
        """Return the block log, which `open_store` has opened."""
        ensure(self._store is not None, "a chain's block log is open before it is used")
        return self._store  # type: ignore[return-value]

    @property
    def kept(self) -> BlockStore | None:
        """Return the block log for readers of other threads, None until it is open."""
        return self._store

    # Restart

    def open_store(self) -> None:
        """Open the block log, and finish or forget a restore that a crash came between."""
        check_version(self._env.disk)
        self._store = BlockStore(self._env.disk)
        expected = load_restore(self._env.disk)
        if expected is None:
            return
        info = self._app.info()
        if (info.height, info.app_hash) == (expected.tip.height, expected.tip.app_hash):
            self._store.restart(expected.stored, expected.tip)
        drop_restore(self._env.disk)

    def open(self) -> None:
        """Bring block log, tip and application to one height."""
        info = self._app.info()
        if self.store.tip is not None:
            self.tip = self.store.tip
            self._remember(self.tip.height, self.tip.app_hash)
        if info.height > self.tip.height:
            where = f"; {self.store.cut}" if self.store.cut else ""
            message = f"the application is at height {info.height}, ahead of the chain at {self.tip.height}{where}"
            raise HaltError(message) from DamagedFileError(message)
        if info.height == 0:
            self.init_chain()
        self._replay(info.height)
        self._load_last_votes()

    def init_chain(self) -> None:
        """Build the genesis state."""
        info = self._app.init_chain(self._env.chain.genesis)
        if self.tip.height == 0:
            self.tip = self.tip._replace(app_hash=info.app_hash)
        self._app_hashes[0] = info.app_hash

    def expect_restore(self, tip: Tip, stored: StoredBlock) -> None:
        """Make durable what the application will be at once its last snapshot chunk is in."""
        save_restore(self._env.disk, Restore(tip, stored))

    def give_up_restore(self) -> None:
        """Forget what was expected."""
        drop_restore(self._env.disk)

    def adopt(self, tip: Tip, stored: StoredBlock) -> None:
        """Go on from a restored snapshot whose app hash the tip's certificate vouches for."""
        self.store.restart(stored, tip)
        drop_restore(self._env.disk)
        self.tip = tip
        self.last_votes = {vote.validator_index: vote for vote in stored.votes}
        self._remember(tip.height, tip.app_hash)

    def _replay(self, app_height: int) -> None:
        """Give the application the blocks up to the tip again, and compare what it makes of them."""
        for height in range(app_height + 1, self.tip.height + 1):
            stored = self.store.load(height)
            if stored is None:
                message = f"block {height}, which the application lacks, is not in the block log"
                raise HaltError(message) from DamagedFileError(message)
            block = decode_block(stored.data)
            if height > 1 and self._app.info().app_hash != block.header.app_hash:
                raise HaltError(f"replay to height {height - 1} gives another app hash than the chain's")
            self._app.finalize_block(request_of(self.tip, block, header_hash(block.header)))
            self._app.commit()
            self._env.count("block_replayed", height=height)
        found = self._app.info().app_hash
        if self.tip.height > 0 and found != self.tip.app_hash:
            raise HaltError(
                f"at height {self.tip.height} the application has app hash {found.hex()},"
                f" the chain {self.tip.app_hash.hex()}"
            )

    def _load_last_votes(self) -> None:
        stored = self.store.load(self.tip.height)
        if stored is not None:
            self.last_votes = {vote.validator_index: vote for vote in stored.votes}

    # Proposals

    def make_block(self, txs: tuple[bytes, ...], evidence: tuple[EquivocationProof, ...]) -> Block:
        """Have the application choose the transactions of the next block, and build it."""
        commit = self._last_commit()
        time_ms = next_time_ms(self.tip, self._env.chain, commit)
        request = PrepareRequest(
            height=self.tip.height + 1,
            time_ms=time_ms,
            proposer_index=self._env.index,
            max_tx_bytes=self._env.chain.block_tx_bytes_max,
            txs=txs,
            last_commit=self._extended_commit(commit) if self.tip.height > 0 else None,
            misbehavior=misbehavior_of(self.tip, evidence),
        )
        chosen = tuple(self._app.prepare_proposal(request))
        header = Header(
            chain_id=self._env.chain.chain_id,
            height=self.tip.height + 1,
            time_ms=time_ms,
            last_block_hash=self.tip.block_hash,
            app_hash=self.tip.app_hash,
            last_results_hash=self.tip.results_hash,
            validators_hash=self.tip.validators.hash,
            next_validators_hash=self.tip.next_validators.hash,
            proposer_index=self._env.index,
            txs_hash=compute_txs_hash(chosen),
            last_commit_hash=compute_commit_hash(commit),
            evidence_hash=compute_evidence_hash(evidence),
        )
        return Block(header, chosen, evidence, commit)

    def judge(self, block: Block, block_hash: bytes) -> str:
        """Return why a proposed block is invalid at the next height, or an empty string. Judged once for each hash.

        The block has passed `fault_of_body`, so the hash covers all of it: a verdict holds for every copy.
        """
        fault = self._verdicts.get(block_hash)
        if fault is None:
            fault = self._fault_at_tip(block)
            if not fault and not self._app.process_proposal(request_of(self.tip, block, block_hash)):
                fault = "the application refuses it"
            if len(self._verdicts) >= _VERDICTS_MAX:
                self._verdicts.clear()
            self._verdicts[block_hash] = fault
        return fault

    def fault_of_decided(self, block: Block) -> str:
        """Return why a block with a certificate does not follow this chain, or an empty string."""
        return self._fault_at_tip(block)

    def _fault_at_tip(self, block: Block) -> str:
        chain, commit = self._env.chain, block.last_commit
        return fault_of_header(self.tip, chain, block.header) or fault_of_contents(
            self.tip, chain, self._env.domains, block, self._verified_entries(commit)
        )

    def provable(self, evidence: tuple[EquivocationProof, ...]) -> tuple[EquivocationProof, ...]:
        """Return the proofs that the next block may carry."""
        chain, domains = self._env.chain, self._env.domains
        return tuple(proof for proof in evidence if not fault_of_evidence(self.tip, chain, domains, (proof,)))

    def oldest_evidence_height(self) -> int:
        """Return the lowest height that the next block may still prove something of."""
        return oldest_evidence_height(self.tip, self._env.chain)

    # Decisions

    def execute(self, block: Block, block_hash: bytes, stored: StoredBlock) -> None:
        """Make a decided block the new tip: compute, store, commit."""
        response = self._app.finalize_block(request_of(self.tip, block, block_hash))
        tip = self._tip_after(block, block_hash, response)
        self.store.save(stored, tip, response.tx_results, response.events)
        retain_height = self._app.commit().retain_height
        self.tip = tip
        self.last_votes = {vote.validator_index: vote for vote in stored.votes}
        self._sound_extensions.clear()
        self._verdicts.clear()
        self._remember(tip.height, tip.app_hash)
        self.store.prune(retain_height)

    def _tip_after(self, block: Block, block_hash: bytes, response: FinalizeResponse) -> Tip:
        if len(response.tx_results) != len(block.txs):
            raise HaltError(f"height {block.header.height}: the application returned not one result a transaction")
        updates = [Validator(update.public_key, update.power) for update in response.validator_updates]
        distinct = len({update.public_key for update in updates}) == len(updates)
        if not distinct or not is_valid_set(updated_validators(self.tip.next_validators, updates)):
            raise HaltError(f"height {block.header.height}: the validator updates make no valid set")
        oldest = self.oldest_evidence_height()
        proven = {key for key in self.tip.proven if key[0] >= oldest} | {proof_key(proof) for proof in block.evidence}
        return Tip(
            height=block.header.height,
            block_hash=block_hash,
            time_ms=block.header.time_ms,
            app_hash=response.app_hash,
            results_hash=sha256(encode([(result.code, result.data) for result in response.tx_results])),
            sets=sets_after(self.tip, response.validator_updates),
            proven=frozenset(proven),
        )

    def add_late_vote(self, vote: Vote) -> None:
        """Take a verified precommit for the tip's block, extension included, that came after the decision."""
        if vote.round == self._last_round():
            self.last_votes.setdefault(vote.validator_index, vote)
            self._sound_extensions.add(vote.validator_index)

    def trust_extensions(self, votes: Sequence[Vote]) -> None:
        """Note that the extensions of these precommits for the tip were verified when they came."""
        self._sound_extensions.update(vote.validator_index for vote in votes)

    def app_hash_at(self, height: int) -> bytes | None:
        """Return the app hash after a height, as far back as blocks are kept."""
        known = self._app_hashes.get(height)
        if known is None:
            kept = self.store.tip_at(height)
            known = None if kept is None else kept.app_hash
        return known

    def _remember(self, height: int, app_hash: bytes) -> None:
        self._app_hashes[height] = app_hash
        if len(self._app_hashes) > _APP_HASHES_MAX:
            self._app_hashes.pop(next(iter(self._app_hashes)))

    def block_hash_at(self, height: int) -> bytes | None:
        """Return the hash of a kept block."""
        kept = self.store.tip_at(height)
        return None if kept is None else kept.block_hash

    def is_empty(self) -> bool:
        """Tell whether neither the disk nor the application holds a block."""
        return self.store.last == 0 and self._app.info().height == 0

    # Parts of requests

    @property
    def can_propose(self) -> bool:
        """Tell whether the precommits that the next block must carry are here; a damaged store may lack them."""
        return self.tip.height == 0 or bool(self.last_votes)

    def _last_round(self) -> int:
        return next(iter(self.last_votes.values())).round if self.last_votes else -1

    def _last_commit(self) -> Commit:
        if self.tip.height == 0:
            return NO_COMMIT
        ensure(self.can_propose, "who proposes has the precommits of the last height")
        return make_commit(tuple(self.last_votes.values()))

    def _verified_entries(self, commit: Commit) -> frozenset[CommitSignature]:
        if commit.round != self._last_round():
            return frozenset()
        return frozenset(make_commit(tuple(self.last_votes.values())).signatures)

    def _extended_commit(self, commit: Commit) -> ExtendedCommit:
        validators = self.tip.last_validators
        slots = []
        for index in range(len(validators)):
            vote = self.last_votes.get(index)
            sound = vote is not None and self._has_sound_extension(vote)
            slots.append(
                ExtendedVote(
                    validator_index=index,
                    power=validators.power(index),
                    committed=vote is not None,
                    extension=vote.extension if vote is not None and sound else b"",
                    extension_signature=vote.extension_signature if vote is not None and sound else b"",
                )
            )
        return ExtendedCommit(commit.height, commit.round, tuple(slots))

    def _has_sound_extension(self, vote: Vote) -> bool:
        if vote.validator_index in self._sound_extensions:
            return True
        if check_extension(self.tip.last_validators, self._env.domains, vote) is not None:
            return False
        if not self._app.verify_vote_extension(vote.height, vote.validator_index, vote.extension):
            return False
        self._sound_extensions.add(vote.validator_index)
        return True
