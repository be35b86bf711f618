"""What margin's kernels refuse: each array in turn given wrongly, by name."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast import _kernels

PATHS: Final = _kernels.list_paths()

every_path = pytest.mark.parametrize("path", PATHS)
Arguments = dict[str, Any]


def list_sums() -> Arguments:
    """Return what `sum_rows` takes for two accounts of two positions each."""
    return {
        "starts": np.array([0, 2, 4]),
        "places": np.array([0, 1, 2, 0], dtype=np.int32),
        "lots": np.array([1, -2, 3, 4]),
        "rows": np.ones((3, 32), dtype=np.int64),
        "out": np.zeros((2, 32), dtype=np.int64),
    }


def list_worst() -> Arguments:
    """Return the same for `worst_rows`."""
    return list_sums() | {"out": np.zeros(2, dtype=np.int64)}


def list_fills() -> Arguments:
    """Return what `add_fills` takes for two fills."""
    return {
        "sums": np.zeros((4, 32), dtype=np.int64),
        "accounts": np.array([3, 0]),
        "places": np.array([1, 2], dtype=np.int32),
        "lots": np.array([5, -5]),
        "rows": np.ones((3, 32), dtype=np.int64),
        "out": np.zeros(2, dtype=np.int64),
    }


def list_figures() -> Arguments:
    """Return what `margin_accounts` takes for the accounts of `list_sums`."""
    return list_sums() | {
        "values": np.ones(3, dtype=np.int64),
        "universes": np.array([0, 1, 2]),
        "is_future": np.array([0, 0, 1]),
        "groups": np.array([0, 0, -1]),
        "joint": np.array([[0, 0, 0]]),
        "opposed": np.array([[1, 2, 3]]),
        "cross_weight_ppm": 500_000,
        "extra_of": np.array([-1, 0]),
        "extras": np.zeros((1, 3, 32), dtype=np.int64),
        "order_of": np.array([0, -1]),
        "orders": np.zeros((1, 3, 32), dtype=np.int64),
        "out": np.zeros((12, 2), dtype=np.int64),
    }


def list_stress() -> Arguments:
    """Return what `margin_account_stress` takes."""
    return {
        "places": np.array([0, 2], dtype=np.int32),
        "lots": np.array([1, 2]),
        "rows": np.ones((3, 32), dtype=np.int64),
        "universes": np.array([0, 1, 2]),
        "out": np.zeros((3, 32), dtype=np.int64),
    }


def list_orders() -> Arguments:
    """Return what `sum_orders` takes."""
    return {
        "places": np.array([0, 2], dtype=np.int32),
        "edges": np.array([5, -5]),
        "lots": np.array([1, -2]),
        "cells": np.array([0, 3]),
        "rows": np.ones((3, 32), dtype=np.int64),
        "out": np.zeros((4, 32), dtype=np.int64),
    }


def freeze(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the array as one that may not be written to."""
    array.flags.writeable = False
    return array


def places(*numbers: int) -> NDArray[np.int32]:
    """Return places as the kernels take them."""
    return np.array(numbers, dtype=np.int32)


