"""Which transactions may stand in a block, and in which order; each is decoded and verified once.

The rules are the same for a mempool, a proposer and those who judge its proposal: a pure function of the committed
state and the block. What execution alone can tell (margin, books) is not asked here.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from holdfast.node.application import BlockRequest, ExtendedCommit, PrepareRequest
from holdfast.primitives import codec, crypto
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code, Malformed, RejectedError
from holdfast.protocol import machine
from holdfast.protocol.accounts.rules import compute_nonce_window, get_nonce_window
from holdfast.protocol.accounts.state import NonceWindow
from holdfast.protocol.chain import CHAIN, CLOCK
from holdfast.protocol.limits import BLOCK_TXS_MAX, TX_BYTES_MAX
from holdfast.protocol.machine import Admission
from holdfast.protocol.messages import MAGIC, Domain, Envelope, command_domain
from holdfast.protocol.oracle.messages import (
    OracleCommit,
    OracleVote,
    decode_oracle_commit,
    decode_report,
    encode_oracle_commit,
)
from holdfast.protocol.oracle.rules import has_quorum
from holdfast.protocol.staking.handlers import get_powers
from holdfast.protocol.staking.state import VALIDATORS
from holdfast.state.draft import Draft

_CACHE_MAX: Final = 65_536
# Of the transactions' own bytes: what they decode to is a few times as large.
_CACHE_BYTES_MAX: Final = 16 * 1024 * 1024
_EXTENSION_VERSION: Final = 1

Windows = dict[tuple[int, bytes], NonceWindow]


class Cache:
    """Remembers what decoding and verifying a transaction came to; bounded, oldest out first.

    Also the block that this replica has prepared last: nobody has to ask whether that one is proper.
    """

    def __init__(self, draft: Draft) -> None:
        """Bind to one chain's domains."""
        chain = draft[CHAIN][0]
        self._domain = command_domain(chain.chain_id, chain.genesis_hash)
        extension = Domain("extension", _EXTENSION_VERSION, chain.chain_id, chain.genesis_hash)
        self._extension_domain = sha256(MAGIC + codec.encode(extension))
        self._known: dict[bytes, Admission] = {}
        self._bytes = 0
        self._prepared: tuple[int, int, tuple[bytes, ...]] | None = None  # height, time, transactions

    def admit(self, tx: bytes) -> Admission:
        """Return what `machine.admit_tx` returns, computed once a transaction."""
        if len(tx) > TX_BYTES_MAX:
            return Admission(None, Code.TX_TOO_LARGE)
        known = self._known.get(tx)
        if known is not None:
            return known
        admission = machine.admit_tx(self._domain, tx)
        self._keep(tx, admission)
        return admission

    def admit_many(self, txs: Sequence[bytes]) -> list[Admission]:
        """Return what `admit` returns for each; what is not known yet is decoded and verified in one go."""
        fresh = tuple(dict.fromkeys(tx for tx in txs if len(tx) <= TX_BYTES_MAX and tx not in self._known))
        found = dict(zip(fresh, machine.admit_txs(self._domain, fresh), strict=True))
        answers = [found.get(tx) or self.admit(tx) for tx in txs]
        for tx in fresh:
            self._keep(tx, found[tx])
        return answers

    def _keep(self, tx: bytes, admission: Admission) -> None:
        self._known[tx] = admission
        self._bytes += len(tx)
        while len(self._known) > _CACHE_MAX or self._bytes > _CACHE_BYTES_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._bytes -= len(oldest)

    def forget(self, txs: Iterable[bytes]) -> None:
        """Drop what is committed: nobody proposes it again."""
        for tx in txs:
            if self._known.pop(tx, None) is not None:
                self._bytes -= len(tx)

    def check(self, draft: Draft, tx: bytes) -> tuple[int, str]:
        """Judge one transaction against the committed state: form, signature, signer, nonce."""
        admission = self.admit(tx)
        if admission.envelope is None:
            return admission.code, admission.detail
        try:
            _check_in_block(draft, admission.envelope, draft[CLOCK][0].time_ms, {})
        except RejectedError as refusal:
            return refusal.code, str(refusal)
        return Code.OK, ""

    def prepare(self, draft: Draft, request: PrepareRequest) -> tuple[bytes, ...]:
        """Return the transactions of an honest block, within its bytes."""
        first = encode_oracle_commit(self._read_commit(request.last_commit))
        left = request.max_tx_bytes - len(first)
        windows: Windows = {}
        cancels: list[bytes] = []
        others: list[bytes] = []
        seen: dict[bytes, bool] = {}
        for tx in request.txs:
            envelope = self.admit(tx).envelope
            if envelope is None or len(tx) > left or len(cancels) + len(others) >= BLOCK_TXS_MAX - 1:
                continue
            try:
                _check_in_block(draft, envelope, request.time_ms, windows)
            except RejectedError:
                continue
            left -= len(tx)
            goes_first = machine.is_cancel(envelope) and envelope.signer not in seen
            (cancels if goes_first else others).append(tx)
            if not goes_first:
                seen[envelope.signer] = True
        txs = (first, *cancels, *others)
        self._prepared = (draft[CLOCK][0].height + 1, request.time_ms, txs)
        return txs

    def is_proper(self, draft: Draft, request: BlockRequest) -> bool:
        """Return whether a block is one that `prepare` could have returned for some mempool and commit."""
        clock = draft[CLOCK][0]
        if request.height != clock.height + 1 or request.time_ms <= clock.time_ms:
            return False
        if not 0 < len(request.txs) <= BLOCK_TXS_MAX or not self._is_commit_proper(draft, request):
            return False
        if (request.height, request.time_ms, request.txs) == self._prepared:
            return True
        windows: Windows = {}
        envelopes: list[Envelope] = []
        for tx in request.txs[1:]:
            envelope = self.admit(tx).envelope
            if envelope is None:
                return False
            try:
                _check_in_block(draft, envelope, request.time_ms, windows)
            except RejectedError:
                return False
            envelopes.append(envelope)
        return machine.is_ordered(envelopes)

    def _read_commit(self, commit: ExtendedCommit | None) -> OracleCommit:
        """Keep the votes of a commit whose extension decodes; the engine has verified their signatures."""
        if commit is None:
            return OracleCommit(0, ())
        votes = []
        for vote in commit.votes:
            if not vote.committed or not vote.extension:
                continue
            try:
                decode_report(vote.extension)
            except Malformed:
                continue
            votes.append(OracleVote(vote.validator_index, vote.extension, vote.extension_signature))
        return OracleCommit(commit.round, tuple(votes))

    def _is_commit_proper(self, draft: Draft, request: BlockRequest) -> bool:
        """Check the oracle commit against this state's own validators: every signature, and more than 2/3 of power."""
        try:
            commit = decode_oracle_commit(request.txs[0])
        except Malformed:
            return False
        if request.height == 1:
            return not commit.votes
        items: list[tuple[bytes, bytes, bytes]] = []
        previous, power = -1, 0
        for vote in commit.votes:
            validator = draft[VALIDATORS].get(vote.validator_index)
            if validator is None or vote.validator_index <= previous:
                return False
            previous, power = vote.validator_index, power + validator.power
            signed = codec.encode((request.height - 1, commit.round, vote.extension))
            items.append((validator.public_key, self._extension_domain + signed, vote.signature))
        # A commit always holds that many, and each of them carries a report: a proposer may not leave reports out.
        return has_quorum(power, sum(get_powers(draft))) and all(crypto.verify_many(items))


def _check_in_block(draft: Draft, envelope: Envelope, now_ms: int, windows: Windows) -> None:
    """Check a command as the block's next; `windows` are the nonces that the block has used so far."""
    machine.authorize(draft, envelope, now_ms)
    key = (envelope.account_id, envelope.signer)
    before = windows.get(key) or get_nonce_window(draft, *key)
    windows[key] = compute_nonce_window(before, envelope.nonce)
