"""One validator: the shell around the step function, the chain and the application.

    replica            entry points, dispatch, and what happens between two heights
    replica_env        shared settings, ports, counters
    replica_rounds     the height in progress, and signing
    replica_blocks     its blocks by hash
    replica_chain      blocks from judgement to commit, restart
    replica_tip        the chain's end, and its record in the block log
    replica_restore    what a restore from a snapshot is to end in
    replica_catchup    a replica that is behind, by blocks
    replica_statesync  a replica that is empty, by snapshot
    replica_txs        the mempool and its gossip
    replica_rules      what makes a block follow the chain
    replica_signing    own votes and proposals, each durable before it leaves
    replica_permit     whether to sign at all, when the disk may have forgotten
    replica_watch      whether somebody else signs with the own key
    replica_checkpoints    what validators sign of the state after each commit
    replica_wire       messages
    replica_readings   what others may read

Everything is synchronous: each entry point runs to its end, and effects leave through ports only. What a peer sends
never raises: it is counted, logged in one line and dropped. A reason to stop halts this replica alone.
"""

from collections import deque
from collections.abc import Callable, Sequence

from holdfast.consensus.events import Step
from holdfast.consensus.messages import Checkpoint, Vote
from holdfast.consensus.validators import Validator, ValidatorSet
from holdfast.node.application import Application, CheckTxResponse, ValidatorInfo
from holdfast.node.evidence_pool import EvidencePool, proof_key
from holdfast.node.frames import DamagedFileError
from holdfast.node.ports import Clock, Disk, DiskError, Network, Signer
from holdfast.node.replica_blocks import Decision
from holdfast.node.replica_catchup import CatchUp
from holdfast.node.replica_chain import Chain
from holdfast.node.replica_checkpoints import Checkpoints
from holdfast.node.replica_env import ChainConfig, Environment, HaltError, LogLine, ReplicaConfig, no_log, read_token
from holdfast.node.replica_permit import SigningPermit
from holdfast.node.replica_readings import Readings
from holdfast.node.replica_rounds import Rounds
from holdfast.node.replica_statesync import StateSync
from holdfast.node.replica_txs import TxIntake
from holdfast.node.replica_watch import KeyWatch
from holdfast.node.replica_wire import (
    BlockResponse,
    BlocksRequest,
    ChunkRequest,
    CommitNotice,
    Message,
    ProposalMessage,
    SnapshotsRequest,
    StatusMessage,
    TxsMessage,
    decode_message,
    encode_message,
)
from holdfast.node.version import VersionError
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Code, Malformed

EARLY_MESSAGES_MAX = 32


