"""Audits of a kept chain: the same, tampered with, cut, pruned; the product changed behind it; and the command."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.lab import audit
from holdfast.lab.audit import AuditReport, AuditSettings, verify_chain
from holdfast.lab.audit_source import AuditInputError, ReadOnlyDisk
from holdfast.lab.reference import NotCoveredError, ReferenceExchange
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_settings import ReplayInputError, ReplaySettings
from holdfast.node.blockstore import SEGMENT_BLOCKS, BlockStore, StoredBlock
from holdfast.node.disk import FileDisk
from holdfast.primitives.codec import Record
from holdfast.protocol.margin import rules as margin_rules
from holdfast.protocol.oracle import rules as oracle_rules
from holdfast.protocol.trading import handlers as trading
from holdfast.protocol.trading import rules as trading_rules
from holdfast.state.draft import Draft

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash_hour"
BLOCKS = 16
REAL_FEE = trading_rules.compute_fee_atoms
SEGMENT = "blocks-0000000000000001"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay's chain: four validators' reports, agents' orders and fills."""
    folder = tmp_path_factory.mktemp("audit") / "kept"
    settings = ReplaySettings(path=EXAMPLE, agents=20, blocks=BLOCKS, is_small=True, seed=3, keep=folder)
    assert run_replay(settings).verdict.fills > 0
    return folder


@pytest.fixture
def chain(kept: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(kept, tmp_path / "chain"))


def run(directory: Path, **asked: object) -> AuditReport:
    return verify_chain(AuditSettings(directory=directory, **asked))  # type: ignore[arg-type]


def store_of(chain: Path) -> Path:
    return chain / "validator-0" / "store"


def rewrite(
    chain: Path,
    height: int = 0,
    *,
    block: bytes | None = None,
    app_hash: bytes | None = None,
    segment_blocks: int = SEGMENT_BLOCKS,
) -> None:
    """Write the log anew with one block or one recorded app hash changed, all checks of the file in order."""
    old = BlockStore(ReadOnlyDisk(store_of(chain)))
    records = [(old.load(at), old.tip_at(at), old.outcome(at)) for at in range(1, old.last + 1)]
    (store_of(chain) / SEGMENT).unlink()
    new = BlockStore(FileDisk(store_of(chain)), segment_blocks=segment_blocks)
    for at, (stored, tip, outcome) in enumerate(records, 1):
        assert stored is not None
        assert tip is not None
        assert outcome is not None
        is_meant = at == height
        new.save(
            StoredBlock(block, stored.votes) if is_meant and block is not None else stored,
            tip._replace(app_hash=app_hash) if is_meant and app_hash is not None else tip,
            outcome.results,
            outcome.events,
        )


def spoil(chain: Path, height: int, offset: int) -> None:
    """Change a byte of a height's record, so many bytes behind its beginning."""
    path = store_of(chain) / SEGMENT
    found = BlockStore(ReadOnlyDisk(store_of(chain)))._find(height)
    assert found is not None
    data = bytearray(path.read_bytes())
    data[found[1].offset + offset] ^= 255
    path.write_bytes(bytes(data))


def test_audit__of_a_replays_chain__agrees_in_every_state(kept: Path) -> None:
    seen: list[int] = []
    report = verify_chain(AuditSettings(directory=kept), lambda progress: seen.append(progress.height))
    assert report.is_same, report.difference
    assert (report.last, report.reference_blocks, report.states_compared) == (BLOCKS, BLOCKS, BLOCKS + 1)
    assert report.transactions > 50
    assert seen == list(range(1, BLOCKS + 1))
    log = BlockStore(ReadOnlyDisk(store_of(kept)))
    assert log.tip is not None
    assert report.app_hash == log.tip.app_hash.hex()


