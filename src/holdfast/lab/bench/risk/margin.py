"""The rows of margin: every account anew, and one account after a fill, on drawn portfolios of 20 positions."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from holdfast import _kernels
from holdfast.lab.bench.risk import peers
from holdfast.lab.bench.risk.duel import (
    Checked,
    Contender,
    Duel,
    Growth,
    WrongResultError,
    ensure_equal,
    peak_bytes,
    timed,
)
from holdfast.lab.bench.risk.rows import Size
from holdfast.protocol.limits import SCENARIOS

IntArray = NDArray[np.int64]

POSITIONS_EACH: Final = 20
_FILLS: Final = 100_000
_LOTS_MAX: Final = 50
_ROW_ATOMS_MAX: Final = 10**9
_CACHE_LINE_BYTES: Final = 64
_ROW_BYTES: Final = 256
# A NumPy call a fill is so slow that fewer of them tell its time.
_FILLS_IN_PYTHON: Final = 2_000


class Portfolios(NamedTuple):
    """Positions account by account, as the kernels take them, and the instruments' rows."""

    starts: IntArray
    places: NDArray[np.int32]
    lots: IntArray
    rows: IntArray

    @property
    def accounts(self) -> int:
        """Return how many accounts there are."""
        return len(self.starts) - 1

    @property
    def cells(self) -> int:
        """Return how many products of a position and a scenario their margin takes."""
        return len(self.places) * SCENARIOS


def scipy(size: Size) -> Duel[IntArray, IntArray]:
    """Hold every account's worst scenario against a sparse product with a dense array and its row minima."""
    held = draw_portfolios(size)

    def load_peer() -> Contender[IntArray]:
        sparse = peers.load_sparse()
        shape = (held.accounts, len(held.rows))
        matrix = sparse.csr_matrix((held.lots, held.places, held.starts), shape)
        return timed(
            peers.name_of("scipy", "CSR int64 @ dense, min"), lambda: (matrix @ held.rows).min(axis=1), held.cells
        )

    def compare(own: IntArray, peer: IntArray) -> Checked:
        ensure_equal("scipy's worst scenarios", condition=bool(np.array_equal(own, peer)))
        return Checked(
            f"{held.accounts:,} accounts with 20 positions, 32 scenarios; all margins equal scipy's integers"
        )

    return Duel(_margin("worst_rows", held), load_peer, compare)


def reads(size: Size) -> Duel[IntArray, int]:
    """Hold every account's worst scenario against nothing but reads of the same rows in the same order."""
    held = draw_portfolios(size)

    def compare(_: IntArray, total: int) -> Checked:
        counts = np.bincount(held.places, minlength=len(held.rows))
        ensure_equal("the sum of the rows read", condition=total == int((held.rows.sum(axis=1) * counts).sum()))
        table = len(held.rows) * _ROW_BYTES // 1_024
        limit = f"{len(held.places):,} random rows of 256 bytes from a table of {table:,} KiB"
        return Checked(f"the limit reads {limit}; the kernel reads a copy of half the width")

    return Duel(
        _margin("worst_rows", held),
        lambda: timed("reads of random rows", lambda: _kernels.read_rows(held.rows, held.places), held.cells),
        compare,
    )


def threads(size: Size) -> Duel[IntArray, IntArray]:
    """Hold every account's worst scenario on two threads against one; by the wall's clock."""
    held = draw_portfolios(size)

    def compare(own: IntArray, peer: IntArray) -> Checked:
        ensure_equal("the margins of one thread", condition=bool(np.array_equal(own, peer)))
        two, one = (_margin("", held, threads=each).take_turn().figure for each in (2, 1))
        told = f"two threads take {two / one:.2f}x the processor time of one"
        return Checked(f"both give the same margins; by the wall's clock, so other load on the machine counts; {told}")

    return Duel(
        _margin("two threads", held, threads=2, by_wall=True),
        lambda: _margin("one thread", held, by_wall=True),
        compare,
    )


def fill(size: Size) -> Duel[IntArray, IntArray]:
    """Hold an account's new sums and worst scenario after a fill against NumPy's calls for the same."""
    held = draw_portfolios(size)
    fills = Fills(held)

    def load_peer() -> Contender[IntArray]:
        return timed("NumPy, a call a fill", fills.run_numpy, _FILLS_IN_PYTHON)

    def compare(own: IntArray, peer: IntArray) -> Checked:
        ensure_equal("NumPy's margins after each fill", condition=bool(np.array_equal(own[:_FILLS_IN_PYTHON], peer)))
        return Checked(f"fills of random accounts out of {held.accounts:,}, in batches of {_FILLS:,}")

    return Duel(timed("add_fills", fills.run, _FILLS), load_peer, compare)


