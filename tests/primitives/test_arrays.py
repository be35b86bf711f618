"""Arithmetic on int64 arrays against Python's integers, where products pass 64 bits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast import _kernels
from holdfast.primitives.arrays import share_floor, times_floor

PPM = 10**6
AMOUNT_MAX = 2**56
values = st.integers(-(2**60), 2**60)
shares = st.integers(-4 * PPM, 4 * PPM)


@given(st.lists(values, min_size=1, max_size=20), shares)
def test_share__of_any_values__is_rounded_down(numbers: list[int], share_ppm: int) -> None:
    found = share_floor(np.array(numbers, dtype=np.int64), share_ppm)
    assert found.tolist() == [number * share_ppm // PPM for number in numbers]


@given(st.lists(st.integers(0, AMOUNT_MAX), max_size=20), st.integers(0, 10**17), st.integers(0, 5))
@example([AMOUNT_MAX, AMOUNT_MAX - 1], 10**10 - 1, 5)
@example([1, 9, 10**9], 10**17, 5)
@example([922_337_203, 922_337_204], 10**10 - 1, 5)
def test_times__of_any_amounts_whose_results_fit__is_rounded_down(amounts: list[int], factor: int, digits: int) -> None:
    divisor = 100**digits
    fitting = [amount for amount in amounts if amount * factor // divisor < 2**63]
    found = times_floor(np.array(fitting, dtype=np.int64), factor, divisor)
    assert found.tolist() == [amount * factor // divisor for amount in fitting]


@given(st.lists(st.tuples(values, values), max_size=8), st.lists(st.tuples(shares, shares), max_size=12))
def test_share_rows__any_values_and_shares__are_what_numpy_computes(
    pairs: list[tuple[int, int]], columns: list[tuple[int, int]]
) -> None:
    amounts = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    rows = np.ascontiguousarray(np.array(columns, dtype=np.int64).reshape(-1, 2).T)
    out = np.full((len(pairs), 2, len(columns)), -1, dtype=np.int64)
    _kernels.share_rows(amounts, rows, out)
    assert np.array_equal(out, share_floor(amounts[:, :, None], rows))
    by_row = rows.tolist()
    exact = [
        [[number * share // PPM for share in row] for number, row in zip(pair, by_row, strict=True)] for pair in pairs
    ]
    assert out.tolist() == exact


def list_arguments() -> dict[str, Any]:
    return {
        "values": np.zeros((2, 3), dtype=np.int64),
        "shares": np.zeros((3, 4), dtype=np.int64),
        "out": np.zeros((2, 3, 4), dtype=np.int64),
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("values", np.zeros((2, 2), dtype=np.int64)),
        ("values", np.zeros((2, 3))),
        ("shares", np.zeros(12, dtype=np.int64)),
        ("out", np.zeros((3, 3, 4), dtype=np.int64)),
        ("out", np.zeros((2, 3, 4), dtype=np.int64)[:, :, ::2]),
    ],
)
def test_share_rows__one_argument_wrong__is_refused_by_its_name(name: str, wrong: object) -> None:
    _kernels.share_rows(**list_arguments())
    with pytest.raises(ValueError, match=f"^{name}: takes"):
        _kernels.share_rows(**(list_arguments() | {name: wrong}))
