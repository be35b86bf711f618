"""The table of codes is total."""

from holdfast.gateway.errors import API_CODES, RETRYABLE, ApiCode, ApiError, is_retryable, name_of
from holdfast.primitives.reject import Code


def test_codes__every_refusal_of_the_exchange__has_a_number_that_clients_know() -> None:
    assert set(API_CODES) == set(Code) - {Code.OK}
    assert set(RETRYABLE) < set(API_CODES)


def test_error__with_a_param__says_all_that_a_client_needs() -> None:
    error = ApiError(ApiCode.INVALID_PARAMS, "PARAM_INVALID", "depth: too deep", param="depth", state="x")
    assert error.as_json() == {
        "code": -32_602,
        "message": "depth: too deep",
        "data": {"reason": "PARAM_INVALID", "retryable": False, "state": "x", "param": "depth"},
    }


def test_names__of_codes_known_and_not() -> None:
    assert (name_of(7_001), name_of(9_999)) == ("MARGIN_INITIAL_SHORT", "CODE_9999")
    assert is_retryable(Code.ORACLE_FORBIDS_RISK)
    assert not is_retryable(9_999)
