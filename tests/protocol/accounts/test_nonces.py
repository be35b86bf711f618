"""The 64-wide nonce window against a plain set."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.primitives.reject import Code, RejectedError
from holdfast.protocol.accounts.rules import compute_nonce_window
from holdfast.protocol.accounts.state import NonceWindow
from holdfast.protocol.limits import NONCE_JUMP_MAX, NONCE_WINDOW


def use(window: NonceWindow | None, nonce: int) -> tuple[NonceWindow | None, Code]:
    try:
        return compute_nonce_window(window, nonce), Code.OK
    except RejectedError as refusal:
        return window, refusal.code


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=80))
def test_window__any_order__accepts_each_fresh_nonce_once(nonces: list[int]) -> None:
    window: NonceWindow | None = None
    used: set[int] = {0}
    highest = 0
    for nonce in nonces:
        window, code = use(window, nonce)
        if nonce <= highest - NONCE_WINDOW:
            assert code == Code.NONCE_TOO_OLD
        elif nonce in used:
            assert code == Code.NONCE_USED
        else:
            assert code == Code.OK
            used.add(nonce)
            highest = max(highest, nonce)


@pytest.mark.parametrize(("jump", "code"), [(NONCE_JUMP_MAX, Code.OK), (NONCE_JUMP_MAX + 1, Code.NONCE_TOO_FAR)])
def test_window__at_the_edge_of_a_jump__keeps_its_bound(jump: int, code: Code) -> None:
    assert use(NonceWindow(5, (0, 1)), 5 + jump)[1] == code
