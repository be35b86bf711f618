"""The contract checker: silent over a right application and engine, and each planted breach caught under its name."""

from collections.abc import Callable

import pytest

from holdfast.lab.disk import SimulatedDisk
from holdfast.lab.world import derive_random
from holdfast.node.application import (
    Application,
    BlockRequest,
    CheckTxResponse,
    CommitResponse,
    CommitVote,
    ExtendedCommit,
    ExtendedVote,
    FinalizeResponse,
    InfoResponse,
    PrepareRequest,
    QueryResponse,
    TxResult,
)
from holdfast.node.contract import CheckedApplication, ContractViolationError, PreparedBlocks, Violation
from tests.support.toy_application import ToyApplication, ToyState

MAX_TX_BYTES = 1_000
SIZE = 4


def checked(inner: ToyApplication, **options: object) -> CheckedApplication:
    made: CheckedApplication = CheckedApplication(
        inner,
        fingerprint=inner.fingerprint,
        drop_caches=inner.drop_caches,
        **options,  # type: ignore[arg-type]
    )
    return made


def toy(kind: type[ToyApplication] = ToyApplication) -> ToyApplication:
    return kind(SimulatedDisk(derive_random(1, "disk")))


class Engine:
    """Drives an application through heights, with every part of a block's path open to a test."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.height = 0
        self.last_commit: ExtendedCommit | None = None
        self.round = 0

    def start(self) -> "Engine":
        if self.app.info().height == 0:
            self.app.init_chain(b"genesis")
        return self

    def prepare(self, *txs: bytes) -> tuple[bytes, ...]:
        return self.app.prepare_proposal(
            PrepareRequest(self.height + 1, self.time_ms, 0, MAX_TX_BYTES, txs, self.last_commit, ())
        )

    @property
    def time_ms(self) -> int:
        return 1_000 * (self.height + 1) + self.round

    def block(self, txs: tuple[bytes, ...]) -> BlockRequest:
        votes = () if self.last_commit is None else self.last_commit.votes
        flags = tuple(CommitVote(vote.validator_index, vote.power, vote.committed) for vote in votes)
        block_hash = b"%d/%d/" % (self.height + 1, self.round) + b"".join(txs)
        return BlockRequest(block_hash.ljust(32)[:32], self.height + 1, self.time_ms, 0, txs, flags, ())

    def vote(self, block: BlockRequest) -> None:
        extension = self.app.extend_vote(block.height, block.hash)
        assert self.app.verify_vote_extension(block.height, 1, extension)
        votes = tuple(ExtendedVote(index, 1, index != 3, extension, b"s") for index in range(SIZE))
        self.last_commit = ExtendedCommit(block.height, self.round, votes)

    def decide(self, block: BlockRequest) -> None:
        self.app.finalize_block(block)
        self.app.commit()
        self.height = block.height
        self.round = 0

    def run_heights(self, count: int) -> None:
        for _ in range(count):
            self.run_height(b"a", b"!fails")

    def run_height(self, *txs: bytes) -> None:
        for tx in txs:
            self.app.check_tx(tx)
        block = self.block(self.prepare(*txs))
        assert self.app.process_proposal(block)
        self.vote(block)
        self.decide(block)
        self.app.query("count", b"a")
        self.app.info()


# The contract kept


@pytest.mark.parametrize("rotate", [None, (0, 1), (1, 4)])
def test_contract__kept_over_many_heights__is_silent(rotate: tuple[int, int] | None) -> None:
    app = checked(toy(), rotate=rotate)
    engine = Engine(app).start()
    for height in range(12):
        engine.run_height(b"a", b"b%d" % height, b"!fails")
    assert app.info().height == 12
    assert app.checked[Violation.SIDE_EFFECT_BEFORE_COMMIT] > 36
    assert app.checked[Violation.FINALIZE_NOT_REPEATABLE] >= 3


def test_contract__rotation__executes_again_only_at_its_heights() -> None:
    inner, plain = toy(), toy()
    rotating, bare = Engine(checked(inner, rotate=(1, 4))).start(), Engine(plain).start()
    for _ in range(8):
        rotating.run_height(b"a")
        bare.run_height(b"a")
    # Two of eight heights judge the proposal twice and finalize twice.
    assert (plain.executed, inner.executed) == (8, 8 + 2 * 2)


def test_contract__several_proposals_and_double_finalize_after_a_crash__is_silent() -> None:
    disk = SimulatedDisk(derive_random(1, "disk"))
    inner = ToyApplication(disk)
    engine = Engine(checked(inner)).start()
    engine.run_height(b"a")
    first = engine.block(engine.prepare(b"x"))
    assert engine.app.process_proposal(first)
    engine.vote(first)
    engine.round = 1
    second = engine.block(engine.prepare(b"y"))
    assert engine.app.process_proposal(second)
    engine.vote(second)
    engine.app.finalize_block(second)
    reborn = ToyApplication(disk)
    engine.app = checked(reborn)
    engine.decide(second)
    assert reborn.info().height == 2
    engine.run_height(b"z")


def test_contract__replay_of_decided_blocks__needs_only_finalize_and_commit() -> None:
    inner = toy()
    source = Engine(inner).start()
    blocks = []
    for height in range(5):
        block = source.block(source.prepare(b"k%d" % height))
        source.decide(block)
        blocks.append(block)
    replayed = toy()
    engine = Engine(checked(replayed)).start()
    for block in blocks:
        engine.decide(block)
    assert replayed.info() == inner.info()


def test_contract__init_chain_again_before_the_first_commit__is_silent() -> None:
    engine = Engine(checked(toy())).start()
    engine.app.init_chain(b"genesis")
    engine.run_height(b"a")


def test_contract__block_that_nobody_prepared__may_be_refused() -> None:
    engine = Engine(checked(toy())).start()
    assert not engine.app.process_proposal(engine.block((b"\x00broken",)))


# Planted breaches of the application


class LeakyPrepare(ToyApplication):
    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        self.state.counts[b"leak"] = 1
        return super().prepare_proposal(request)


class LeakyCheck(ToyApplication):
    def fingerprint(self) -> bytes:
        return super().fingerprint() + b"%d" % self.executed

    def check_tx(self, tx: bytes) -> CheckTxResponse:
        self.executed += 1
        return super().check_tx(tx)

    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        return request.txs


class LeakyQuery(ToyApplication):
    def query(self, path: str, data: bytes) -> QueryResponse:
        self.disk.replace("toy-state", b"0 0 0\n")
        return super().query(path, data)


class EagerFinalize(ToyApplication):
    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        response = super().finalize_block(request)
        self.state = self.execute(request)[0]
        return response


class HiddenEagerFinalize(ToyApplication):
    """Writes to the disk in finalize, which info does not show."""

    def finalize_block(self, request: BlockRequest) -> FinalizeResponse:
        response = super().finalize_block(request)
        self.disk.replace("toy-state", self.execute(request)[0].encode())
        return response


class CountingFinalize(ToyApplication):
    """Its answer depends on how often it was asked."""

    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        return state, response._replace(events=b"%d" % self.executed)


class MoodyProcess(ToyApplication):
    asked = 0

    def process_proposal(self, request: BlockRequest) -> bool:
        self.asked += 1
        return super().process_proposal(request) and self.asked % 2 == 1


class IncoherentPrepare(ToyApplication):
    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        return tuple(reversed(super().prepare_proposal(request)))


class GreedyPrepare(ToyApplication):
    def prepare_proposal(self, request: PrepareRequest) -> tuple[bytes, ...]:
        return (*super().prepare_proposal(request), b"k" * MAX_TX_BYTES)


class MiscountedResults(ToyApplication):
    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        kept: tuple[TxResult, ...] = tuple(result for result in response.tx_results if result.code == 0)
        return state, response._replace(tx_results=kept)


class VainExtension(ToyApplication):
    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        return b"not eight bytes"


class HugeExtension(ToyApplication):
    def extend_vote(self, height: int, block_hash: bytes) -> bytes:
        return bytes(8 * 1024 + 1)


class MoodyVerify(ToyApplication):
    asked = 0

    def verify_vote_extension(self, height: int, validator_index: int, extension: bytes) -> bool:
        self.asked += 1
        return validator_index == self.index or self.asked % 3 == 0


class ForgetfulCommit(ToyApplication):
    def commit(self) -> CommitResponse:
        self.pending = None
        return CommitResponse(0)


class OtherCommit(ToyApplication):
    def commit(self) -> CommitResponse:
        answer = super().commit()
        self.state.counts[b"extra"] = 1
        return answer


class DriftingInfo(ToyApplication):
    def info(self) -> InfoResponse:
        found = super().info()
        return found._replace(height=found.height + 1) if self.pending is not None else found


class ShortHash(ToyApplication):
    def execute(self, request: BlockRequest) -> tuple[ToyState, FinalizeResponse]:
        state, response = super().execute(request)
        return state, response._replace(app_hash=response.app_hash[:20])


APPLICATION_BREACHES: list[tuple[type[ToyApplication], Violation]] = [
    (LeakyPrepare, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (LeakyCheck, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (LeakyQuery, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (EagerFinalize, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (HiddenEagerFinalize, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (DriftingInfo, Violation.SIDE_EFFECT_BEFORE_COMMIT),
    (CountingFinalize, Violation.FINALIZE_NOT_REPEATABLE),
    (MoodyProcess, Violation.PROCESS_NOT_REPEATABLE),
    (IncoherentPrepare, Violation.PREPARED_IS_REFUSED),
    (GreedyPrepare, Violation.PREPARED_TOO_LARGE),
    (MiscountedResults, Violation.RESULTS_MISCOUNTED),
    (VainExtension, Violation.OWN_EXTENSION_REFUSED),
    (HugeExtension, Violation.EXTENSION_TOO_LARGE),
    (MoodyVerify, Violation.VERIFY_NOT_REPEATABLE),
    (ForgetfulCommit, Violation.INFO_NOT_LAST_COMMIT),
    (OtherCommit, Violation.INFO_NOT_LAST_COMMIT),
    (ShortHash, Violation.APP_HASH_MALFORMED),
]


@pytest.mark.parametrize(("kind", "violation"), APPLICATION_BREACHES, ids=lambda value: getattr(value, "__name__", ""))
def test_contract__planted_breach__is_caught_under_its_name(kind: type[ToyApplication], violation: Violation) -> None:
    engine = Engine(checked(toy(kind))).start()
    with pytest.raises(ContractViolationError) as caught:
        engine.run_heights(3)
    assert caught.value.violation is violation
    assert violation.name in str(caught.value)


def test_contract__refusal_of_what_another_replica_prepared__is_caught() -> None:
    shared = PreparedBlocks()
    honest = Engine(checked(toy(), prepared=shared)).start()
    strange = Engine(checked(toy(IncoherentProcess), prepared=shared)).start()
    block = honest.block(honest.prepare(b"a"))
    assert honest.app.process_proposal(block)
    with pytest.raises(ContractViolationError) as caught:
        strange.app.process_proposal(block)
    assert caught.value.violation is Violation.PREPARED_IS_REFUSED


class IncoherentProcess(ToyApplication):
    def process_proposal(self, request: BlockRequest) -> bool:
        return False


# Planted breaches of the engine


def after(*steps: Callable[[Engine], object]) -> Callable[[Engine], None]:
    def act(engine: Engine) -> None:
        for step in steps:
            step(engine)

    return act


def finalize(engine: Engine) -> None:
    engine.app.finalize_block(engine.block((b"",)))


def finalize_other(engine: Engine) -> None:
    engine.round = 1
    finalize(engine)


def skip_height(engine: Engine) -> None:
    engine.height += 1


ENGINE_BREACHES: list[tuple[str, Callable[[Engine], object], Violation]] = [
    ("commit first", lambda e: e.app.commit(), Violation.COMMIT_WITHOUT_FINALIZE),
    ("commit twice", after(lambda e: e.run_height(b"a"), lambda e: e.app.commit()), Violation.COMMIT_WITHOUT_FINALIZE),
    ("height skipped", after(skip_height, finalize), Violation.CALL_OUT_OF_ORDER),
    ("second block", after(finalize, finalize_other), Violation.CALL_OUT_OF_ORDER),
    ("prepare after finalize", after(finalize, lambda e: e.prepare()), Violation.CALL_OUT_OF_ORDER),
    ("extend unseen block", lambda e: e.app.extend_vote(1, b"?" * 32), Violation.CALL_OUT_OF_ORDER),
    ("verify far ahead", lambda e: e.app.verify_vote_extension(3, 0, bytes(8)), Violation.CALL_OUT_OF_ORDER),
    (
        "genesis after a commit",
        after(lambda e: e.run_height(b"a"), lambda e: e.app.init_chain(b"genesis")),
        Violation.CALL_OUT_OF_ORDER,
    ),
    (
        "block decided twice",
        after(lambda e: e.run_height(b"a"), lambda e: e.app.finalize_block(e.block((b"",))._replace(height=1))),
        Violation.CALL_OUT_OF_ORDER,
    ),
]


@pytest.mark.parametrize(("_name", "act", "violation"), ENGINE_BREACHES, ids=[row[0] for row in ENGINE_BREACHES])
def test_contract__engine_out_of_grammar__is_caught(
    _name: str, act: Callable[[Engine], object], violation: Violation
) -> None:
    engine = Engine(checked(toy())).start()
    with pytest.raises(ContractViolationError) as caught:
        act(engine)
    assert caught.value.violation is violation


def test_contract__no_genesis__is_caught() -> None:
    with pytest.raises(ContractViolationError, match="before init_chain"):
        Engine(checked(toy())).prepare(b"a")


def test_contract__every_violation__has_a_planted_breach() -> None:
    planted = {violation for _, violation in APPLICATION_BREACHES} | {violation for *_, violation in ENGINE_BREACHES}
    assert planted == set(Violation)