CASES: Final[list[tuple[Callable[..., None], Callable[[], Arguments], str, Any, str]]] = [
    (_kernels.sum_rows, list_sums, "starts", np.array([0, 2, 3]), "starts: ascend"),
    (_kernels.sum_rows, list_sums, "starts", np.array([1, 2, 4]), "starts: ascend"),
    (_kernels.sum_rows, list_sums, "starts", np.array([0, 5, 4]), "starts: ascend"),
    (_kernels.sum_rows, list_sums, "starts", np.array([0, -1, 4]), "starts: ascend"),
    (_kernels.sum_rows, list_sums, "starts", np.zeros(0, dtype=np.int64), "starts: ascend"),
    (_kernels.sum_rows, list_sums, "starts", np.array([0, 2, 4], dtype=np.int32), "starts: takes a C-contiguous"),
    (_kernels.sum_rows, list_sums, "places", places(0, 1, 3, 0), "places: each"),
    (_kernels.sum_rows, list_sums, "places", places(0, -1, 2, 0), "places: each"),
    (_kernels.sum_rows, list_sums, "places", np.array([0, 1, 2, 0]), "places: takes a C-contiguous array of int32"),
    (_kernels.sum_rows, list_sums, "lots", np.array([1, 2, 3]), r"lots: takes the shape \[4\]"),
    (_kernels.sum_rows, list_sums, "lots", np.arange(8)[::2], "lots: takes a C-contiguous"),
    (_kernels.sum_rows, list_sums, "lots", np.ones(4), "lots: takes a C-contiguous array of int64"),
    (_kernels.sum_rows, list_sums, "lots", [1, -2, 3, 4], "lots: takes a C-contiguous"),
    (_kernels.sum_rows, list_sums, "rows", np.ones((3, 31), dtype=np.int64), r"rows: takes the shape \[any, 32\]"),
    (_kernels.sum_rows, list_sums, "rows", np.ones(96, dtype=np.int64), "rows: takes the shape"),
    (_kernels.sum_rows, list_sums, "out", np.zeros((3, 32), dtype=np.int64), r"out: takes the shape \[2, 32\]"),
    (_kernels.sum_rows, list_sums, "out", freeze(np.zeros((2, 32), dtype=np.int64)), "out: .* writable"),
    (_kernels.sum_rows, list_sums, "threads", 0, "threads: is 1 or 2"),
    (_kernels.sum_rows, list_sums, "threads", 3, "threads: is 1 or 2"),
    (_kernels.sum_rows, list_sums, "path", "sse9", "path: this machine has no sse9"),
    (_kernels.worst_rows, list_worst, "starts", np.array([0, 4, 3]), "starts: ascend"),
    (_kernels.worst_rows, list_worst, "places", places(9, 1, 2, 0), "places: each"),
    (_kernels.worst_rows, list_worst, "out", np.zeros(3, dtype=np.int64), r"out: takes the shape \[2\]"),
    (_kernels.add_fills, list_fills, "sums", np.zeros((4, 31), dtype=np.int64), "sums: takes the shape"),
    (_kernels.add_fills, list_fills, "accounts", np.array([3, 4]), "accounts: each"),
    (_kernels.add_fills, list_fills, "accounts", np.array([3, -1]), "accounts: each"),
    (_kernels.add_fills, list_fills, "places", places(1, 3), "places: each"),
    (_kernels.add_fills, list_fills, "lots", np.array([5]), "lots: takes the shape"),
    (_kernels.add_fills, list_fills, "out", np.zeros(1, dtype=np.int64), "out: takes the shape"),
    (_kernels.margin_accounts, list_figures, "starts", np.array([0, 9, 4]), "starts: ascend"),
    (_kernels.margin_accounts, list_figures, "places", places(0, 1, 2, 3), "places: each"),
    (_kernels.margin_accounts, list_figures, "values", np.ones(2, dtype=np.int64), "values: takes the shape"),
    (_kernels.margin_accounts, list_figures, "universes", np.array([0, 1, 3]), "universes: each"),
    (_kernels.margin_accounts, list_figures, "universes", np.array([0, -1, 2]), "universes: each"),
    (_kernels.margin_accounts, list_figures, "is_future", np.array([0, 0, 2]), "is_future: each"),
    (_kernels.margin_accounts, list_figures, "groups", np.array([0, 3, -1]), "groups: an option's"),
    (_kernels.margin_accounts, list_figures, "groups", np.array([0, -1, -1]), "groups: an option's"),
    (_kernels.margin_accounts, list_figures, "joint", np.array([[0, 0, 32]]), "joint: takes one"),
    (_kernels.margin_accounts, list_figures, "joint", np.array([[0, -1, 0]]), "joint: takes one"),
    (_kernels.margin_accounts, list_figures, "joint", np.zeros((0, 3), dtype=np.int64), "joint: takes one"),
    (_kernels.margin_accounts, list_figures, "opposed", np.array([[0, 0, 32]]), "opposed: takes one"),
    (_kernels.margin_accounts, list_figures, "opposed", np.zeros((1, 2), dtype=np.int64), "opposed: takes the shape"),
    (_kernels.margin_accounts, list_figures, "cross_weight_ppm", 1_000_001, "cross_weight_ppm: is from 0"),
    (_kernels.margin_accounts, list_figures, "cross_weight_ppm", -1, "cross_weight_ppm: is from 0"),
    (_kernels.margin_accounts, list_figures, "extra_of", np.array([-1, 1]), "extra_of: each"),
    (_kernels.margin_accounts, list_figures, "extra_of", np.array([-2, 0]), "extra_of: each"),
    (_kernels.margin_accounts, list_figures, "extra_of", np.array([0]), "extra_of: takes the shape"),
    (_kernels.margin_accounts, list_figures, "order_of", np.array([1, 0]), "order_of: each"),
    (_kernels.margin_accounts, list_figures, "orders", np.zeros((1, 96), dtype=np.int64), "orders: takes the shape"),
    (_kernels.margin_accounts, list_figures, "out", np.zeros((2, 12), dtype=np.int64), "out: takes the shape"),
    (_kernels.margin_account_stress, list_stress, "places", places(0, 3), "places: each"),
    (_kernels.margin_account_stress, list_stress, "universes", np.array([3, 1, 2]), "universes: each"),
    (_kernels.margin_account_stress, list_stress, "out", np.zeros((2, 32), dtype=np.int64), "out: takes the shape"),
    (_kernels.sum_orders, list_orders, "places", places(0, 3), "places: each"),
    (_kernels.sum_orders, list_orders, "places", places(0, -1), "places: each"),
    (_kernels.sum_orders, list_orders, "edges", np.array([5]), r"edges: takes the shape \[2\]"),
    (_kernels.sum_orders, list_orders, "lots", np.array([5]), r"lots: takes the shape \[2\]"),
    (_kernels.sum_orders, list_orders, "cells", np.array([0, 4]), "cells: each"),
    (_kernels.sum_orders, list_orders, "cells", np.array([-1, 0]), "cells: each"),
    (_kernels.sum_orders, list_orders, "cells", np.array([0]), r"cells: takes the shape \[2\]"),
    (_kernels.sum_orders, list_orders, "rows", np.ones(96, dtype=np.int64), "rows: takes the shape"),
    (_kernels.sum_orders, list_orders, "out", np.zeros(128, dtype=np.int64), "out: takes the shape"),
]


