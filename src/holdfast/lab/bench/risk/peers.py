"""The peers of the risk bench: libraries that are installed for it alone, and the C compiler.

Each is imported by a row when its own figure's memory has been taken; one that is missing is told, not an error.
"""

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from holdfast.lab.bench.risk.duel import PeerMissingError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AnyArray = FloatArray | NDArray[np.bool_]

_SOURCE: Final = Path(__file__).parents[5] / "benches" / "black76_inexact.c"
_FLAGS: Final = ("-Ofast", "-march=native", "-fPIC", "-c")
# What makes the compiler take all of the processor that it has.
_FLAGS_X86: Final = ("-mprefer-vector-width=512",)
_LIBRARIES_X86: Final = ("-lmvec",)
_POINTERS: Final = 10


class BlackCalculator(Protocol):
    """As much of QuantLib's calculator as is used here."""

    def value(self) -> float: ...

    def deltaForward(self) -> float: ...  # noqa: N802 -- QuantLib's own name

    def gammaForward(self) -> float: ...  # noqa: N802 -- as above

    def vega(self, maturity: float) -> float: ...

    def theta(self, spot: float, maturity: float) -> float: ...


class OptionTypes(Protocol):
    """QuantLib's names of calls and puts."""

    Call: int
    Put: int


class QuantLib(Protocol):
    """As much of QuantLib as is used here."""

    Option: OptionTypes

    def PlainVanillaPayoff(self, kind: int, strike: float) -> object: ...  # noqa: N802 -- QuantLib's own name

    def BlackCalculator(  # noqa: N802 -- as above
        self, payoff: object, forward: float, deviation: float, discount: float
    ) -> BlackCalculator: ...

    def blackFormulaImpliedStdDev(  # noqa: N802 -- as above
        self, kind: int, strike: float, forward: float, price: float
    ) -> float: ...


class Black(Protocol):
    """py_vollib's price."""

    def __call__(self, flag: str, forward: float, strike: float, years: float, rate: float, vol: float) -> float: ...


class Greek(Protocol):
    """One of py_vollib's analytic Greeks."""

    def __call__(self, flag: str, forward: float, strike: float, years: float, rate: float, vol: float) -> float: ...


class Vollib(Protocol):
    """py_vollib's module of analytic Greeks."""

    delta: Greek
    gamma: Greek
    vega: Greek
    theta: Greek


class SparseMatrix(Protocol):
    """As much of scipy's CSR matrix as is used here."""

    def __matmul__(self, dense: IntArray) -> IntArray: ...


class Sparse(Protocol):
    """As much of `scipy.sparse` as is used here."""

    def csr_matrix(
        self, parts: tuple[IntArray, NDArray[np.int32], NDArray[np.int64]], shape: tuple[int, int]
    ) -> SparseMatrix: ...


def load_quantlib() -> QuantLib:
    """Return QuantLib. Refuses: PeerMissingError."""
    return cast("QuantLib", _load("QuantLib"))


def load_vollib() -> tuple[Black, Vollib]:
    """Return py_vollib's price and its Greeks. Refuses: PeerMissingError."""
    # From 1.0.12 py_vollib passes on what vollib holds, with a warning at its import; it is the same code.
    black: object = getattr(_load("vollib.black"), "black")  # noqa: B009 -- the module has no types
    return cast("Black", black), cast("Vollib", _load("vollib.black.greeks.analytical"))


def load_sparse() -> Sparse:
    """Return scipy's sparse matrices. Refuses: PeerMissingError."""
    return cast("Sparse", _load("scipy.sparse"))


def name_of(package: str, part: str) -> str:
    """Return a peer's name with its version."""
    return f"{package} {version(package)} {part}"


def compile_inexact() -> Callable[[Sequence[AnyArray], Sequence[FloatArray]], None]:
    """Compile the C kernel that need not be exact, and return it; it fills the second list of arrays from the first.

    Refuses: PeerMissingError, without a C compiler, without its source or where the compiler does not take the flags.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise PeerMissingError("no C compiler here: install gcc")
    if not _SOURCE.exists():
        raise PeerMissingError("no benches/black76_inexact.c: run in the repository")
    is_x86 = platform.system() == "Linux" and platform.machine() == "x86_64"
    extra, libraries = (_FLAGS_X86, _LIBRARIES_X86) if is_x86 else ((), ())
    with TemporaryDirectory() as folder:
        target, library_path = Path(folder) / "inexact.o", Path(folder) / "inexact.so"
        _call_compiler(compiler, *_FLAGS, *extra, str(_SOURCE), "-o", str(target))
        # Linked without -Ofast, with which loading the library would flush subnormals in the whole process.
        _call_compiler(compiler, "-shared", str(target), "-o", str(library_path), *libraries, "-lm")
        library = ctypes.CDLL(str(library_path))
    function = library.black76_inexact
    function.restype = None
    function.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * _POINTERS]

    def call(inputs: Sequence[AnyArray], outputs: Sequence[FloatArray]) -> None:
        function(len(inputs[0]), *(array.ctypes.data for array in (*inputs, *outputs)))

    return call


def _call_compiler(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 -- a fixed command
    if done.returncode != 0:
        raise PeerMissingError(f"the C compiler refuses: {done.stderr.decode(errors='replace').strip()[:200]}")


def _load(name: str) -> object:
    try:
        return import_module(name)
    except ImportError as error:
        package = {"vollib": "py_vollib"}.get(name.partition(".")[0], name.partition(".")[0])
        raise PeerMissingError(f"{package} is not installed: make bench-peers") from error
