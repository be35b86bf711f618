"""Margin's kernels against sums in Python's integers, on every path that the processor can run."""

from typing import Any, Final

import numpy as np
import pytest

from holdfast import _kernels
from holdfast.protocol.margin.params import JOINT, OPPOSED
from tests.support.margin_books import WEIGHT_PPM, Book, Int64s, Venue, compute_in_python, sum_in_python

PATHS: Final = _kernels.list_paths()
ROW_MAX: Final = 2**36
LOTS_MAX: Final = 2**26
ORDER_LOTS_MAX: Final = 2**24

every_path = pytest.mark.parametrize("path", PATHS)


def make_book(seed: int, sizes: list[int], instruments: int = 40) -> Book:
    """Return a book of accounts with so many positions each, some of them at the bounds of rows and lots."""
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    rows = rng.integers(-ROW_MAX, ROW_MAX, (instruments, 32), endpoint=True)
    rows[rng.random(rows.shape) < 0.1] = ROW_MAX
    rows[rng.random(rows.shape) < 0.1] = -ROW_MAX
    counts = np.array(sizes, dtype=np.int64)
    each = np.repeat(LOTS_MAX // np.maximum(1, counts), counts)
    lots = np.where(rng.random(count) < 0.3, each, rng.integers(-each, each, endpoint=True))
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return Book(starts, rng.integers(0, instruments, count, dtype=np.int32), lots, rows)


SIZES: Final = [3, 0, 20, 1, 0, 57, 2, 0]
BOOKS: Final = [
    pytest.param(make_book(1, SIZES), id="mixed"),
    pytest.param(make_book(2, [1]), id="one position"),
    pytest.param(make_book(3, [0]), id="one empty account"),
    pytest.param(make_book(4, []), id="no account"),
    pytest.param(make_book(5, [0, 0], instruments=0), id="no instrument"),
    pytest.param(make_book(6, [20] * 64), id="many accounts"),
]


@every_path
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("book", BOOKS)
def test_sum_rows__any_book__equals_python(book: Book, threads: int, path: str) -> None:
    out = np.full((len(book.starts) - 1, 32), -1, dtype=np.int64)
    _kernels.sum_rows(book.starts, book.places, book.lots, book.rows, out, threads=threads, path=path)
    assert out.tolist() == sum_in_python(book)


@every_path
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("book", BOOKS)
def test_worst_rows__any_book__equals_python(book: Book, threads: int, path: str) -> None:
    out = np.full(len(book.starts) - 1, -1, dtype=np.int64)
    _kernels.worst_rows(book.starts, book.places, book.lots, book.rows, out, threads=threads, path=path)
    assert out.tolist() == [min(sums) for sums in sum_in_python(book)]


@every_path
@pytest.mark.parametrize("sign", [1, -1])
def test_worst_rows__rows_and_lots_at_their_bounds__are_exact(sign: int, path: str) -> None:
    rows = np.full((1, 32), -ROW_MAX, dtype=np.int64)
    rows[0, 17] = ROW_MAX
    starts, places = np.array([0, 1]), np.zeros(1, dtype=np.int32)
    out = np.zeros(1, dtype=np.int64)
    _kernels.worst_rows(starts, places, np.array([sign * LOTS_MAX]), rows, out, path=path)
    assert out.tolist() == [-(2**62)]


@every_path
def test_sum_rows__numbers_beyond_the_bounds__wrap_at_64_bits(path: str) -> None:
    rng = np.random.default_rng(7)
    rows = rng.integers(-(2**63), 2**63 - 1, (5, 32), endpoint=True)
    lots = rng.integers(-(2**63), 2**63 - 1, 5, endpoint=True)
    book = Book(np.array([0, 5]), np.arange(5, dtype=np.int32), lots, rows)
    out = np.zeros((1, 32), dtype=np.int64)
    _kernels.sum_rows(*book, out, path=path)
    assert out.tolist() == sum_in_python(book)


INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
EXTREME_LOTS: Final = [
    pytest.param([1, -1, 7], id="small"),
    pytest.param([INT32_MIN, INT32_MAX], id="at the edge of 32 bits"),
    pytest.param([INT32_MIN - 1, 5], id="one below 32 bits"),
    pytest.param([INT32_MAX + 1, 5], id="one above 32 bits"),
    pytest.param([-(2**63), 2**63 - 1], id="at the edge of 64 bits"),
]
BEYOND: Final = [
    pytest.param(None, id="all fit 32 bits"),
    pytest.param(INT32_MAX + 1, id="one is above 32 bits"),
    pytest.param(INT32_MIN - 1, id="one is below 32 bits"),
]


def make_busy_book(rows: Int64s, extremes: list[int]) -> Book:
    """Return so many reads of each row that a kernel may copy the table first; every third account has extreme lots."""
    rng = np.random.default_rng(17)
    positions = 100 * len(rows)
    lots = rng.integers(-50, 50, positions)
    for account in range(0, positions // 10, 3):
        lots[account * 10 : account * 10 + len(extremes)] = extremes
    starts = np.arange(0, positions + 1, 10)
    return Book(starts, rng.integers(0, len(rows), positions, dtype=np.int32), lots, rows)


@every_path
@pytest.mark.parametrize("lots", EXTREME_LOTS)
@pytest.mark.parametrize("beyond", BEYOND)
@pytest.mark.parametrize("skip", [0, 1, 5])
def test_sums__table_at_the_edge_of_32_bits__equal_python(
    skip: int, beyond: int | None, lots: list[int], path: str
) -> None:
    memory = np.zeros(3 * 32 + skip, dtype=np.int64)  # a row begins anywhere within a line of the cache
    rows = memory[skip:].reshape(3, 32)
    rows[:] = np.random.default_rng(18).integers(INT32_MIN, INT32_MAX, (3, 32), endpoint=True)
    rows[:, [0, 31]] = [INT32_MIN, INT32_MAX]
    if beyond is not None:
        rows[1, 16] = beyond
    book = make_busy_book(rows, lots)
    sums, worst = np.zeros((len(book.starts) - 1, 32), dtype=np.int64), np.zeros(len(book.starts) - 1, dtype=np.int64)
    _kernels.sum_rows(*book, sums, path=path)
    _kernels.worst_rows(*book, worst, threads=2, path=path)
    expected = sum_in_python(book)
    assert sums.tolist() == expected
    assert worst.tolist() == [min(each) for each in expected]


@every_path
def test_add_fills__one_after_the_other__keep_the_sums_of_a_full_pass(path: str) -> None:
    book = make_book(8, SIZES)
    accounts = np.repeat(np.arange(len(SIZES)), SIZES)
    order = np.random.default_rng(9).permutation(len(accounts))
    sums = np.zeros((len(SIZES), 32), dtype=np.int64)
    out = np.zeros(len(accounts), dtype=np.int64)
    _kernels.add_fills(sums, accounts[order], book.places[order], book.lots[order], book.rows, out, path=path)
    full = sum_in_python(book)
    assert sums.tolist() == full
    last = {int(account): worst for account, worst in zip(accounts[order], out.tolist(), strict=True)}
    assert last == {account: min(full[account]) for account, size in enumerate(SIZES) if size}


@every_path
def test_read_rows__an_order__adds_up_all_their_numbers(path: str) -> None:
    book = make_book(10, [50])
    exact = sum(sum(book.rows[place].tolist()) for place in book.places)
    assert _kernels.read_rows(book.rows, book.places, path=path) == (exact + 2**63) % 2**64 - 2**63


def make_venue(seed: int, book: Book, joint: list[Any], opposed: list[Any]) -> Venue:
    """Return instruments of all kinds, and coins and orders for some of the accounts."""
    rng = np.random.default_rng(seed)
    count, accounts = len(book.rows), len(book.starts) - 1
    is_future = (rng.random(count) < 0.2).astype(np.int64)
    groups = rng.integers(0, max(1, count // 3), count)
    return Venue(
        rng.integers(0, 2**30, count),
        rng.integers(0, 3, count),
        is_future,
        np.where(is_future == 1, -1, groups),
        np.array(joint, dtype=np.int64),
        np.array(opposed, dtype=np.int64),
        rng.integers(-1, 4, accounts),
        rng.integers(-(2**56), 2**56, (4, 3, 32)),
        rng.integers(-1, 5, accounts),
        rng.integers(-(2**56), 0, (5, 3, 32)),
    )


def compute_figures(book: Book, venue: Venue, threads: int = 1, path: str | None = None) -> list[list[int]]:
    """Return every account's figures as the kernel computes them."""
    v = venue
    out = np.full((12, len(book.starts) - 1), -1, dtype=np.int64)
    instruments = (book.rows, v.values, v.universes, v.is_future, v.groups)
    added = (v.extra_of, v.extras, v.order_of, v.orders)
    _kernels.margin_accounts(
        book.starts,
        book.places,
        book.lots,
        *instruments,
        v.joint,
        v.opposed,
        WEIGHT_PPM,
        *added,
        out,
        threads=threads,
        path=path,
    )
    return out.T.tolist()


LISTS: Final = [
    pytest.param(JOINT, OPPOSED, id="the exchange's"),
    pytest.param([(3, 30, 7)], [(31, 0, 15)], id="one scenario each"),
    pytest.param([(r, 4, 9) for r in range(32)], [(r, r, r) for r in range(32)], id="one axis"),
    pytest.param(
        np.random.default_rng(11).integers(0, 32, (90, 3)).tolist(),
        np.random.default_rng(12).integers(0, 32, (33, 3)).tolist(),
        id="any",
    ),
]


@every_path
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("joint", "opposed"), LISTS)
@pytest.mark.parametrize("book", [*BOOKS, pytest.param(make_book(13, [9] * 200, instruments=12), id="few strikes")])
def test_margin_accounts__any_book__equals_python(
    book: Book, joint: list[Any], opposed: list[Any], threads: int, path: str
) -> None:
    venue = make_venue(14, book, joint, opposed)
    expected = [compute_in_python(book, venue, account) for account in range(len(book.starts) - 1)]
    assert compute_figures(book, venue, threads=threads, path=path) == expected


@every_path
def test_margin_account_stress__one_account__equals_python(path: str) -> None:
    book = make_book(15, [30])
    universes = np.random.default_rng(16).integers(0, 3, len(book.rows))
    out = np.full((3, 32), -1, dtype=np.int64)
    _kernels.margin_account_stress(book.places, book.lots, book.rows, universes, out, path=path)
    rows = book.rows.tolist()
    expected = [
        [sum(q * rows[p][s] for p, q in book.list_positions(0) if universes[p] == universe) for s in range(32)]
        for universe in range(3)
    ]
    assert out.tolist() == expected


@every_path
@pytest.mark.parametrize(("orders", "cells"), [(200, 6), (1, 1), (3, 40), (0, 2), (0, 0)])
def test_sum_orders__any_orders__equal_python(orders: int, cells: int, path: str) -> None:
    rng = np.random.default_rng(17)
    rows = make_book(18, []).rows
    each = min(ORDER_LOTS_MAX, LOTS_MAX // max(1, orders))
    edges = rng.integers(-ROW_MAX, ROW_MAX, orders, endpoint=True)
    edges[::5], edges[1::5] = ROW_MAX, -ROW_MAX
    lots = np.where(rng.random(orders) < 0.3, -each, rng.integers(-each, each, orders, endpoint=True))
    columns = rng.integers(0, len(rows), orders, dtype=np.int32), edges, lots, rng.integers(0, max(1, cells), orders)
    out = np.full((cells, 32), -1, dtype=np.int64)
    _kernels.sum_orders(*columns, rows, out, path=path)
    expected = [[0] * 32 for _ in range(cells)]
    for place, edge, signed, cell in zip(*(column.tolist() for column in columns), strict=True):
        losses = (min(0, (change + edge) * signed) for change in rows[place].tolist())
        expected[cell] = [total + loss for total, loss in zip(expected[cell], losses, strict=True)]
    assert out.tolist() == expected
