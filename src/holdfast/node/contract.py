"""A checker around an Application that holds both sides to ABCI's contract: the engine's calls and the answers.

Owns the promises of ABCI 2.0 that a deterministic exchange lives by. It wraps any Application, changes no answer, and
raises ContractViolationError under the name of what was broken; nobody catches it, so a run stops there.

The dear checks (the deep fingerprint of the committed state, executing a block again from nothing) run at heights where
`height % count == index`, so that N replicas share them; without `rotate` they run at every height. What one replica
prepared another must accept: replicas of one world share a `PreparedBlocks`.

It must not know what the application computes.
"""

from collections.abc import Callable
from enum import StrEnum, unique
from typing import NamedTuple, NoReturn

from holdfast.node.application import (
    Application,
    BlockRequest,
    CheckTxResponse,
    ChunkVerdict,
    CommitResponse,
    ExtendedCommit,
    FinalizeResponse,
    InfoResponse,
    Misbehavior,
    OfferVerdict,
    PrepareRequest,
    QueryResponse,
    SnapshotInfo,
)

EXTENSION_BYTES_MAX = 8 * 1024
HASH_BYTES = 32
_SUSPECTS_SHOWN = 8


@unique
class Violation(StrEnum):
    """The promises, each by the name under which its breach is reported."""

    CALL_OUT_OF_ORDER = "call out of order"
    COMMIT_WITHOUT_FINALIZE = "commit without finalize_block"
    SIDE_EFFECT_BEFORE_COMMIT = "side effect before commit"
    PREPARED_TOO_LARGE = "prepared transactions exceed max_tx_bytes"
    PREPARED_IS_REFUSED = "process_proposal refuses what prepare_proposal returned"
    PROCESS_NOT_REPEATABLE = "process_proposal judges one block twice, differently"
    OWN_EXTENSION_REFUSED = "verify_vote_extension refuses the application's own extension"
    EXTENSION_TOO_LARGE = "vote extension exceeds 8 KiB"
    VERIFY_NOT_REPEATABLE = "verify_vote_extension judges one extension twice, differently"
    RESULTS_MISCOUNTED = "finalize_block returned not one result a transaction"
    FINALIZE_NOT_REPEATABLE = "finalize_block computes one block twice, differently"
    APP_HASH_MALFORMED = "app hash is not 32 bytes"
    INFO_NOT_LAST_COMMIT = "info is not what the last commit left"


class ContractViolationError(Exception):
    """A broken promise between engine and application: which one, at which height, and what was seen."""

    def __init__(self, violation: Violation, height: int, detail: str) -> None:
        """Keep the name and the place."""
        super().__init__(f"{violation.name} at height {height}: {detail}")
        self.violation = violation
        self.height = height
        self.detail = detail


class _Proposal(NamedTuple):
    """The context that a prepared block comes back in, if nobody altered it on the way."""

    height: int
    time_ms: int
    proposer_index: int
    txs: tuple[bytes, ...]
    committed: tuple[bool, ...]
    misbehavior: tuple[Misbehavior, ...]


class PreparedBlocks:
    """What honest applications have prepared at the current height; shared between the replicas of one world."""

    def __init__(self) -> None:
        """Start empty."""
        self._height = 0
        self._proposals: set[_Proposal] = set()

    def add(self, proposal: _Proposal) -> None:
        """Remember a proposal, and forget those of lower heights."""
        if proposal.height > self._height:
            self._height = proposal.height
            self._proposals.clear()
        self._proposals.add(proposal)

    def __contains__(self, proposal: _Proposal) -> bool:
        """Tell whether an honest application returned exactly this."""
        return proposal in self._proposals


