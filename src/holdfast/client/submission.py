"""Submissions that are never lost: signed here, journalled before they leave, and followed to their end.

A nonce is used up by inclusion in a block, so the same bytes take effect at most once: to send them again is always
safe. Every submission ends as committed, as rejected for good, or as pending with the hash that resolves it.
"""

import asyncio
import time
from typing import Final, NamedTuple

import msgspec

from holdfast.client.commands import sign_command
from holdfast.client.errors import (
    ClientError,
    ExchangeError,
    InputError,
    Rejected,
    Stalled,
    Unreachable,
    WrongChainError,
)
from holdfast.client.journal import Entry, Journal
from holdfast.client.nonces import IN_FLIGHT_MAX, NonceLine
from holdfast.client.results import Nonce, Status, TxResult
from holdfast.client.signing import SigningKey
from holdfast.client.transport import Transport
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.crypto import sha256
from holdfast.primitives.reject import Code
from holdfast.protocol.messages import TX_DECODER, Command, command_domain
from holdfast.protocol.trading.messages import CancelOrder

COMMITTED: Final = "committed"
REJECTED: Final = "rejected"
PENDING: Final = "pending"
UNKNOWN: Final = "unknown"

_ENDS: Final = (COMMITTED, REJECTED)

_WAIT_SECONDS: Final = 10.0
# How long a doubt is waited out before something is done about it, and how often that is looked at.
_LOOK_SECONDS: Final = 1.0
_RECOVERED_AT_ONCE: Final = 16
# How much longer than the node's own wait an answer may take.
_GRACE_SECONDS: Final = 3.0
_PAUSE_FIRST_SECONDS: Final = 0.05
_PAUSE_MAX_SECONDS: Final = 1.0
_SURE_SECONDS: Final = 1.0
_SIGNINGS_MAX: Final = 8

# These bytes can never be in a block, whatever becomes of the state.
_FINAL_FORM: Final = frozenset({Code.BAD_ENCODING, Code.TX_TOO_LARGE, Code.BAD_SIGNATURE})
# The nonce is gone, and these bytes are not what used it.
_FINAL_NONCE: Final = frozenset({Code.NONCE_USED, Code.NONCE_TOO_OLD})
_NONCE: Final = _FINAL_NONCE | {Code.NONCE_TOO_FAR}
# Errors of the API which say that the node did not take these bytes: a bad request, or too many of them.
_NOT_TAKEN: Final = frozenset({-32700, -32600, -32601, -32602, 10028})
# There was no room for these bytes now.
_LATER: Final = frozenset({Code.MEMPOOL_FULL})


class Trust(NamedTuple):
    """The chain that a client signs for."""

    chain_id: str
    genesis_hash: bytes


class Identity(NamedTuple):
    """Who acts, and for which account."""

    key: SigningKey
    account_id: int


