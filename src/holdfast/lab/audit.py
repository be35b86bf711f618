"""An audit: a chain's blocks executed again from genesis, by the product and by the reference, and compared all along.

For every block: its certificate and header; what each engine makes of its transactions; both engines' state roots with
each other, with the header of the next block, and with what the log recorded. Where two states differ, the first row
that does is named. `lab.reference` says what the two engines share.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from holdfast.lab.audit_source import AuditInputError, ChainLog, ClaimError, FaultyBlockError, Judged
from holdfast.lab.reference import NotCoveredError, ReferenceExchange
from holdfast.lab.reference.pricing import PricingError
from holdfast.node.admission import Cache
from holdfast.primitives import pricing
from holdfast.primitives.check import BrokenInvariantError, ensure
from holdfast.protocol import genesis, machine
from holdfast.protocol.schema import TABLES
from holdfast.state.store import State

T = TypeVar("T")
Results = list[tuple[int, bytes]]

_TABLES: Final = {table.tag: table for table in TABLES if table.tag is not None}


class Difference(NamedTuple):
    """The first thing that does not agree, and between whom."""

    height: int
    what: str  # block, row, result, app hash, results hash, invariant, price, not covered
    between: tuple[str, str]
    values: tuple[str, str]
    table: str = ""
    key: str = ""
    since: int = 0  # the last height that was compared and equal

    def to_words(self) -> str:
        """Return one line."""
        where = f"{self.table} {self.key}" if self.table else self.what
        window = f" (equal at {self.since})" if self.since and self.since < self.height - 1 else ""
        (one, other), (first, second) = self.between, self.values
        if not other:
            return f"height {self.height}: {self.what}: {first}"
        return f"height {self.height}{window}: {where}: {one} has {first}, {other} has {second}"


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """An audit as it is asked for. Heights are inclusive; without bounds the whole log is audited."""

    directory: Path
    validator: int | None = None
    with_product: bool = True
    with_reference: bool = True
    first: int = 1  # where the reference begins; the product always begins at genesis
    last: int | None = None
    every: int = 1  # compare states at every so many heights
    reference_blocks: int | None = None  # only so many blocks at the beginning and at the end go through the reference


@dataclass(kw_only=True)
class AuditReport:
    """What an audit came to."""

    chain_id: str
    genesis_hash: str
    validator: int
    last: int = 0
    transactions: int = 0
    reference_blocks: int = 0
    states_compared: int = 0
    app_hash: str = ""
    product_seconds: float = 0.0
    reference_seconds: float = 0.0
    seconds: float = 0.0
    note: str = ""
    difference: Difference | None = None

    @property
    def is_same(self) -> bool:
        """Return whether everything agreed."""
        return self.difference is None


class AuditProgress(NamedTuple):
    """How far an audit is."""

    height: int
    last: int
    reference_blocks: int


OnProgress = Callable[[AuditProgress], None]


class DifferenceFoundError(Exception):
    """Ends an audit at the first difference."""

    def __init__(self, difference: Difference) -> None:
        """Keep it."""
        super().__init__(difference.to_words())
        self.difference = difference


class Product:
    """The product's machine, fed with blocks as a replica feeds it."""

    def __init__(self, genesis_bytes: bytes) -> None:
        """Build the genesis state."""
        self.state = State(TABLES)
        draft = self.state.draft()
        genesis.build(draft, genesis_bytes)
        self.state.commit(self.state.seal(draft))
        self._admission = Cache(self.state.draft())

    def apply(self, judged: Judged) -> Results:
        """Apply a block and commit it."""
        request = judged.request
        if not self._admission.is_proper(self.state.draft(), request):
            raise FaultyBlockError("an honest proposer could not have made it: its transactions or their order")
        misbehavior = tuple((item.validator_index, item.height) for item in request.misbehavior)
        block = machine.Block(request.height, request.time_ms, request.proposer_index, request.txs, misbehavior)
        applied = machine.apply_block(self.state, block, self._admission.admit_many, rebuilds=False)
        self.state.commit(applied.sealed)
        return [(int(receipt.code), machine.encode_receipt(receipt)) for receipt in applied.receipts]


