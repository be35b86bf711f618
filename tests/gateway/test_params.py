"""Parameters from JSON and from query strings."""

import pytest

from holdfast.gateway import params
from holdfast.gateway.errors import ApiError


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"instrument_name": "X", "count": "5"}, params.InstrumentTrades(instrument_name="X", count=5)),
        (
            {"instrument_name": "X", "include_old": "false", "extra": "ignored"},
            params.InstrumentTrades(instrument_name="X", include_old=False),
        ),
        (
            {"instrument_name": "X", "start_timestamp": "1700000000000"},
            params.InstrumentTrades(instrument_name="X", start_timestamp=1_700_000_000_000),
        ),
    ],
)
def test_query__strings__become_what_the_method_takes(query: dict[str, str], expected: params.InstrumentTrades) -> None:
    assert params.from_query(params.InstrumentTrades, query) == expected


def test_query__lists__are_written_as_json() -> None:
    assert params.from_query(params.Subscribe, {"channels": '["a","b"]'}) == params.Subscribe(channels=["a", "b"])


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "instrument_name"),
        ({"instrument_name": "X", "count": "0"}, "count"),
        ({"instrument_name": "X", "count": "1001"}, "count"),
        ({"instrument_name": "X", "count": "1.5"}, "count"),
        ({"instrument_name": "X", "count": "five"}, "count"),
        ({"instrument_name": "X", "count": "[1]"}, "count"),
        ({"instrument_name": "X", "include_old": "maybe"}, "include_old"),
        ({"instrument_name": "X" * 65}, "instrument_name"),
        ({"instrument_name": "X\n"}, "instrument_name"),
        ({"instrument_name": "\u00e9"}, "instrument_name"),
    ],
)
def test_query__out_of_bounds__names_the_parameter(query: dict[str, str], param: str) -> None:
    with pytest.raises(ApiError) as refusal:
        params.from_query(params.InstrumentTrades, query)
    assert (refusal.value.param, refusal.value.code) == (param, -32_602)
    assert str(refusal.value).startswith(f"{param}: ")


def test_json__numbers_as_text__are_taken() -> None:
    assert params.from_json(params.Account, b'{"account_id":"1000"}') == params.Account(account_id=1_000)


@pytest.mark.parametrize("tx", ["", "0", "zz", "00\n", "00" * (16 * 1024 + 2)])
def test_submit__not_hex_or_too_long__is_refused(tx: str) -> None:
    with pytest.raises(ApiError, match="tx: "):
        params.from_query(params.Submit, {"tx": tx})


def test_key__with_a_line_end__is_refused() -> None:
    with pytest.raises(ApiError, match="signer: "):
        params.from_query(params.Nonce, {"account_id": "1", "signer": "a" * 63 + "\n"})


def test_text__of_characters_that_do_not_belong__is_refused_in_words() -> None:
    with pytest.raises(ApiError, match="it is empty, or has characters that do not belong here") as refusal:
        params.from_query(params.OneInstrument, {"instrument_name": "\u202eBTC"})
    assert "regex" not in str(refusal.value)


@pytest.mark.parametrize("path", ["ab" * 257, "a", "zz", ""])
def test_proof_path__longer_than_a_key_may_be_or_no_hex__is_refused_by_name(path: str) -> None:
    with pytest.raises(ApiError) as refusal:
        params.from_query(params.GetProof, {"path": path})
    assert refusal.value.param == "path"
