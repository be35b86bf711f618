from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

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

# Pricing: `path` is one of pricing_paths(); columns in the order of the tuples of `primitives.pricing`.
def pricing_paths() -> list[str]: ...
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
