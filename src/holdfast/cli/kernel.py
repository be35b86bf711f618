"""The one place where a command chooses its pricing kernel: `--kernel`, or the setting HOLDFAST_KERNEL."""

from typing import Annotated

import typer

from holdfast.cli.show import stop
from holdfast.client.errors import EXIT_FAILURE, EXIT_USAGE

KernelName = Annotated[
    str,
    typer.Option(
        "--kernel",
        envvar="HOLDFAST_KERNEL",
        help="What prices: native, numpy, or one instruction set: native-avx512, native-avx2, native-portable.",
        metavar="NAME",
    ),
]
DEFAULT_KERNEL = "native"


def choose_kernel(command: str, name: str) -> None:
    """Check the pricing kernel's bits and take it; end the command where it is missing or differs."""
    from holdfast.primitives import pricing
    from holdfast.primitives.check import BrokenInvariantError

    try:
        pricing.choose_kernel(name)
    except ValueError as error:
        stop(command, f"--{error}", EXIT_USAGE)
    except BrokenInvariantError as error:
        stop(command, str(error), EXIT_FAILURE)