def test_audit__changes__nothing_in_the_directory(chain: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in chain.rglob("*") if path.is_file()}
    run(chain, with_reference=False)
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in chain.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("asked", "blocks", "states"),
    [
        ({"with_product": False, "last": 6}, 6, 0),
        ({"with_product": False, "last": 6, "every": 4}, 6, 0),
        ({"with_reference": False}, 0, 0),
        ({"every": 5}, 16, 5),
        ({"reference_blocks": 2}, 4, 5),
        ({"first": 11, "last": 13}, 3, 3),
    ],
)
def test_audit__of_a_part__compares_what_was_asked(
    kept: Path, asked: dict[str, object], blocks: int, states: int
) -> None:
    report = run(kept, **asked)
    assert report.is_same, report.difference
    assert (report.last, report.reference_blocks, report.states_compared) == (asked.get("last", 16), blocks, states)


def lower_fee(*args: object) -> int:
    return max(0, REAL_FEE(*args) - 1)  # type: ignore[arg-type]


def upper(entries: list[tuple[int, int]]) -> int:
    return max(value for value, _ in entries)


def keep_fees(_draft: Draft) -> None:
    """Leave the pot as it is."""


@pytest.mark.parametrize(
    ("target", "name", "planted", "table"),
    [
        (oracle_rules, "compute_median_floor", upper, "feeds"),
        (trading_rules, "compute_fee_atoms", lower_fee, "balances"),
        (margin_rules, "check_initial", lambda *_: None, "orders"),
    ],
)
def test_product__changed_behind_a_chain__is_named_by_height_table_and_key(
    kept: Path, monkeypatch: pytest.MonkeyPatch, target: object, name: str, planted: object, table: str
) -> None:
    monkeypatch.setattr(target, name, planted)
    report = run(kept)
    difference = report.difference
    assert difference is not None
    assert difference.between == ("the product", "the reference")
    assert (difference.what, difference.table) == ("row", table)
    assert difference.key
    assert difference.values[0] != difference.values[1]
    assert f"height {difference.height}: {table} {difference.key}" in difference.to_words()
    alone = run(kept, with_reference=False).difference
    assert alone is not None
    assert (alone.height, alone.what) == (difference.height, "app hash")


def test_promise__broken_by_the_product__is_the_difference(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading, "give_out_fees", keep_fees)
    difference = run(kept).difference
    assert difference is not None
    assert "FUND_NOT_NEGATIVE" in difference.to_words()


