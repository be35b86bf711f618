"""Replays of a few blocks: the verdict, the faults, and what a user may get wrong."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from holdfast.lab.fault_specs import FaultSpecError
from holdfast.lab.history import HistoryError
from holdfast.lab.replay import run_replay
from holdfast.lab.replay_oracle import ReportLog
from holdfast.lab.replay_settings import ReplayInputError, ReplaySettings, parse_interval_ms, plan_replay
from holdfast.lab.replay_tally import Tally
from holdfast.lab.verdict import Verdict
from holdfast.primitives.check import ensure
from holdfast.primitives.units import MINUTE_MS
from holdfast.protocol import invariants
from holdfast.protocol.accounts.state import INSURANCE_FUND
from holdfast.protocol.block import BlockContext
from holdfast.protocol.liquidation.messages import DeficitCovered, FundDebtChanged

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash_hour"
ASKED = {
    "blocks", "orders", "orders_accepted", "fills", "rejected", "liquidated_accounts", "auctions", "haircut_atoms",
    "insurance_atoms", "settled_instruments", "validators", "app_hashes_agree", "halted_blocks", "conservation",
    "invariants", "oracle", "undercollateralised_at_end", "seconds", "seed", "root_log_sha256",
}  # fmt: skip


def run(path: Path = EXAMPLE, **asked: object) -> Verdict:
    settings: dict[str, object] = {
        "agents": 24,
        "blocks": 12,
        "is_small": True,
        "seed": 3,
        "snapshot_every": 4,
        **asked,
    }
    return run_replay(ReplaySettings(path=path, **settings)).verdict  # type: ignore[arg-type]


def assert_good(verdict: Verdict) -> None:
    assert verdict.failures == ()
    assert verdict.app_hashes_agree
    assert all(money["difference_atoms"] == 0 for money in verdict.conservation.values())
    assert all(counts["broken"] == 0 for counts in verdict.invariants.values())
    assert all(counts["outside_honest_range"] == 0 for counts in verdict.oracle.values())


def write_prices(folder: Path, prices: list[int], pair: str = "BTCUSD", venue: str = "alder") -> None:
    rows = "".join(f"{1_760_054_400 + 60 * i},{price}\n" for i, price in enumerate(prices))
    (folder / f"{venue}_{pair}_1m.csv").write_text("unix_s,close\n" + rows)


@pytest.fixture(scope="module")
def plain() -> Verdict:
    return run()


def test_replay__short_run__holds_and_trades(plain: Verdict) -> None:
    assert_good(plain)
    assert plain.blocks == 12
    assert plain.halted_blocks == 0
    assert plain.orders >= plain.orders_accepted > 0
    assert plain.fills > 0
    assert [validator["height"] for validator in plain.validators] == [12] * 4
    assert len({validator["app_hash"] for validator in plain.validators}) == 1


def test_replay__verdict__has_every_field_that_is_asked_for(plain: Verdict) -> None:
    assert {field.name for field in fields(Verdict)} >= ASKED
    assert {"deposited_atoms", "withdrawn_atoms", "held_atoms", "difference_atoms"} == set(plain.conservation["USDC"])
    assert {"updates", "outliers_rejected", "status_changes", "lies_included", "outside_honest_range"} == set(
        plain.oracle["BTC"]
    )
    for counts in plain.invariants.values():
        assert counts["checked"] == 12
    assert plain.conservation["USDC"]["deposited_atoms"] > 0
    assert plain.agents["maker"]["usdc_atoms"] > 0
    assert plain.fees["taker_ppm"] >= plain.fees["maker_ppm"]
    assert plain.insurance_first_atoms > 0


def test_replay__same_arguments__give_the_same_roots_and_another_seed_others(plain: Verdict) -> None:
    assert run().root_log_sha256 == plain.root_log_sha256
    assert run(seed=4).root_log_sha256 != plain.root_log_sha256


def test_replay__readers_and_a_restored_replica__change_nothing(plain: Verdict) -> None:
    disturbed = run(readers=2, restore_at=5)
    assert disturbed.root_log_sha256 == plain.root_log_sha256
    assert disturbed.restored_from_snapshot_at == 8
    assert disturbed.reads > 0


@pytest.mark.parametrize("size", [1, 2, 7])
def test_replay__other_sizes__hold(size: int) -> None:
    verdict = run(validators=size, blocks=6)
    assert_good(verdict)
    assert [validator["height"] for validator in verdict.validators] == [6] * size


def test_replay__flat_price__liquidates_nobody(tmp_path: Path) -> None:
    for venue in ("alder", "birch", "cedar"):
        write_prices(tmp_path, [110_000] * 40, venue=venue)
        write_prices(tmp_path, [4_000] * 40, "ETHUSD", venue=venue)
    verdict = run(tmp_path, blocks=38, agents=60)
    assert_good(verdict)
    assert verdict.fills > 50
    assert verdict.liquidated_accounts == 0
    assert verdict.undercollateralised_at_end == 0


def test_replay__one_asset_in_one_file__is_enough(tmp_path: Path) -> None:
    write_prices(tmp_path, [110_000 + i for i in range(20)])
    verdict = run(tmp_path / "alder_BTCUSD_1m.csv", blocks=10)
    assert_good(verdict)
    assert verdict.oracle["BTC"]["updates"] >= 7
    assert verdict.oracle["ETH"]["updates"] == 0
    assert verdict.taken_at_par == ["USDC", "USDT"]


@pytest.mark.parametrize(
    "fault",
    [
        "crash:validator=1,from=3,to=7",
        "wipe:validator=2,from=4,to=6",
        "partition:validator=0,from=3,to=8",
        "delay:validator=3,ms=400,from=2,to=9",
        "equivocate:validator=1,from=2,to=9",
        "venue-silent:venue=alder,from=2,to=9",
    ],
)
def test_replay__one_fault__holds_and_goes_on(fault: str) -> None:
    verdict = run(faults=(fault,))
    assert_good(verdict)
    assert verdict.blocks == 12
    assert sum(verdict.faults_fired.values()) == 1
    assert min(int(validator["height"]) for validator in verdict.validators) >= 11


@pytest.mark.parametrize(
    "fault", ["oracle-lies:validator=2,factor=10,from=2", "venue-lies:venue=alder,factor=10,from=2"]
)
def test_replay__lies__are_included_and_move_nothing(fault: str) -> None:
    verdict = run(faults=(fault,))
    assert_good(verdict)
    assert verdict.oracle["BTC"]["lies_included"] >= 8
    assert verdict.liquidated_accounts == 0


def test_replay__two_of_four_down__halts_and_resumes() -> None:
    verdict = run(faults=("crash:validator=0,from=4,to=8", "crash:validator=1,from=4,to=8"))
    assert_good(verdict)
    assert 3 <= verdict.halted_blocks <= 5
    assert verdict.blocks == 12 - verdict.halted_blocks
    assert len({validator["app_hash"] for validator in verdict.validators}) == 1


def test_tally__two_hashes_at_one_height__is_a_disagreement(plain: Verdict) -> None:
    tally = Tally(ReportLog())
    tally.app_hashes.append(bytes(32))
    applied = type("Applied", (), {"checked": ()})()
    assert not tally.note_commit(1, 1, bytes(32), (), applied)
    assert tally.disagreements == []
    assert not tally.note_commit(2, 1, b"\x01" * 32, (), applied)
    assert tally.disagreements == [(2, 1)]
    expected = hashlib.sha256((1).to_bytes(8, "big") + bytes(32)).digest()
    assert tally.root_log == expected


def test_tally__of_the_funds_debt__counts_as_used_what_the_fund_pays_and_not_what_it_owes() -> None:
    tally = Tally(ReportLog())
    covered, owed = DeficitCovered(1_000, 20, 3), FundDebtChanged(1_000, 7, 7)
    tally.note_genesis((covered, owed, FundDebtChanged(INSURANCE_FUND, -5, 2)))
    assert (tally.insurance_used_atoms, tally.deficit_atoms, tally.deficits) == (25, 23, 1)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("app_hashes_agree", False, "validators disagree"),
        ("invariants", {"CASH_CONSERVED": {"checked": 9, "broken": 1}}, "CASH_CONSERVED was broken 1 times"),
        ("conservation", {"BTC": {"difference_atoms": -1}}, "BTC is not conserved: -1 atoms differ"),
        (
            "validators",
            [{"name": "validator-2", "height": 7, "app_hash": "", "status": "halted: why"}],
            "validator-2 halted: why (height 7)",
        ),
    ],
)
def test_verdict__broken_promise__is_named(plain: Verdict, field: str, value: object, named: str) -> None:
    verdict = replace(plain, **{field: value})  # type: ignore[arg-type]
    assert not verdict.is_good
    assert named in "; ".join(verdict.failures)


def test_replay__broken_invariant__halts_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_draft: object, block: BlockContext) -> None:
        ensure(block.height < 5, "nothing is wrong")

    monkeypatch.setattr(invariants, "SUMS", (*invariants.SUMS, ("CASH_CONSERVED", breaks)))
    verdict = run()
    assert not verdict.is_good
    assert verdict.blocks == 4
    assert verdict.invariants["CASH_CONSERVED"]["broken"] >= 1
    assert "BROKEN" in verdict.to_words()


BAD_SETTINGS = [
    ({"validators": 0}, "--validators 0: give a number from 1 to 16"),
    ({"agents": 3}, "--agents 3: give a number from 10 to 5000"),
    ({"seed": -1}, "--seed -1: give a number from 0"),
    ({"blocks": 0}, "--blocks 0: give a number from 1"),
    ({"start": "25:99"}, "--from 25:99: not a UTC time"),
    ({"start": "yesterday"}, "--from yesterday: not a UTC time"),
    ({"start": "2024-01-01"}, "--from 2024-01-01: outside the range"),
    ({"start": "08:30", "end": "2026-03-27T08:00"}, "--to 2026-03-27T08:00: outside the range"),
    ({"validators": 1, "restore_at": 3}, "--restore-at needs a second validator"),
]


@pytest.mark.parametrize(("asked", "message"), BAD_SETTINGS)
def test_plan__bad_settings__are_refused_in_one_line(asked: dict[str, object], message: str) -> None:
    with pytest.raises(ReplayInputError) as refusal:
        plan_replay(ReplaySettings(path=EXAMPLE, **asked))  # type: ignore[arg-type]
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_plan__bad_path_or_fault__is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(HistoryError):
        plan_replay(ReplaySettings(path=tmp_path / "nowhere"))
    with pytest.raises(FaultSpecError, match="Kinds: crash"):
        plan_replay(ReplaySettings(path=EXAMPLE, faults=("meteor:validator=1",)))


def test_plan__times_and_heights__mean_data_time() -> None:
    whole = plan_replay(ReplaySettings(path=EXAMPLE))
    part = plan_replay(ReplaySettings(path=EXAMPLE, start="5", end="15"))
    assert part.start_ms == whole.start_ms + 5 * MINUTE_MS
    assert part.blocks == 15
    assert plan_replay(ReplaySettings(path=EXAMPLE, blocks=4)).blocks == 4
    assert plan_replay(ReplaySettings(path=EXAMPLE, interval_ms=5 * MINUTE_MS)).blocks == -(-whole.blocks // 5)


@pytest.mark.parametrize(("text", "interval_ms"), [("60s", 60_000), ("5m", 300_000), ("1000ms", 1_000), ("60", 60_000)])
def test_parse_interval__good__is_milliseconds(text: str, interval_ms: int) -> None:
    assert parse_interval_ms(text) == interval_ms


@pytest.mark.parametrize("text", ["", "0s", "999ms", "2h", "soon", "-5s", "1.5m", "\u0661s"])
def test_parse_interval__bad__is_refused(text: str) -> None:
    with pytest.raises(ReplayInputError, match="--block-interval"):
        parse_interval_ms(text)