class CheckedApplication:
    """An Application whose every call and answer is checked against the contract."""

    def __init__(
        self,
        inner: Application,
        *,
        fingerprint: Callable[[], object] | None = None,
        drop_caches: Callable[[], None] | None = None,
        rotate: tuple[int, int] | None = None,
        validator_index: int = 0,
        prepared: PreparedBlocks | None = None,
    ) -> None:
        """Wrap an application.

        `fingerprint` returns something that stays equal as long as nothing changes that only a commit may change;
        `drop_caches` forgets speculative results, so that the
        next call computes afresh. Without them the checks that need them are left out.
        """
        self.inner = inner
        self.checked = dict.fromkeys(Violation, 0)
        self._fingerprint = fingerprint
        self._drop_caches = drop_caches
        self._rotate = rotate
        self._validator_index = validator_index
        self._prepared = prepared or PreparedBlocks()
        self._last = inner.info()
        self._has_genesis = self._last.height > 0
        self._baseline: object | None = None
        self._suspects: list[str] = []
        self._accepted: set[bytes] = set()
        self._finalized: tuple[BlockRequest, FinalizeResponse] | None = None

    # Outside the height's grammar: these may come at any time

    def info(self) -> InfoResponse:
        """Check that it is what the last commit left."""
        found = self.inner.info()
        self._check_info(found)
        return found

    def check_tx(self, tx: bytes) -> CheckTxResponse:
        """Check that it left no trace, at the next call of the height."""
        self._take_baseline()
        answer = self.inner.check_tx(tx)
        self._suspects.append("check_tx")
        return answer

    def query(self, path: str, data: bytes) -> QueryResponse:
        """Check that it left no trace, at the next call of the height."""
        self._take_baseline()
        answer = self.inner.query(path, data)
        self._suspects.append("query")
        return answer

    def list_snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Pass on."""
        return self.inner.list_snapshots()

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        """Pass on."""
        return self.inner.load_snapshot_chunk(height, format, chunk)

    # The start

    def init_chain(self, genesis: bytes) -> InfoResponse:
        """Check that it comes before the first commit, and leaves height 0."""
        self._demand(self._last.height == 0, Violation.CALL_OUT_OF_ORDER, "init_chain after a commit")
        answer = self.inner.init_chain(genesis)
        self._demand(answer.height == 0, Violation.INFO_NOT_LAST_COMMIT, f"init_chain left height {answer.height}")
        self._demand_hash(answer.app_hash)
        self._has_genesis = True
        self._settle(answer)
        return answer

    def offer_snapshot(self, snapshot: SnapshotInfo, app_hash: bytes) -> OfferVerdict:
        """Check that it comes between heights."""
        self._demand(self._finalized is None, Violation.CALL_OUT_OF_ORDER, "offer_snapshot after finalize_block")
        return self.inner.offer_snapshot(snapshot, app_hash)

    def apply_snapshot_chunk(self, index: int, chunk: bytes) -> ChunkVerdict:
        """Take over the state that a finished restore has made current."""
        self._demand(self._finalized is None, Violation.CALL_OUT_OF_ORDER, "apply_snapshot_chunk after finalize_block")
        verdict = self.inner.apply_snapshot_chunk(index, chunk)
        restored = self.inner.info()
        if restored != self._last:
            self._has_genesis = True
            self._settle(restored)
        return verdict

    # A round

    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        """Check size and that it left no trace; remember what must be accepted when it comes back."""
        self._begin("prepare_proposal", request.height)
        txs = self.inner.prepare_proposal(request)
        self._end("prepare_proposal")
        total_bytes = sum(len(tx) for tx in txs)
        self._demand(
            total_bytes <= request.max_tx_bytes,
            Violation.PREPARED_TOO_LARGE,
            f"{total_bytes} bytes of at most {request.max_tx_bytes}",
        )
        self._prepared.add(
            _Proposal(
                request.height,
                request.time_ms,
                request.proposer_index,
                tuple(txs),
                _committed_flags(request.last_commit),
                request.misbehavior,
            )
        )
        return txs

    def process_proposal(self, request: BlockRequest) -> bool:
        """Check that it accepts what an honest application prepared, repeats its verdict, and left no trace."""
        self._begin("process_proposal", request.height)
        accepted = self.inner.process_proposal(request)
        self._end("process_proposal")
        if not accepted:
            self._demand(
                _proposal_of(request) not in self._prepared,
                Violation.PREPARED_IS_REFUSED,
                f"block {request.hash.hex()[:16]} of proposer {request.proposer_index}",
            )
        if self._forget():
            again = self.inner.process_proposal(request)
            self._end("process_proposal")
            self._demand(
                again == accepted,
                Violation.PROCESS_NOT_REPEATABLE,
                f"block {request.hash.hex()[:16]}: {accepted}, {again}",
            )
        if accepted:
            self._accepted.add(request.hash)
        return accepted

    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        """Check the size of the extension, and that the application accepts its own."""
        self._begin("extend_vote", height)
        self._demand(
            block_hash in self._accepted,
            Violation.CALL_OUT_OF_ORDER,
            f"extend_vote for block {block_hash.hex()[:16]} that process_proposal has not accepted",
        )
        extension = self.inner.extend_vote(height, block_hash)
        self._end("extend_vote")
        self._demand(len(extension) <= EXTENSION_BYTES_MAX, Violation.EXTENSION_TOO_LARGE, f"{len(extension)} bytes")
        self._demand(
            self.inner.verify_vote_extension(height, self._validator_index, extension),
            Violation.OWN_EXTENSION_REFUSED,
            f"{len(extension)} bytes",
        )
        self._end("verify_vote_extension")
        return extension

    def verify_vote_extension(self, height: int, validator_index: int, extension: bytes) -> bool:
        """Check that it repeats its verdict and left no trace. Late votes of the last height are allowed."""
        self._demand(
            self._last.height <= height <= self._last.height + 1,
            Violation.CALL_OUT_OF_ORDER,
            f"verify_vote_extension for height {height} after commit of {self._last.height}",
        )
        self._take_baseline()
        accepted = self.inner.verify_vote_extension(height, validator_index, extension)
        if self._is_deep():
            again = self.inner.verify_vote_extension(height, validator_index, extension)
            self._demand(again == accepted, Violation.VERIFY_NOT_REPEATABLE, f"{accepted}, then {again}")
        self._suspects.append("verify_vote_extension")
        return accepted

    # The decision

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        """Check the answer's shape, that a second computation agrees, and that it left no trace."""
        self._begin("finalize_block", request.height)
        response = self.inner.finalize_block(request)
        self._end("finalize_block")
        self._demand(
            len(response.tx_results) == len(request.txs),
            Violation.RESULTS_MISCOUNTED,
            f"{len(response.tx_results)} results of {len(request.txs)} transactions",
        )
        self._demand_hash(response.app_hash)
        if self._finalized is not None:
            before, told = self._finalized
            self._demand(before.hash == request.hash, Violation.CALL_OUT_OF_ORDER, "finalize_block of a second block")
            self._demand_same(told, response)
        if self._forget():
            self._demand_same(response, self.inner.finalize_block(request))
            self._end("finalize_block")
        self._finalized = (request, response)
        return response

    def commit(self) -> CommitResponse:
        """Check that a finalized block precedes it, and that info is what that block's answer said."""
        if self._finalized is None:
            self._violate(Violation.COMMIT_WITHOUT_FINALIZE, "nothing is finalized")
        self._end("the calls since finalize_block")
        request, response = self._finalized
        answer = self.inner.commit()
        expected = self._last._replace(height=request.height, app_hash=response.app_hash)
        self._last = expected._replace(app_version=self.inner.info().app_version)
        self._settle(self._last)
        self._check_info(self.inner.info())
        return answer

    # Checks

    def _begin(self, method: str, height: int) -> None:
        """Check that a call of a height comes where the grammar has it."""
        self._demand(self._has_genesis, Violation.CALL_OUT_OF_ORDER, f"{method} before init_chain")
        self._demand(
            height == self._last.height + 1,
            Violation.CALL_OUT_OF_ORDER,
            f"{method} for height {height} after commit of {self._last.height}",
        )
        self._demand(
            self._finalized is None or method == "finalize_block",
            Violation.CALL_OUT_OF_ORDER,
            f"{method} between finalize_block and commit",
        )
        self._take_baseline()

    def _end(self, method: str) -> None:
        """Check that a call, and the cheap ones before it, left no trace."""
        self.checked[Violation.SIDE_EFFECT_BEFORE_COMMIT] += 1
        suspects = [*self._suspects[-_SUSPECTS_SHOWN:], method]
        self._suspects.clear()
        found = self.inner.info()
        unchanged = found == self._last
        if unchanged and self._baseline is not None and self._fingerprint is not None:
            unchanged = self._fingerprint() == self._baseline
        if not unchanged:
            self._violate(Violation.SIDE_EFFECT_BEFORE_COMMIT, f"the committed state changed in {', '.join(suspects)}")

    def _take_baseline(self) -> None:
        if self._baseline is None and self._fingerprint is not None and self._is_deep():
            self._baseline = self._fingerprint()

    def _is_deep(self) -> bool:
        if self._rotate is None:
            return True
        index, count = self._rotate
        return (self._last.height + 1) % count == index

    def _forget(self) -> bool:
        """Drop the application's speculation where this height is one for dear checks; tell whether it was."""
        if self._drop_caches is None or not self._is_deep():
            return False
        self._drop_caches()
        return True

    def _settle(self, committed: InfoResponse) -> None:
        self._last = committed
        self._baseline = None
        self._suspects.clear()
        self._accepted.clear()
        self._finalized = None

    def _check_info(self, found: InfoResponse) -> None:
        self._demand(
            found == self._last,
            Violation.INFO_NOT_LAST_COMMIT,
            f"height {found.height} and {found.app_hash.hex()[:16]}, not {self._last.height} and"
            f" {self._last.app_hash.hex()[:16]}",
        )

    def _demand_same(self, first: FinalizeResponse, second: FinalizeResponse) -> None:
        parts = [name for name in FinalizeResponse._fields if getattr(first, name) != getattr(second, name)]
        self._demand(not parts, Violation.FINALIZE_NOT_REPEATABLE, f"{', '.join(parts)} differ")

    def _demand_hash(self, app_hash: bytes) -> None:
        self._demand(len(app_hash) == HASH_BYTES, Violation.APP_HASH_MALFORMED, f"{len(app_hash)} bytes")

    def _demand(self, holds: bool, violation: Violation, detail: str) -> None:  # noqa: FBT001 -- as `ensure`
        self.checked[violation] += 1
        if not holds:
            self._violate(violation, detail)

    def _violate(self, violation: Violation, detail: str) -> NoReturn:
        raise ContractViolationError(violation, self._last.height + 1, detail)


def _committed_flags(commit: ExtendedCommit | None) -> tuple[bool, ...]:
    return () if commit is None else tuple(vote.committed for vote in commit.votes)


def _proposal_of(request: BlockRequest) -> _Proposal:
    flags = tuple(vote.committed for vote in request.last_commit)
    return _Proposal(request.height, request.time_ms, request.proposer_index, request.txs, flags, request.misbehavior)
