"""A market whose every block also runs through the reference engine, and a plugin that does so to other tests.

    python -m pytest -p tests.support.twin --twin tests/protocol

runs tests with the reference beside every application that begins at genesis; a block after which the two differ fails
the test that made it. Tests that plant rows or parameters in the product's state are left out by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from holdfast.lab.reference import ReferenceExchange, Result
from holdfast.node.application import BlockRequest, CommitResponse, FinalizeResponse, InfoResponse
from holdfast.node.exchange import ExchangeApplication
from holdfast.protocol.instruments.params import InstrumentParams
from holdfast.protocol.machine import Receipt
from holdfast.protocol.schema import TABLES
from tests.support.exchange import USD, Market

FEW = InstrumentParams(dailies=1, weeklies=2, monthlies=0, quarterlies=0, strikes_each_side=1)

_TABLES = {table.tag: table for table in TABLES if table.tag is not None}


class RowDifference(NamedTuple):
    """The first row that two states do not share."""

    table: str
    key: object
    product: object
    reference: object


def first_difference(product: Mapping[bytes, bytes], reference: Mapping[bytes, bytes]) -> RowDifference | None:
    for key in sorted({**product, **reference}):
        if product.get(key) != reference.get(key):
            table = _TABLES[key[0]]
            values = [table.decode_value(rows[key]) if key in rows else None for rows in (product, reference)]
            return RowDifference(table.name, table.decode_key(key), *values)
    return None


class TwinMarket(Market):
    """A market with few instruments whose blocks run through both engines."""

    def __init__(
        self,
        accounts: int = 4,
        *,
        cash: int = 1_000_000 * USD,
        deposits: Mapping[int, Sequence[tuple[int, int]]] | None = None,
        genesis: Mapping[str, object] | None = None,
        interval_ms: int = 60_000,
        blocks: int = 2,
    ) -> None:
        fields = {"instrument_params": FEW, **(genesis or {})}
        super().__init__(accounts, cash=cash, deposits=deposits, genesis=fields, interval_ms=interval_ms, blocks=0)
        self.reference = ReferenceExchange(self.solo.genesis)
        self.results: list[Result] = []
        self._requests: list[BlockRequest] = []
        app = self.solo.app
        finalize = app.finalize_block

        def remember(request: BlockRequest) -> FinalizeResponse:
            self._requests.append(request)
            return finalize(request)

        app.finalize_block = remember  # type: ignore[method-assign]
        self.run(blocks)

    def block(self, *txs: bytes, time_ms: int | None = None) -> tuple[Receipt, ...]:
        receipts = super().block(*txs, time_ms=time_ms)
        request = self._requests[-1]
        self.results = apply_to(self.reference, request)
        return receipts

    def lenient_block(self, *txs: bytes) -> None:
        """Make a block of what is admissible among transactions, through both engines."""
        self.solo.block(*txs)
        self.results = apply_to(self.reference, self._requests[-1])

    def difference(self) -> RowDifference | None:
        return first_difference(dict(self.solo.app.state.export()), self.reference.rows())

    def assert_same(self) -> None:
        applied = self.solo.app.last_applied
        assert applied is not None
        assert self.difference() is None
        assert self.reference.root() == self.root
        theirs = [(int(receipt.code), receipt.events) for receipt in applied.receipts]
        assert [(int(result.code), result.events) for result in self.results] == theirs


def apply_to(reference: ReferenceExchange, request: BlockRequest) -> list[Result]:
    misbehavior = [(item.validator_index, item.height) for item in request.misbehavior]
    return reference.apply(request.height, request.time_ms, request.txs, misbehavior)


# They change the product's own rows or parameters, of which no block tells the reference.
PLANTING = (
    "test_expiry__more_orders_than_a_blocks_budget__empties_every_book_and_settles",
    "test_expiry__more_positions_than_a_blocks_budget__settles_each_instrument_whole",
    "test_cost__beyond_what_a_position_holds__is_never_booked_and_the_store_reopens",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--twin", action="store_true", help="run the reference engine beside every exchange")


@pytest.fixture(autouse=True)
def _twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever has a twin of its own plants slips in the product.
    is_planting = request.node.name.partition("[")[0] in PLANTING or "lab/reference" in request.node.nodeid
    if not request.config.getoption("--twin", default=False) or is_planting:
        return
    init_chain, commit = ExchangeApplication.init_chain, ExchangeApplication.commit
    twins: dict[int, tuple[Any, ReferenceExchange]] = {}

    def begin(app: ExchangeApplication, genesis: bytes) -> InfoResponse:
        answer = init_chain(app, genesis)
        twins[id(app)] = (app, ReferenceExchange(genesis))
        return answer

    def follow(app: ExchangeApplication) -> CommitResponse:
        finalized = app._finalized
        answer = commit(app)
        if finalized is not None and id(app) in twins:
            reference = twins[id(app)][1]
            block, applied = finalized
            results = [(int(result.code), result.events) for result in apply_to(reference, block)]
            assert results == [(int(receipt.code), receipt.events) for receipt in applied.receipts]
            assert first_difference(dict(app.state.export()), reference.rows()) is None
            assert reference.root() == app.state.root
        return answer

    monkeypatch.setattr(ExchangeApplication, "init_chain", begin)
    monkeypatch.setattr(ExchangeApplication, "commit", follow)
