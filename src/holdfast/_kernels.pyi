from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Int64s: TypeAlias = npt.NDArray[np.int64]
_Int32s: TypeAlias = npt.NDArray[np.int32]

def public_key(seed: bytes) -> bytes: ...
def sign(seed: bytes, message: bytes) -> bytes: ...
def verify(public_key: bytes, message: bytes, signature: bytes) -> bool: ...
def verify_many(signed: list[tuple[bytes, bytes, bytes]]) -> list[bool]: ...
def is_acceptable_key(public_key: bytes) -> bool: ...
def scan_msgpack(data: bytes, max_depth: int, max_items: int) -> int | None: ...
def sha256(data: bytes) -> bytes: ...
def tree_shape(depth: int) -> list[tuple[int, int]]: ...
def tree_plan(
    pages: list[bytes],
    buckets: list[bytes],
    depth: int,
    root: bytes,
    changes: Iterable[tuple[bytes, bytes | None]],
) -> tuple[bytes, int, list[tuple[int, bytes]], list[tuple[int, bytes]]]: ...
def tree_walk(pages: list[bytes], buckets: list[bytes], depth: int, key: bytes) -> tuple[list[bytes], bytes | None]: ...
def list_paths() -> list[str]: ...
def sum_rows(
    starts: _Int64s,
    places: _Int32s,
    lots: _Int64s,
    rows: _Int64s,
    out: _Int64s,
    threads: int = 1,
    path: str | None = None,
) -> None: ...
def worst_rows(
    starts: _Int64s,
    places: _Int32s,
    lots: _Int64s,
    rows: _Int64s,
    out: _Int64s,
    threads: int = 1,
    path: str | None = None,
) -> None: ...
def add_fills(
    sums: _Int64s,
    accounts: _Int64s,
    places: _Int32s,
    lots: _Int64s,
    rows: _Int64s,
    out: _Int64s,
    path: str | None = None,
) -> None: ...
def read_rows(rows: _Int64s, order: _Int32s, path: str | None = None) -> int: ...
def margin_accounts(
    starts: _Int64s,
    places: _Int32s,
    lots: _Int64s,
    rows: _Int64s,
    values: _Int64s,
    universes: _Int64s,
    is_future: _Int64s,
    groups: _Int64s,
    joint: _Int64s,
    opposed: _Int64s,
    cross_weight_ppm: int,
    extra_of: _Int64s,
    extras: _Int64s,
    order_of: _Int64s,
    orders: _Int64s,
    out: _Int64s,
    threads: int = 1,
    path: str | None = None,
) -> None: ...
def margin_account_stress(
    places: _Int32s,
    lots: _Int64s,
    rows: _Int64s,
    universes: _Int64s,
    out: _Int64s,
    path: str | None = None,
) -> None: ...
def sum_orders(
    places: _Int32s,
    edges: _Int64s,
    lots: _Int64s,
    cells: _Int64s,
    rows: _Int64s,
    out: _Int64s,
    path: str | None = None,
) -> None: ...
def share_rows(values: _Int64s, shares: _Int64s, out: _Int64s) -> None: ...
def margin_golden_hash(path: str) -> str: ...

# Pricing: `path` is one of list_paths(); columns in the order of the tuples of `primitives.pricing`.
def compute_marks(
    path: str,
    slice_columns: Sequence[npt.NDArray[np.int64]],
    option_columns: Sequence[npt.NDArray[np.int64]],
    out: Sequence[npt.NDArray[np.int64]],
) -> None: ...
def compute_rows(
    path: str,
    slice_columns: Sequence[npt.NDArray[np.int64]],
    option_columns: Sequence[npt.NDArray[np.int64]],
    grid_columns: Sequence[npt.NDArray[np.int64]],
    marks_e8: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None: ...
def vol_scale_ppm(path: str, remaining_ms: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None: ...
def black76(
    path: str,
    columns: Sequence[npt.NDArray[np.float64]],
    is_call: npt.NDArray[np.uint8],
    out: Sequence[npt.NDArray[np.float64]],
) -> bool: ...
def black76_price(
    path: str,
    columns: Sequence[npt.NDArray[np.float64]],
    is_call: npt.NDArray[np.uint8],
    out: npt.NDArray[np.float64],
) -> bool: ...
def implied_deviation(
    path: str,
    columns: Sequence[npt.NDArray[np.float64]],
    is_call: npt.NDArray[np.uint8],
    out: npt.NDArray[np.float64],
) -> bool: ...