def test_rule__not_covered__is_never_the_same(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(*_: object) -> list[Record]:
        raise NotCoveredError("command Vote")

    monkeypatch.setattr(ReferenceExchange, "apply", apply)
    difference = run(kept).difference
    assert difference is not None
    assert "not covered: command Vote" in difference.to_words()


def test_block__with_another_transaction__does_not_follow(chain: Path) -> None:
    log = BlockStore(ReadOnlyDisk(store_of(chain)))
    stored = log.load(9)
    assert stored is not None
    place = len(stored.data) // 2
    rewrite(chain, 9, block=stored.data[:place] + bytes([stored.data[place] ^ 1]) + stored.data[place + 1 :])
    difference = run(chain, with_reference=False).difference
    assert difference is not None
    assert (difference.height, difference.what) == (9, "block")


def test_record__of_another_app_hash__differs_from_what_is_computed(chain: Path) -> None:
    rewrite(chain, 7, app_hash=bytes(32))
    difference = run(chain, with_reference=False).difference
    assert difference is not None
    assert (difference.height, difference.what, difference.between[1]) == (7, "app hash", "the log")


@pytest.mark.parametrize("offset", [40, -40])
def test_directory__damaged_in_the_middle__is_refused_by_name(chain: Path, offset: int) -> None:
    """Of block 9 the block, and of block 8 the outcome before it."""
    spoil(chain, 9, offset)
    with pytest.raises(AuditInputError, match=r"validator-0: the record of block [89] is damaged or missing"):
        run(chain, with_reference=False)


@pytest.mark.parametrize(("height", "words"), [(1, "damaged at byte 0"), (9, "with blocks behind it")])
def test_directory__damaged_in_a_header__is_told_from_a_torn_end(chain: Path, height: int, words: str) -> None:
    spoil(chain, height, 0)
    with pytest.raises(AuditInputError, match=words):
        run(chain)


def test_directory__with_a_torn_end__is_audited_up_to_it(chain: Path) -> None:
    path = store_of(chain) / SEGMENT
    path.write_bytes(path.read_bytes()[:-40])
    report = run(chain, with_reference=False)
    assert report.is_same
    assert report.last == BLOCKS - 1
    assert "cut short" in report.note


def test_directory__that_was_pruned__is_refused(chain: Path) -> None:
    rewrite(chain, segment_blocks=4)
    (store_of(chain) / SEGMENT).unlink()
    with pytest.raises(AuditInputError, match="its log begins at block 5"):
        run(chain)


def test_directory__of_which_one_log_is_damaged__is_audited_by_another_and_says_so(chain: Path) -> None:
    shutil.copytree(chain / "validator-0", chain / "validator-3")
    spoil(chain, 9, 0)
    report = run(chain, with_reference=False)
    assert report.is_same
    assert report.validator == 3
    assert "validator-0" in report.note


def test_directory__of_many_segments__is_read_through_all(chain: Path) -> None:
    rewrite(chain, segment_blocks=4)
    assert run(chain, with_reference=False).is_same
    (store_of(chain) / "blocks-0000000000000009").unlink()
    with pytest.raises(AuditInputError, match="the record of block 9 is damaged or missing"):
        run(chain, with_reference=False)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"validator": 9}, "validators 0 to 3"),
        ({"validator": 2}, "has no store"),
        ({"last": 99}, "blocks 1 to 16"),
        ({"first": 0}, "blocks 1 to 16"),
        ({"every": 0}, "at least 1"),
        ({"with_product": False, "with_reference": False}, "needs an engine"),
        ({"with_product": False, "first": 3}, "begins at genesis"),
    ],
)
def test_request__that_cannot_be_met__is_refused_in_one_line(kept: Path, asked: dict[str, object], words: str) -> None:
    with pytest.raises(AuditInputError, match=words):
        run(kept, **asked)


def test_genesis__of_another_chain__is_refused(chain: Path) -> None:
    data = (chain / "genesis").read_bytes()
    (chain / "genesis").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(AuditInputError, match="damaged or of another chain"):
        run(chain)


def test_reader__asked_to_write__refuses(tmp_path: Path) -> None:
    disk = ReadOnlyDisk(tmp_path)
    with pytest.raises(AuditInputError):
        disk.append("a", b"b")
    with pytest.raises(AuditInputError):
        disk.replace("a", b"b")
    with pytest.raises(AuditInputError):
        disk.delete("a")
    assert (disk.size("a"), disk.read("a"), disk.read_at("a", 0, 1), disk.names()) == (0, b"", b"", [])


def test_replay__keeping_into_a_used_directory__is_refused_before_it_runs(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for folder, words in ((kept, "holds a chain already"), (tmp_path, "not a Holdfast data directory")):
        with pytest.raises(ReplayInputError, match=words):
            run_replay(ReplaySettings(path=EXAMPLE, agents=20, blocks=2, is_small=True, keep=folder))


def test_command__prints_its_verdict__and_leaves_with_its_code(kept: Path, chain: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["verify-chain", str(kept), "--to", "4", "--json"])
    assert good.exit_code == 0
    found = json.loads(good.stdout)
    assert found["verified"] is True
    assert found["reference_blocks"] == 4
    words = runner.invoke(app, ["verify-chain", str(kept), "--no-reference"])
    assert (words.exit_code, "Everything agrees" in words.stdout) == (0, True)
    rewrite(chain, 7, app_hash=bytes(32))
    bad = runner.invoke(app, ["verify-chain", str(chain), "--no-reference", "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["difference"]["height"] == 7
    assert "DIFFERENCE at height 7" in runner.invoke(app, ["verify-chain", str(chain), "--no-reference"]).stdout
    none = runner.invoke(app, ["verify-chain", str(tmp_path / "nowhere")])
    assert (none.exit_code, none.stdout) == (2, "")
    assert "nowhere" in none.stderr
    assert audit.__doc__
