"""One exchange without consensus: blocks go straight to the application, by ABCI's methods.

For tests, the bench and anyone who wants to try a rule: the prices of each block are given, all validators report them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.client.commands import sign_command
from holdfast.client.signing import SigningKey
from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node.application import (
    BlockRequest,
    CommitVote,
    ExtendedCommit,
    ExtendedVote,
    FinalizeResponse,
    PrepareRequest,
)
from holdfast.node.exchange import SNAPSHOT_EVERY, ExchangeApplication
from holdfast.primitives import codec
from holdfast.primitives.check import ensure
from holdfast.primitives.crypto import sha256
from holdfast.primitives.units import E8, YEAR_MS
from holdfast.protocol.genesis import Genesis, GenesisAccount
from holdfast.protocol.instruments.params import INSTRUMENT_PARAMS, UNDERLYINGS
from holdfast.protocol.instruments.rules import list_expiries
from holdfast.protocol.limits import BLOCK_BYTES_MAX
from holdfast.protocol.messages import MAGIC, Command, Domain, command_domain
from holdfast.protocol.oracle.messages import FeedReport, Report, SliceReport, SurfaceReport, encode_report
from holdfast.protocol.staking.state import Validator
from holdfast.state.draft import Draft

# 2025-10-10 00:00 UTC
START_MS: Final = 1_760_054_400_000
PRICES: Final = {0: E8, 1: 120_000 * E8, 2: 4_400 * E8, 3: E8}
FIRST_ACCOUNT: Final = 1_000
VOLATILITY_PPM: Final = 450_000
CONFIDENCE_DIVISOR: Final = 10_000


def make_key(name: str) -> SigningKey:
    """Return the key of a name; everybody can make it, so it is for play only."""
    return SigningKey(sha256(f"holdfast lab key {name}".encode()))


class Solo:
    """A chain of one application, whose clock and prices the caller moves."""

    def __init__(
        self,
        accounts: int = 4,
        *,
        cash_atoms: int = 1_000_000 * 10**6,
        deposits: Mapping[int, Sequence[tuple[int, int]]] | None = None,
        genesis_changes: Mapping[str, object] | None = None,
        validators: int = 4,
        rebuilds: bool = True,
        interval_ms: int = 60_000,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        """Begin a chain with so many funded accounts; `deposits` says what others than cash an account starts with."""
        self.custodian = make_key("custodian")
        self.keys = [make_key(f"account {index}") for index in range(accounts)]
        self.validator_keys = [make_key(f"validator {index}") for index in range(validators)]
        self.prices = dict(PRICES)
        self.volatility_ppm = VOLATILITY_PPM
        self.interval_ms = interval_ms
        self.time_ms = START_MS
        self._nonces: dict[tuple[int, bytes], int] = {}
        given = deposits or {}
        fields: dict[str, object] = {
            "chain_id": "solo",
            "time_ms": START_MS,
            "validators": tuple(Validator(key.public_key, 10) for key in self.validator_keys),
            "custodian_key": self.custodian.public_key,
            "accounts": tuple(
                GenesisAccount(key.public_key, tuple(given.get(index, ((0, cash_atoms),))))
                for index, key in enumerate(self.keys)
            ),
            "insurance_atoms": 1_000_000 * 10**6,
            "backstop_atoms": 1_000_000 * 10**6,
        }
        fields.update(genesis_changes or {})
        self.genesis = codec.encode(Genesis(**fields))  # type: ignore[arg-type]
        self.disk = SimulatedDisk(derive_random(1, "disk"))
        self.app = ExchangeApplication(self.disk, self.report, snapshot_every=snapshot_every, rebuilds=rebuilds)
        self.app.init_chain(self.genesis)
        genesis_hash = sha256(self.genesis)
        self.domain = command_domain("solo", genesis_hash)
        self._extension_domain = sha256(MAGIC + codec.encode(Domain("extension", 1, "solo", genesis_hash)))
        self._extension = b""

    @property
    def height(self) -> int:
        """Return the last committed height."""
        return self.app.height

    def account_id(self, index: int) -> int:
        """Return the account of a key by its place."""
        return FIRST_ACCOUNT + index

    def draft(self) -> Draft:
        """Return the committed state to read."""
        return self.app.state.draft()

    def report(self, _height: int, draft: Draft) -> bytes:
        """Return the report that every validator gives: this chain's present prices, and flat volatility."""
        feeds = tuple(
            FeedReport(feed, price, max(1, price // CONFIDENCE_DIVISOR), 5, 0)
            for feed, price in sorted(self.prices.items())
        )
        surfaces = tuple(self._surface(draft, underlying) for underlying in UNDERLYINGS if underlying in self.prices)
        return encode_report(Report(feeds, surfaces))

    def sign(self, index: int, command: Command, *, account_id: int | None = None, nonce: int | None = None) -> bytes:
        """Return a signed transaction of an account's key, with its next nonce unless one is given."""
        key = self.custodian if index < 0 else self.keys[index]
        account = (1 if index < 0 else self.account_id(index)) if account_id is None else account_id
        if nonce is None:
            nonce = self._nonces.get((account, key.public_key), 0) + 1
            self._nonces[account, key.public_key] = nonce
        return sign_command(key, self.domain, account, nonce, command)

    def block(self, *txs: bytes, time_ms: int | None = None) -> FinalizeResponse:
        """Make a block of transactions at this chain's prices, through all of ABCI's methods, and commit it."""
        response = self.propose(*txs, time_ms=time_ms)
        self.app.commit()
        return response

    def propose(self, *txs: bytes, time_ms: int | None = None, prepare: bool = True) -> FinalizeResponse:
        """Make a block and finalize it without committing."""
        self.time_ms = self.time_ms + self.interval_ms if time_ms is None else time_ms
        request = self.make_request(*txs, prepare=prepare)
        if prepare:
            ensure(self.app.process_proposal(request), "what an honest proposer makes is accepted")
        return self.app.finalize_block(request)

    def make_request(self, *txs: bytes, prepare: bool = True) -> BlockRequest:
        """Return a block of transactions, chosen and ordered by the application or taken as they are."""
        height = self.app.height + 1
        commit = self._extended_commit(height - 1) if height > 1 else None
        prepared = PrepareRequest(height, self.time_ms, 0, BLOCK_BYTES_MAX, txs if prepare else (), commit, ())
        chosen = self.app.prepare_proposal(prepared)
        if not prepare:
            chosen = (*chosen, *txs)
        votes = tuple(CommitVote(index, 10, committed=True) for index in range(len(self.validator_keys)))
        block_hash = sha256(codec.encode((height, self.time_ms, chosen)))
        return BlockRequest(block_hash, height, self.time_ms, 0, chosen, votes if height > 1 else (), ())

    def run(self, blocks: int) -> None:
        """Make empty blocks."""
        for _ in range(blocks):
            self.block()

    def _extended_commit(self, height: int) -> ExtendedCommit:
        extension = self.report(height, self.draft())
        signed = self._extension_domain + codec.encode((height, 0, extension))
        return ExtendedCommit(
            height,
            0,
            tuple(
                ExtendedVote(index, 10, True, extension, key.sign(signed))  # noqa: FBT003
                for index, key in enumerate(self.validator_keys)
            ),
        )

    def _surface(self, draft: Draft, underlying: int) -> SurfaceReport:
        expiries = list_expiries(draft, draft[INSTRUMENT_PARAMS][0], underlying, self.time_ms)
        return SurfaceReport(
            underlying,
            tuple(
                SliceReport(
                    expiry_ms,
                    self.prices[underlying],
                    max(1_000, self.volatility_ppm**2 * (expiry_ms - self.time_ms) // YEAR_MS),
                    -150_000,
                    790_000,
                )
                for expiry_ms in expiries
                if expiry_ms > self.time_ms
            ),
        )
