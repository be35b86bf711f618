"""Which kernel prices and sums margin: chosen once, at start, after it and the NumPy reference were held to the pin."""

from typing import Final

from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.pricing.golden import GOLDEN, MARGIN_GOLDEN, Kernel, golden_hash
from holdfast.primitives.pricing.native import Native, list_paths, margin_golden_hash
from holdfast.primitives.pricing.reference import Reference

__all__ = ["DEFAULT_KERNEL", "KERNELS", "choose_kernel", "chosen", "ensure_kernel", "list_kernels"]

DEFAULT_KERNEL: Final = "native"
# `native` takes the widest instruction set; the others force one, for tests and measurements.
KERNELS: Final = ("native", "native-avx512", "native-avx2", "native-portable", "numpy")


class _Choice:
    """What this process prices with; the reference, unchecked, until something has been chosen."""

    name: str = ""
    kernel: Kernel = Reference()


_choice: Final = _Choice()


def list_kernels() -> list[str]:
    """Return the names of the kernels that can run on this machine, each instruction set by itself."""
    return [*(f"native-{path}" for path in list_paths()), "numpy"]


def choose_kernel(name: str = DEFAULT_KERNEL) -> str:
    """Price and sum margin with one of `KERNELS` from here on; return its name with its path, such as `native-avx2`.

    Refuses: ValueError for a kernel that this machine does not have; BrokenInvariantError where the kernel, its margin
    or the NumPy reference computes other bits than every other replica.
    """
    full_name = f"native-{list_paths()[0]}" if name == DEFAULT_KERNEL else name
    if full_name not in list_kernels():
        raise ValueError(f"kernel {name}: this machine has native, {', '.join(list_kernels())}; choose one of them")
    kernel = make_kernel(full_name)
    _check_golden(full_name, golden_hash(kernel), golden_hash(Reference()))
    if isinstance(kernel, Native):
        _check_margin(full_name, margin_golden_hash(kernel.path))
    _choice.name, _choice.kernel = full_name, kernel
    return full_name


def ensure_kernel() -> str:
    """Choose the default kernel unless one was chosen already; return its name. A replica calls this as it opens."""
    return _choice.name or choose_kernel()


def native_path() -> str | None:
    """Return the instruction set of the chosen kernel, which margin sums with too; None where NumPy was chosen."""
    return _choice.name.removeprefix("native-") if _choice.name.startswith("native-") else None


def chosen() -> Kernel:
    """Return the kernel that prices."""
    return _choice.kernel


def make_kernel(full_name: str) -> Kernel:
    """Return a kernel of `list_kernels`, unchecked."""
    return Reference() if full_name == "numpy" else Native(full_name.removeprefix("native-"))


def _check_golden(name: str, found: str, reference: str) -> None:
    if reference != GOLDEN:
        raise BrokenInvariantError(
            f"the NumPy reference computes {reference}, the pinned bits are {GOLDEN}: install the pinned NumPy (make "
            "setup), and let nothing change the processor's rounding or flush subnormals"
        )
    if found != GOLDEN:
        raise BrokenInvariantError(
            f"the pricing kernel {name} computes {found}, the pinned bits are {GOLDEN}: build the kernels of this "
            "version again (make setup), or choose the kernel numpy"
        )


def _check_margin(name: str, found: str) -> None:
    if found != MARGIN_GOLDEN:
        raise BrokenInvariantError(
            f"the margin kernel {name} computes {found}, the pinned integers are {MARGIN_GOLDEN}: build the kernels of "
            "this version again (make setup), or choose the kernel numpy"
        )
