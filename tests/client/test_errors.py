"""Refusals for people and machines: each code has its mend, each kind its exit code."""

import pytest

from holdfast.client.errors import (
    ClientError,
    ExchangeError,
    InputError,
    KeystoreError,
    Rejected,
    Stalled,
    Unreachable,
    WrongChainError,
)
from holdfast.client.mends import MENDS, RIGHTS
from holdfast.primitives.reject import Code


def test_mends__every_code_of_the_exchange__has_one() -> None:
    assert set(MENDS) == set(Code) - {Code.OK}
    assert all("\n" not in words and words for words in MENDS.values())
    assert set(Code) >= RIGHTS


@pytest.mark.parametrize(
    ("error", "exit_code", "retryable"),
    [
        (ClientError("x"), 1, False),
        (InputError("x"), 2, False),
        (KeystoreError("x"), 3, False),
        (WrongChainError("x"), 3, False),
        (ExchangeError(13_004, "BAD_SIGNATURE", "x"), 3, False),
        (ExchangeError(-32_602, "PARAM_INVALID", "x"), 2, False),
        (ExchangeError(10_028, "MEMPOOL_FULL", "x", retryable=True), 4, True),
        (Rejected(Code.MARGIN_INITIAL_SHORT, "MARGIN_INITIAL_SHORT", "x", tx_hash="ab", height=7), 4, False),
        (Rejected(Code.SIGNER_UNKNOWN, "SIGNER_UNKNOWN", "x", tx_hash="ab", height=0), 3, False),
        (Unreachable("x"), 5, True),
        (Stalled("x"), 6, True),
    ],
)
def test_error__each_kind__has_its_exit_code_and_says_whether_to_try_again(
    error: ClientError, exit_code: int, retryable: bool
) -> None:
    assert (error.exit_code, error.retryable) == (exit_code, retryable)


def test_error__its_text__is_one_line_with_name_place_and_mend() -> None:
    refusal = Rejected(Code.ORDER_UNKNOWN, "ORDER_UNKNOWN", "ORDER_UNKNOWN order_id=9", tx_hash="ab", height=7)
    assert str(refusal).startswith("ORDER_UNKNOWN order_id=9 (in block 7); it is filled or cancelled")
    error = ExchangeError(-32_602, "PARAM_INVALID", "depth: too many", param="depth")
    assert str(error) == "PARAM_INVALID: depth: too many"
    assert str(ExchangeError(1, "X", "no", param="depth")) == "X: no (parameter depth)"
