"""The margin kernel beside its NumPy reference, over sheets of random accounts."""

import numpy as np
import pytest

from holdfast import _kernels
from holdfast.primitives import pricing
from holdfast.protocol.limits import ACCOUNT_LOTS_MAX, ROW_ATOMS_MAX
from holdfast.protocol.margin.rules import sums
from holdfast.protocol.margin.rules.sheets import make_loose_sheet
from holdfast.protocol.margin.rules.sums import (
    Extras,
    Sums,
    sum_account,
    sum_accounts_native,
    sum_accounts_numpy,
)
from holdfast.protocol.margin.state import KernelLines, Sheet
from holdfast.protocol.surface.state import RiskArray
from holdfast.state.columns import empty_columns

INSTRUMENTS = 60


def make_lines(rng: np.random.Generator, largest: int) -> KernelLines:
    is_future = rng.integers(0, 2, INSTRUMENTS)
    return KernelLines(
        rng.integers(-largest, largest, (INSTRUMENTS, 32)),
        rng.integers(0, largest, INSTRUMENTS),
        rng.integers(0, 3, INSTRUMENTS),
        is_future,
        np.where(is_future == 1, -1, rng.integers(0, 12, INSTRUMENTS)),
    )


def make_sheet(rng: np.random.Generator, accounts: int, lots_max: int) -> Sheet:
    counts = rng.integers(0, 30, accounts)
    starts = np.concatenate(([0], np.cumsum(counts)))
    places = [np.sort(rng.choice(INSTRUMENTS, count, replace=False)) for count in counts]
    nothing = np.zeros(accounts, dtype=np.int64)
    return Sheet(
        page=0,
        positions=empty_columns(2),
        cash=empty_columns(1),
        coins=empty_columns(3),
        instrument_ids=nothing,
        exposed_ids=nothing,
        numbers={},
        account_ids=np.arange(accounts),
        starts=starts,
        places=np.concatenate([*places, np.zeros(0, dtype=np.int64)]).astype(np.int32),
        lots=rng.integers(-lots_max, lots_max, int(starts[-1])),
        costs_atoms=nothing,
        future_costs_atoms=nothing,
        cash_atoms=nothing,
        coins_atoms=np.zeros((3, accounts), dtype=np.int64),
    )


def make_extras(rng: np.random.Generator, accounts: int, largest: int) -> Extras:
    vectors = [rng.integers(-largest, largest, (5, 3, 32)) for _ in range(2)]
    owners = [rng.integers(-1, 5, accounts) for _ in range(2)]
    return Extras(owners[0], vectors[0], owners[1], -np.abs(vectors[1]))


def assert_same(left: Sums, right: Sums) -> None:
    for name, one, other in zip(Sums._fields, left, right, strict=True):
        assert np.array_equal(one, other), name


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("largest", "lots_max"), [(1_000, 3), (10**9, 10**4), (ROW_ATOMS_MAX, ACCOUNT_LOTS_MAX // 30)])
def test_native__random_sheets__are_what_numpy_sums(seed: int, largest: int, lots_max: int) -> None:
    rng = np.random.default_rng(seed)
    accounts = int(rng.integers(1, 200))
    sheet, lines = make_sheet(rng, accounts, lots_max), make_lines(rng, largest)
    extras = make_extras(rng, accounts, largest)
    for weight in (0, 333_333, 1_000_000):
        expected = sum_accounts_numpy(sheet, lines, extras, weight)
        for path in _kernels.list_paths():
            assert_same(sum_accounts_native(sheet, lines, extras, weight, path), expected)


@pytest.mark.parametrize("kernel", pricing.list_kernels())
def test_one_account__alone__has_the_sums_of_its_own_rows(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = None if kernel == "numpy" else kernel.removeprefix("native-")
    monkeypatch.setattr(sums, "native_path", lambda: path)
    rng = np.random.default_rng(3)
    sheet, lines = make_sheet(rng, 40, 10**4), make_lines(rng, 10**9)
    for first, end in zip(sheet.starts.tolist(), sheet.starts[1:].tolist(), strict=False):
        expected = np.zeros((3, 32), dtype=np.int64)
        for place, lots in zip(sheet.places[first:end].tolist(), sheet.lots[first:end].tolist(), strict=True):
            expected[lines.universes[place]] += lines.rows[place] * lots
        assert np.array_equal(sum_account(sheet.places[first:end], sheet.lots[first:end], lines), expected)


def test_native__nobody_and_nothing_held__is_nothing() -> None:
    rng = np.random.default_rng(1)
    lines = make_lines(rng, 10**6)
    array = RiskArray(*[None] * len(RiskArray._fields))  # type: ignore[arg-type]
    for accounts in (0, 3):
        sheet = make_loose_sheet(array, np.arange(accounts), np.zeros(accounts, dtype=np.int64))
        none = np.full(accounts, -1)
        extras = Extras(none, np.zeros((0, 3, 32), dtype=np.int64), none, np.zeros((0, 3, 32), dtype=np.int64))
        nothing = sum_accounts_numpy(sheet, lines, extras, 500_000)
        for path in _kernels.list_paths():
            assert_same(sum_accounts_native(sheet, lines, extras, 500_000, path), nothing)
        assert not any(column.any() for column in nothing)