@every_path
@pytest.mark.parametrize(("kernel", "arguments", "name", "wrong", "refusal"), CASES)
def test_kernels__one_argument_wrong__are_refused_by_its_name(
    kernel: Callable[..., None],
    arguments: Callable[[], Arguments],
    name: str,
    wrong: Any,  # noqa: ANN401 - wrong types are among the cases
    refusal: str,
    path: str,
) -> None:
    with pytest.raises(ValueError, match=f"^{refusal}"):
        kernel(**({"path": path} | arguments() | {name: wrong}))


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (_kernels.sum_rows, list_sums),
        (_kernels.worst_rows, list_worst),
        (_kernels.add_fills, list_fills),
        (_kernels.margin_accounts, list_figures),
        (_kernels.margin_account_stress, list_stress),
        (_kernels.sum_orders, list_orders),
    ],
)
def test_kernels__the_arguments_that_the_cases_change__are_accepted(
    kernel: Callable[..., None], arguments: Callable[[], Arguments]
) -> None:
    kernel(**arguments())


def test_add_fills__a_wrong_place_after_a_right_one__changes_no_sum() -> None:
    arguments = list_fills() | {"places": places(1, 3)}
    with pytest.raises(ValueError, match="places"):
        _kernels.add_fills(**arguments)
    assert not arguments["sums"].any()


def test_sum_rows__output_that_overlaps_the_rows__is_refused() -> None:
    memory = np.zeros((4, 32), dtype=np.int64)
    arguments = list_sums() | {"rows": memory[:3], "out": memory[2:]}
    with pytest.raises(ValueError, match=r"^out: overlaps another array"):
        _kernels.sum_rows(**arguments)


@pytest.mark.parametrize("wrong", [3, -1, 2**31 - 1, -(2**31)])
@every_path
def test_read_rows__a_place_that_is_none__is_refused(wrong: int, path: str) -> None:
    with pytest.raises(ValueError, match=r"^order: each"):
        _kernels.read_rows(np.ones((3, 32), dtype=np.int64), places(0, wrong), path=path)


def test_list_paths__any_processor__ends_with_portable() -> None:
    assert PATHS[-1] == "portable"