class Submitter:
    """Signs commands for one chain, sends them through one node and finds out what became of them."""

    def __init__(self, transport: Transport, trust: Trust | None, journal: Journal | None) -> None:
        """Start; without a given trust, the first node asked is believed, and nothing else from then on."""
        self._transport = transport
        self._trust = trust
        self._is_verified = False
        self._journal = journal
        self._lines: dict[tuple[int, bytes], NonceLine] = {}
        self._lock = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._unwritten: list[Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def trust(self, *, is_fresh: bool = False) -> Trust:
        """Return the chain that is signed for, once the node has named it too. Refuses: WrongChainError."""
        if self._trust is None or not self._is_verified or is_fresh:
            answer = await self._transport.call("public/status", {}, Status)
            self._trust = self.check(answer.result)
            self._is_verified = True
        return self._trust

    def check(self, status: Status) -> Trust:
        """Return what a status names, if that is what is trusted. Refuses: WrongChainError."""
        try:
            named = Trust(status.chain_id, bytes.fromhex(status.genesis_hash))
        except ValueError:
            raise WrongChainError(f"{self._transport.url} names no genesis hash; use a node of this version") from None
        if self._trust is not None and named != self._trust:
            raise WrongChainError(
                f"{self._transport.url} is chain {show_trust(named)}, trusted is {show_trust(self._trust)}; "
                "name the right node with --url"
            )
        return named

    async def sign(self, identity: Identity, command: Command, nonce: int) -> tuple[bytes, str]:
        """Return a command's bytes and the hash that names them. Refuses: WrongChainError, InputError."""
        trust = await self.trust()
        domain = command_domain(trust.chain_id, trust.genesis_hash)
        try:
            tx = sign_command(identity.key, domain, identity.account_id, nonce, command)
        except BrokenInvariantError:
            name = type(command).__name__
            raise InputError(f"a number of this {name} has more than 64 bits; give a smaller one") from None
        return tx, hash_tx(tx)

    async def submit(self, identity: Identity, command: Command, timeout_s: float) -> TxResult:
        """Sign and send a command and follow it to its end, or until the time is over: then it is pending.

        Refuses: Unreachable, Stalled before anything was sent; WrongChainError, JournalError.
        """
        deadline = time.monotonic() + timeout_s
        line = await self._line(identity)
        result = TxResult(state=REJECTED)
        for _ in range(_SIGNINGS_MAX):
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    nonce = await line.take()
            except TimeoutError:
                raise Stalled(f"{IN_FLIGHT_MAX} commands of this key wait for a block; this one was not sent") from None
            try:
                tx, tx_hash = await self.sign(identity, command, nonce)
                await self._begin(identity, nonce, tx, tx_hash)
                result = await self.follow(tx, tx_hash, deadline)
            finally:
                await line.give_back(nonce)
            # Another program uses this key too and was faster: these bytes are dead, so the command may be signed anew.
            if result.state != REJECTED or result.code not in _NONCE or time.monotonic() >= deadline:
                break
            await line.advance(await self._ask_nonce(identity))
        return result

    async def follow(self, tx: bytes, tx_hash: str, deadline: float) -> TxResult:
        """Send bytes until their end is known or the deadline has come; safe however often they were sent before."""
        pause = _PAUSE_FIRST_SECONDS
        result = TxResult(state=PENDING, tx_hash=tx_hash, message="nothing has been heard of it yet", retryable=True)
        may_be_known, gone_since = False, 0.0
        while (left := deadline - time.monotonic()) > 0:
            wait = min(left, _WAIT_SECONDS)
            params = {"tx": tx.hex(), "wait": COMMITTED, "timeout_ms": max(1, int(wait * 1000))}
            try:
                answer = await self._transport.call("public/submit", params, TxResult, timeout_s=wait + _GRACE_SECONDS)
            except (Unreachable, Stalled) as error:
                may_be_known = True
                result = _pending(tx_hash, error)
            except ExchangeError as error:
                result = _pending(tx_hash, error)
                may_be_known = may_be_known or error.code not in _NOT_TAKEN
                if not error.retryable and not may_be_known:
                    break
            else:
                result = answer.result
                # Where these bytes themselves may have used the nonce, a node that knows of the nonce but not yet of
                # their block is given time to learn it.
                is_gone = may_be_known and result.state == REJECTED and result.code in _FINAL_NONCE
                gone_since = gone_since or (time.monotonic() if is_gone else 0.0)
                is_sure = not is_gone or time.monotonic() - gone_since > _SURE_SECONDS
                if is_sure and _is_end(result, may_be_known=may_be_known):
                    self._end(tx_hash, result.state, result.height, result.code)
                    return result
                may_be_known = may_be_known or result.state == PENDING
                result = _pending(tx_hash, result)
            await asyncio.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(2 * pause, _PAUSE_MAX_SECONDS)
        if not may_be_known and result.code:
            self._end(tx_hash, REJECTED, 0, result.code)
            return msgspec.structs.replace(result, state=REJECTED)
        return result

    async def resolve(self, tx_hash: str) -> TxResult:
        """Ask what became of a submission; `pending` or `unknown` where no block holds it yet.

        Refuses: Unreachable, Stalled.
        """
        answer = await self._transport.call("public/get_tx", {"tx_hash": tx_hash}, TxResult)
        result = answer.result
        if result.state in (COMMITTED, REJECTED):
            self._end(tx_hash, result.state, result.height, result.code)
        return result

    async def abandon(self, identity: Identity, nonce: int, tx_hash: str, timeout_s: float) -> TxResult:
        """Give a pending submission's nonce to a command that does nothing, then return which of the two came first.

        Why: what nobody has heard of by now might still be in a queue somewhere; this ends the doubt either way.
        """
        tx, blank_hash = await self.sign(identity, CancelOrder(0), nonce)
        deadline = time.monotonic() + timeout_s
        while True:
            blank = await self.follow(tx, blank_hash, min(deadline, time.monotonic() + _LOOK_SECONDS))
            result = await self.resolve(tx_hash)
            # A nonce that is gone otherwise, used or fallen out of the window, ends the doubt as well.
            is_gone = blank.state == COMMITTED or (blank.state == REJECTED and blank.code in _FINAL_NONCE)
            if result.state in _ENDS or (not is_gone and time.monotonic() >= deadline):
                return result
            if is_gone:
                break
            await asyncio.sleep(_PAUSE_FIRST_SECONDS)
        self._end(tx_hash, REJECTED, 0, Code.NONCE_USED)
        name, message = Code.NONCE_USED.name, "it was abandoned before it reached a block"
        return TxResult(state=REJECTED, tx_hash=tx_hash, code=Code.NONCE_USED, code_name=name, message=message)

    async def recover(self, key: SigningKey | None, timeout_s: float) -> list[TxResult]:
        """Resolve what earlier runs left open; with its key, what no block holds is abandoned. Refuses: Unreachable."""
        if self._journal is None:
            return []
        trust = await self.trust()
        room = asyncio.Semaphore(_RECOVERED_AT_ONCE)

        async def one(entry: Entry) -> TxResult:
            async with room:
                result = await self.resolve(entry.tx_hash)
                if result.state in _ENDS or key is None or key.public_key.hex() != entry.signer:
                    return result
                # What the node has passed on is likely to be in one of the next blocks.
                began = time.monotonic()
                while result.state == PENDING and time.monotonic() - began < _LOOK_SECONDS:
                    await asyncio.sleep(_PAUSE_FIRST_SECONDS)
                    result = await self.resolve(entry.tx_hash)
                if result.state in _ENDS:
                    return result
                return await self.abandon(Identity(key, entry.account_id), entry.nonce, entry.tx_hash, timeout_s)

        return list(await asyncio.gather(*(one(entry) for entry in self._journal.list_open(trust.genesis_hash.hex()))))

    async def _line(self, identity: Identity) -> NonceLine:
        name = (identity.account_id, identity.key.public_key)
        async with self._lock:
            if name not in self._lines:
                following = await self._ask_nonce(identity)
                if self._journal is not None:
                    genesis = (await self.trust()).genesis_hash.hex()
                    # What an earlier run left open may yet use its nonce.
                    kept = self._journal.get_highest_nonce(genesis, identity.account_id, identity.key.public_key.hex())
                    following = max(following, kept + 1)
                self._lines[name] = NonceLine(following)
            return self._lines[name]

    async def _ask_nonce(self, identity: Identity) -> int:
        params = {"account_id": identity.account_id, "signer": identity.key.public_key.hex()}
        return (await self._transport.call("public/get_nonce", params, Nonce)).result.next_nonce

    async def _begin(self, identity: Identity, nonce: int, tx: bytes, tx_hash: str) -> None:
        if self._journal is None:
            return
        trust = await self.trust()
        entry = Entry(
            tx_hash=tx_hash,
            tx=tx.hex(),
            account_id=identity.account_id,
            signer=identity.key.public_key.hex(),
            nonce=nonce,
            chain_id=trust.chain_id,
            genesis_hash=trust.genesis_hash.hex(),
            time_ms=time.time_ns() // 1_000_000,
        )
        if self._writer is None or not self._unwritten:
            self._writer = asyncio.create_task(self._write())
        self._unwritten.append(entry)
        await asyncio.shield(self._writer)

    async def _write(self) -> None:
        """Write what is about to leave with one sync; who comes while that is under way goes with the next."""
        async with self._writing:
            batch, self._unwritten = self._unwritten, []
            if self._journal is not None:
                await asyncio.to_thread(self._journal.begin, *batch)

    def _end(self, tx_hash: str, state: str, height: int, code: int) -> None:
        if self._journal is not None:
            self._journal.end(tx_hash, state, height, code)


def _is_end(result: TxResult, *, may_be_known: bool) -> bool:
    """Tell whether an answer can never be followed by another.

    A refusal before any block is one node's opinion of now; it ends bytes that no node has taken before, or that no
    block can hold any more.
    """
    if result.state == COMMITTED:
        return True
    is_final = result.code in _FINAL_FORM or result.code in _FINAL_NONCE
    return result.state == REJECTED and (is_final or not (may_be_known or result.code in _LATER))


def show_trust(trust: Trust) -> str:
    """Return a chain's name and the beginning of its genesis hash."""
    return f"{trust.chain_id} (genesis {trust.genesis_hash.hex()[:16]})"


def hash_tx(tx: bytes) -> str:
    """Return what names a transaction: the hash of its payload, in hex."""
    return sha256(TX_DECODER.decode(tx).payload).hex()


def check_result(result: TxResult) -> TxResult:
    """Return a result that took effect or is pending. Refuses: Rejected."""
    if result.state == REJECTED or (result.state == COMMITTED and result.code):
        raise Rejected(result.code, result.code_name, result.message, tx_hash=result.tx_hash, height=result.height)
    return result


def parse_hash(text: str, what: str = "tx hash") -> str:
    """Return 32 bytes of hex in lower case. Refuses: InputError."""
    try:
        if len(bytes.fromhex(text)) == 32:  # noqa: PLR2004 -- a SHA-256
            return text.lower()
    except ValueError:
        pass
    raise InputError(f"{what} {text!r} is not 64 hexadecimal digits; copy it whole")


def _pending(tx_hash: str, why: TxResult | ClientError) -> TxResult:
    code, name, message = 0, type(why).__name__.upper(), str(why)
    if isinstance(why, TxResult):
        code, name, message = why.code, why.code_name, why.message
    elif isinstance(why, ExchangeError):
        code, name, message = why.code, why.name, why.message
    return TxResult(state=PENDING, tx_hash=tx_hash, code=code, code_name=name, message=message, retryable=True)