def measure_growth(size: Size) -> Growth:
    """Return what the margin of so many accounts costs. Refuses: WrongResultError."""
    held = draw_portfolios(size)
    whole, one = _margin("worst_rows", held), timed("add_fills", (fills := Fills(held)).run, _FILLS)
    worst, sums = whole.take_turn().result, fills.sums
    if not np.array_equal(worst, sums.min(axis=1)):
        raise WrongResultError("the worst scenarios are the least of the sums")
    one.take_turn()
    whole_s = [whole.take_turn().figure for _ in range(size.turns)]
    one_s = [one.take_turn().figure for _ in range(size.turns)]
    return Growth(size.accounts, float(np.median(whole_s)) * held.cells, float(np.median(one_s)), peak_bytes())


def draw_portfolios(size: Size) -> Portfolios:
    """Draw 20 positions an account in instruments at random."""
    rng = np.random.default_rng(2)
    count = size.accounts * POSITIONS_EACH
    lots = rng.integers(1, _LOTS_MAX + 1, count)
    lots *= rng.integers(0, 2, count) * 2 - 1
    rows = _make_aligned((size.instruments, SCENARIOS))
    rows[:] = rng.integers(-_ROW_ATOMS_MAX, _ROW_ATOMS_MAX, rows.shape)
    return Portfolios(
        starts=np.arange(0, count + 1, POSITIONS_EACH),
        places=rng.integers(0, size.instruments, count, dtype=np.int32),
        lots=lots,
        rows=rows,
    )


class Fills:
    """Fills of random accounts, each followed later by its reverse, so that every run begins with the same sums."""

    def __init__(self, held: Portfolios) -> None:
        rng = np.random.default_rng(3)
        half = _FILLS // 2
        accounts, places = rng.integers(0, held.accounts, half), rng.integers(0, len(held.rows), half, dtype=np.int32)
        lots = rng.integers(1, _LOTS_MAX + 1, half)
        self._rows = held.rows
        self._accounts = np.concatenate([accounts, accounts])
        self._places = np.concatenate([places, places])
        self._lots = np.concatenate([lots, -lots])
        self._out = np.empty(_FILLS, dtype=np.int64)
        self.sums = _make_aligned((held.accounts, SCENARIOS))
        _kernels.sum_rows(held.starts, held.places, held.lots, held.rows, self.sums)

    def run(self) -> IntArray:
        """Return the worst scenario after each fill, by the kernel."""
        _kernels.add_fills(self.sums, self._accounts, self._places, self._lots, self._rows, self._out)
        return self._out

    def run_numpy(self) -> IntArray:
        """Return the same of the first fills, by NumPy, and take them back."""
        first = slice(_FILLS_IN_PYTHON)
        accounts, places, lots = self._accounts[first], self._places[first], self._lots[first]
        sums, rows, worst = self.sums, self._rows, np.empty(_FILLS_IN_PYTHON, dtype=np.int64)
        steps = zip(accounts.tolist(), places.tolist(), lots.tolist(), strict=True)
        for number, (account, place, change) in enumerate(steps):
            sums[account] += rows[place] * change
            worst[number] = sums[account].min()
        np.subtract.at(sums, accounts, rows[places] * lots[:, None])
        return worst


def _margin(name: str, held: Portfolios, *, threads: int = 1, by_wall: bool = False) -> Contender[IntArray]:
    out = np.empty(held.accounts, dtype=np.int64)

    def call() -> IntArray:
        _kernels.worst_rows(held.starts, held.places, held.lots, held.rows, out, threads=threads)
        return out

    return timed(name, call, held.cells, by_wall=by_wall)


def _make_aligned(shape: tuple[int, int]) -> IntArray:
    """Return an uninitialised array that begins with a line of the cache, where rows are read fastest."""
    size = shape[0] * shape[1]
    spare = _CACHE_LINE_BYTES // 8
    memory = np.empty(size + spare, dtype=np.int64)
    skip = (-memory.ctypes.data // 8) % spare
    return memory[skip : skip + size].reshape(shape)