class Replica(Readings):
    """A validator, driven by `start`, `on_message`, `on_timer` and `submit`."""

    def __init__(
        self,
        *,
        index: int,
        validators: Sequence[ValidatorInfo],
        chain: ChainConfig,
        application: Application,
        clock: Clock,
        network: Network,
        disk: Disk,
        signer: Signer,
        config: ReplicaConfig | None = None,
        log: LogLine = no_log,
    ) -> None:
        """Wire a validator; `start` brings it up. `index` is its place in `validators` and on the network."""
        self._env = Environment(
            index=index,
            chain=chain,
            config=config or ReplicaConfig(),
            application=application,
            clock=clock,
            network=network,
            disk=disk,
            signer=signer,
            log=log,
        )
        genesis = ValidatorSet([Validator(validator.public_key, validator.power) for validator in validators])
        self.halt_reason = ""
        self.halt_error: BaseException | None = None
        self._is_up = False
        self._start_is_due = False
        self._is_in_rounds = False
        self._txs = TxIntake(self._env)
        self._evidence = EvidencePool()
        self._chain = Chain(self._env, genesis)
        self._catchup = CatchUp(self._env, self._chain, self._commit)
        self._permit = SigningPermit(self._env, self._chain, self._catchup)
        self._rounds = Rounds(
            self._env, self._chain, self._evidence, self._txs.reap, self._permit.may_sign, self._commit_decided
        )
        self._watch = KeyWatch(self._env, self._chain, self._rounds, self._permit)
        self._checkpoints = Checkpoints(self._env, self._chain, self._may_sign_checkpoint)
        self._statesync = StateSync(self._env, self._chain, self._restore_or_join)
        self._early: dict[int, list[Message]] = {}
        self._inbox: deque[tuple[int, Message]] = deque()

    # Entry points

    def start(self) -> None:
        """Come up from the disk, or empty, and join the others."""
        self._guarded(self._start)

    def on_message(self, sender: int, data: bytes) -> None:
        """Take a message from a peer."""
        if self.halt_reason or not self._is_up:
            return
        if not 0 <= sender < len(self._chain.tip.next_validators):
            self._env.count("message_from_nowhere", peer=sender)
            return
        try:
            message = decode_message(data)
        except Malformed as error:
            self._env.count("message_malformed", peer=sender, reason=str(error))
            return
        if sender == self._env.index:
            self._env.count("message_from_own_index")
            self._guarded(lambda: self._watch.look(message))
            return
        self._inbox.append((sender, message))
        self._guarded(self._drain)

    def on_timer(self, data: bytes) -> None:
        """Take a timer."""
        token = read_token(data)
        if self.halt_reason or token.session != self._env.session:
            return
        self._guarded(lambda: self._take_timer(token.name, token.height, token.step, token.round))

    def submit(self, tx: bytes) -> CheckTxResponse:
        """Offer a transaction to the mempool and, if it is taken, to the peers."""
        if self.halt_reason or not self._is_up:
            return CheckTxResponse(Code.MEMPOOL_FULL, "this replica takes no transactions now")
        return self._txs.offer(tx, self.height)

    def submit_many(self, txs: Sequence[bytes]) -> list[CheckTxResponse]:
        """Offer transactions that have come together; the answers are in their order."""
        if self.halt_reason or not self._is_up:
            return [self.submit(tx) for tx in txs]
        return self._txs.offer_many(txs, self.height)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (HaltError, BrokenInvariantError, DiskError) as error:
            self.halt_error = error
            self.halt_reason = str(error) or type(error).__name__
            self._env.count("halted", height=self.height, reason=self.halt_reason)

    # Between heights

    def _start(self) -> None:
        self._is_up = True
        self._permit.open()
        self._open_store()
        if self._env.config.state_sync and self._chain.is_empty():
            self._catchup.is_paused = True
            self._statesync.start()
        else:
            self._restore_or_join(restored=False)

    def _open_store(self) -> None:
        try:
            self._chain.open_store()
        except (DamagedFileError, VersionError) as error:
            raise HaltError(str(error)) from error

    def _restore_or_join(self, restored: bool) -> None:  # noqa: FBT001 -- a callback with one meaning
        if not restored:
            self._chain.open()
        self._catchup.is_paused = False
        self._join()

    def _join(self) -> None:
        """Take part from the height above the tip."""
        self._open_height()
        self._checkpoints.open()
        self._join_rounds()
        self._catchup.consider()
        self._ask_around()

    def _ask_around(self) -> None:
        """Ask everybody how far they are, again and again until that is known well enough to take part."""
        self._env.network.broadcast(encode_message(self._catchup.status(wants_reply=True)))
        if not self._is_in_rounds:
            self._env.set_timer("ask", self._env.config.rebroadcast_ms, self._rounds.height)

    def _open_height(self) -> None:
        self._rounds.begin()
        self._start_is_due = False
        height = self._rounds.height
        if not self._rounds.is_started:
            self._env.set_timer("start", self._start_delay_ms(), height)
        self._env.set_timer("tick", self._start_delay_ms() + self._env.config.rebroadcast_ms, height)

    def _start_delay_ms(self) -> int:
        """Return the time to the next boundary of the block interval, counted from genesis."""
        now_ms = self._env.clock.now_ms()
        elapsed_ms = now_ms - self._env.chain.genesis_time_ms
        interval_ms = self._env.chain.block_interval_ms
        if elapsed_ms <= 0 and self.height == 0:
            return -elapsed_ms
        return interval_ms - elapsed_ms % interval_ms if interval_ms else 0

    def _commit_decided(self, decision: Decision) -> None:
        """Commit what this replica's own rounds decided; its precommits were verified whole."""
        self._commit(decision)
        self._chain.trust_extensions(decision.stored.votes)
        self._env.network.broadcast(encode_message(self._rounds.notice()))

    def _commit(self, decision: Decision) -> None:
        self._chain.execute(decision.block, decision.block_hash, decision.stored)
        self._txs.mempool.committed(self.height, decision.block.txs)
        proven = frozenset(map(proof_key, decision.block.evidence))
        self._evidence.drop(proven, self._chain.oldest_evidence_height())
        self._env.counters["blocks_committed"] += 1
        self._checkpoints.note_commit()
        self._open_height()
        self._catchup.on_tip_changed()
        self._release_early()
        self._join_rounds()

    def _release_early(self) -> None:
        for sender, messages in self._early.items():
            self._inbox.extend((sender, message) for message in messages)
        self._early.clear()

    def _take_timer(self, name: str, height: int, step: int, round_number: int) -> None:
        match name:
            case "step" if height == self._rounds.height:
                self._rounds.on_timeout(Step(step), round_number)
            case "start" if height == self._rounds.height:
                self._start_height()
            case "ask" if not self._is_in_rounds:
                self._ask_around()
            case "tick" if height == self._rounds.height:
                self._tick()
            case "gossip":
                self._txs.gossip()
            case "catchup":
                self._catchup.on_timer(height)
            case "statesync":
                self._statesync.on_timer(height)
        self._drain()

    def _start_height(self) -> None:
        self._start_is_due = True
        self._join_rounds()
        if self._is_in_rounds:
            self._rounds.start()

    def _tick(self) -> None:
        self._rounds.rebroadcast()
        self._checkpoints.repeat()
        self._env.network.broadcast(encode_message(self._catchup.status()))
        self._catchup.consider()
        self._env.set_timer("tick", self._env.config.rebroadcast_ms, self._rounds.height)

    # Messages

    def _drain(self) -> None:
        while self._inbox:
            sender, message = self._inbox.popleft()
            self._dispatch(sender, message)

    def _dispatch(self, sender: int, message: Message) -> None:
        match message:
            case SnapshotsRequest() | ChunkRequest():
                self._statesync.serve(sender, message)
            case StatusMessage():
                self._take_status(sender, message)
            case _ if self._statesync.is_active:
                self._statesync.on_message(sender, message)
            case _:
                self._take_consensus_message(sender, message)

    def _take_consensus_message(self, sender: int, message: Message) -> None:
        self._watch.look(message)
        match message:
            case Vote():
                self._take_vote(sender, message)
            case ProposalMessage():
                self._take_proposal(sender, message)
            case TxsMessage():
                self._txs.take_many(message.txs, self.height)
            case CommitNotice():
                self._rounds.compare_notice(message)
                self._catchup.note(sender, message.height)
                self._join_rounds()
            case BlocksRequest():
                self._catchup.on_blocks_request(sender, message)
            case BlockResponse():
                self._catchup.on_block(sender, message)
            case Checkpoint():
                self._checkpoints.take(sender, message)
            case _:
                pass

    def _take_vote(self, sender: int, vote: Vote) -> None:
        if vote.height == self._rounds.height and self._is_in_rounds:
            if not self._rounds.on_vote(vote):
                self._env.count("vote_refused", peer=sender, height=vote.height, by=vote.validator_index)
        elif vote.height == self.height:
            self._rounds.on_late_vote(vote)
        else:
            self._keep_early(sender, vote.height, vote)

    def _take_proposal(self, sender: int, message: ProposalMessage) -> None:
        height = message.proposal.height
        if height == self._rounds.height and self._is_in_rounds:
            if not self._rounds.on_proposal(message):
                self._env.count("proposal_refused", peer=sender, height=height, round=message.proposal.round)
        else:
            self._keep_early(sender, height, message)

    def _keep_early(self, sender: int, height: int, message: Message) -> None:
        """Keep what cannot be used yet, a bounded share for each peer; what is further ahead tells of lag."""
        if self._rounds.height <= height <= self._rounds.height + 1:
            kept = self._early.setdefault(sender, [])
            if len(kept) < EARLY_MESSAGES_MAX:
                kept.append(message)
        elif height > self._rounds.height + 1:
            self._catchup.hint(sender, height - 1)

    def _take_status(self, sender: int, message: StatusMessage) -> None:
        if message.wants_reply:
            self._repeat_to(sender)
        if message.wants_reply or message.height < self.height:
            self._env.network.send(sender, encode_message(self._catchup.status()))
        self._catchup.note(sender, message.height, message.first)
        self._join_rounds()

    def _repeat_to(self, peer: int) -> None:
        """Tell a peer that has come up what it has voted lately, which it may not remember, and the own checkpoint."""
        if not self._statesync.is_active:
            votes = self._rounds.votes_of(peer)
            if votes:
                self._env.network.send(peer, encode_message(CommitNotice(self.height, votes)))
            self._checkpoints.tell(peer)

    def _may_sign_checkpoint(self, height: int) -> bool:
        return self._permit.may_sign(height) and not self._catchup.is_behind

    def _join_rounds(self) -> None:
        """Take part from the moment that this replica knows from which height on it may sign."""
        if self._is_in_rounds or self._statesync.is_active or not self._permit.is_settled():
            return
        self._is_in_rounds = True
        self._catchup.is_eager = False
        self._rounds.go()
        self._checkpoints.sign_tip()
        self._release_early()
        if self._rounds.is_started:
            self._rounds.rebroadcast()
        elif self._start_is_due:
            self._rounds.start()