def verify_chain(settings: AuditSettings, on_progress: OnProgress | None = None) -> AuditReport:
    """Audit a data directory's chain.

    Refuses: AuditInputError, for a directory that cannot be audited.
    """
    return _Audit(settings).run(on_progress or (lambda _: None))


class _Audit:
    """One audit in progress."""

    def __init__(self, settings: AuditSettings) -> None:
        if not settings.with_product and not settings.with_reference:
            raise AuditInputError("an audit needs an engine: leave out --no-product or --no-reference")
        if not settings.with_product and (settings.first > 1 or settings.reference_blocks is not None):
            raise AuditInputError("the reference alone begins at genesis: leave out --from and --reference-blocks")
        if settings.every < 1 or (settings.reference_blocks is not None and settings.reference_blocks < 1):
            raise AuditInputError("--every and --reference-blocks are at least 1")
        self.log = ChainLog(settings.directory, settings.validator)
        self.last = self.log.last if settings.last is None else settings.last
        if not 1 <= settings.first <= self.last <= self.log.last:
            raise AuditInputError(f"--from {settings.first} --to {self.last}: this log has blocks 1 to {self.log.last}")
        self.settings = settings
        self.report = AuditReport(
            chain_id=self.log.about.chain_id,
            genesis_hash=self.log.about.genesis_hash,
            validator=self.log.validator,
            note=self.log.note,
        )
        self.since = 0
        pricing.ensure_kernel()
        self.product = Product(self.log.genesis) if settings.with_product else None
        self.reference: ReferenceExchange | None = None

    def run(self, on_progress: OnProgress) -> AuditReport:
        started, report = time.monotonic(), self.report
        try:
            self._begin()
            for height in range(1, self.last + 1):
                self._step(height)
                on_progress(AuditProgress(height, self.last, report.reference_blocks))
        except DifferenceFoundError as found:
            report.difference = found.difference
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def _begin(self) -> None:
        """Compare the genesis states."""
        if self._is_referenced(1):
            self.reference = self._guard(0, lambda: ReferenceExchange(self.log.genesis))
            self._compare_states(0)
        self.log.begin(self._root())

    def _step(self, height: int) -> None:
        report = self.report
        try:
            judged = self.log.read()
        except FaultyBlockError as fault:
            raise self._found(height, "block", ("the chain", ""), (str(fault), "")) from None
        except ClaimError as claim:
            values = (claim.ours.hex(), claim.theirs.hex())
            raise self._found(height - 1, claim.what, (self._name(), "the next header"), values) from None
        ours: Results | None = None
        theirs: Results | None = None
        if not self._is_referenced(height):
            self.reference = None
        elif self.reference is None:
            self.reference = self._resume(height)
        if self.product is not None:
            product, began = self.product, time.monotonic()
            ours = self._guard(height, lambda: product.apply(judged))
            report.product_seconds += time.monotonic() - began
        if self.reference is not None:
            reference, began = self.reference, time.monotonic()
            request = judged.request
            misbehavior = [(item.validator_index, item.height) for item in request.misbehavior]
            results = self._guard(
                height, lambda: reference.apply(request.height, request.time_ms, request.txs, misbehavior)
            )
            theirs = [(int(result.code), result.data) for result in results]
            report.reference_seconds += time.monotonic() - began
            report.reference_blocks += 1
        if self.reference is not None and self._is_compared(height):
            began = time.monotonic()
            self._compare_states(height)
            report.reference_seconds += time.monotonic() - began
        # After the states, where a difference has a name.
        if ours is not None and theirs is not None:
            self._compare_results(height, ("the product", "the reference"), ours, theirs)
        self._compare_with_chain(height, judged, ours if ours is not None else theirs or [])
        report.last = height
        report.transactions += len(judged.request.txs) - 1

    def _compare_with_chain(self, height: int, judged: Judged, results: Results) -> None:
        """Compare what was computed with what the log recorded; the next header is compared when it is read."""
        recorded = judged.recorded
        is_hashed = self.product is not None or recorded is None or self._is_compared(height)
        root = self._root() if recorded is None or is_hashed else recorded.app_hash
        self.log.advance(root, results)
        if recorded is not None:
            if recorded.app_hash != root:
                values = (root.hex(), recorded.app_hash.hex())
                raise self._found(height, "app hash", (self._name(), "the log"), values)
            logged = [(result.code, result.data) for result in recorded.results]
            self._compare_results(height, (self._name(), "the log"), results, logged)
        self.report.app_hash = root.hex()

    def _name(self) -> str:
        return "the product" if self.product is not None else "the reference"

    def _compare_results(self, height: int, between: tuple[str, str], ours: Results, theirs: Results) -> None:
        for number, (one, other) in enumerate(zip_longest(ours, theirs)):
            if one != other:
                values = (_show_result(one), _show_result(other))
                raise self._found(height, "result", between, values, table="transaction", key=str(number))

    def _compare_states(self, height: int) -> None:
        """Compare the engines' states by their roots; where these differ, find the first row that does."""
        if self.product is None or self.reference is None:
            return
        self.report.states_compared += 1
        rows = self.reference.rows()
        if self.reference.root() == self.product.state.root:
            self.since = height
            return
        ours = dict(self.product.state.export())
        for key in sorted({**ours, **rows}):
            if ours.get(key) != rows.get(key):
                table = _TABLES[key[0]]
                values = (_show_row(key, ours.get(key)), _show_row(key, rows.get(key)))
                between = ("the product", "the reference")
                raise self._found(height, "row", between, values, table=table.name, key=str(table.decode_key(key)))
        values = (self.product.state.root.hex(), self.reference.root().hex())
        raise self._found(height, "root of equal rows", ("the product", "the reference"), values)

    def _root(self) -> bytes:
        if self.product is not None:
            return self.product.state.root
        return self.reference.root() if self.reference is not None else b""

    def _resume(self, height: int) -> ReferenceExchange:
        """Begin the reference in the middle, at the product's state, which the chain's own root vouches for."""
        ensure(self.product is not None, "what begins in the middle begins at the product's state")
        rows = self.product.state.export()  # type: ignore[union-attr]
        return self._guard(height - 1, lambda: ReferenceExchange.resume(rows))

    def _is_referenced(self, height: int) -> bool:
        settings = self.settings
        if not settings.with_reference or height < settings.first:
            return False
        number = settings.reference_blocks
        return number is None or height < settings.first + number or height > self.last - number

    def _is_compared(self, height: int) -> bool:
        return height % self.settings.every == 0 or height == self.last or not self._is_referenced(height + 1)

    def _guard(self, height: int, run: Callable[[], T]) -> T:
        """Run an engine; what it cannot do is a difference."""
        try:
            return run()
        except FaultyBlockError as fault:
            raise self._found(height, "block", ("the product", ""), (str(fault), "")) from None
        except BrokenInvariantError as broken:
            raise self._found(height, "a promise is broken", ("an engine", ""), (str(broken), "")) from None
        except PricingError as error:
            raise self._found(height, "price", ("the reference", ""), (str(error), "")) from None
        except NotCoveredError as error:
            raise self._found(height, "reference", ("the reference", ""), (str(error), "")) from None

    def _found(
        self,
        height: int,
        what: str,
        between: tuple[str, str],
        values: tuple[str, str],
        *,
        table: str = "",
        key: str = "",
    ) -> DifferenceFoundError:
        return DifferenceFoundError(Difference(height, what, between, values, table, key, self.since))


def _show_row(key: bytes, value: bytes | None) -> str:
    return "no row" if value is None else repr(_TABLES[key[0]].decode_value(value))


def _show_result(result: tuple[int, bytes] | None) -> str:
    return "no result" if result is None else f"code {result[0]} with events {result[1].hex()}"
