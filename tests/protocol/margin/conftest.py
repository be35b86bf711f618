"""What tests of all accounts' margin share."""

import pytest

from holdfast.primitives import pricing
from holdfast.protocol.margin.rules import coins, orders, sums


@pytest.fixture(params=pricing.list_kernels())
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let margin be summed by each kernel of this machine in turn, and by NumPy; return its name."""
    name = str(request.param)
    path = None if name == "numpy" else name.removeprefix("native-")
    for module in (sums, coins, orders):
        monkeypatch.setattr(module, "native_path", lambda: path)
    return name
