"""Reading fields: what is no usable number is refused with the row and the field."""

import pytest

from holdfast.risk.rows import InputError, Row

NAN = float("nan")
INFINITE = float("inf")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing"),
        ("four", "'four' is not a number"),
        ("", "'' is not a number"),
        ("1_000", "'1_000' is not a number"),
        ("0x10", "'0x10' is not a number"),
        (True, "True is not a number"),
        ([1], "[1] is not a number"),
        (NAN, "nan is not a finite number"),
        ("NaN", "nan is not a finite number"),
        ("-Infinity", "-inf is not a finite number"),
        (INFINITE, "inf is not a finite number"),
        (10**400, "inf is not a finite number"),
        ("1e999", "inf is not a finite number"),
        (-4, "-4 is below -3"),
        (2.5, "2.5 is above 2, which is absurd"),
    ],
)
def test_number__not_usable__is_refused_with_row_and_field(value: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Row("positions[1]", {"amount": value}).number("amount", least=-3.0, most=2.0)
    assert str(caught.value) == f"positions[1]: amount: {problem}"
    assert (caught.value.row, caught.value.field) == ("positions[1]", "amount")


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), ("3", 3.0), (" -2.5e-1 ", -0.25), (".5", 0.5), ("+7.", 7.0)])
def test_number__written_either_way__is_read(value: object, number: float) -> None:
    assert Row("", {"amount": value}).number("amount") == number


def test_number__missing_with_a_default__is_the_default() -> None:
    assert Row("", {}).number("rate", default=0.25) == 0.25


@pytest.mark.parametrize("value", [0, -0.5, "0.0"])
def test_positive__zero_or_below__is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^row: vol: .* is not above zero$"):
        Row("row", {"vol": value}).positive("vol")


@pytest.mark.parametrize("value", [1.01, -0.01])
def test_share__outside_zero_to_one__is_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"^row: confidence: "):
        Row("row", {"confidence": value}).share("confidence")


@pytest.mark.parametrize(("value", "flag"), [(1, True), (0, False), (True, True), ("false", False), (" 1 ", True)])
def test_flag__written_in_any_way__is_read(value: object, flag: bool) -> None:
    assert Row("", {"is_call": value}).flag("is_call") is flag


@pytest.mark.parametrize("value", [None, 2, "yes", [], NAN])
def test_flag__that_is_none__is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^row: is_call: "):
        Row("row", {"is_call": value}).flag("is_call")


@pytest.mark.parametrize("value", [None, 3, "  ", {}])
def test_text__that_is_no_name__is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^row: asset: "):
        Row("row", {"asset": value}).text("asset")


def test_rows__not_rows__are_refused_with_their_place() -> None:
    with pytest.raises(InputError, match=r"^Scenario\.Options\[1\]: 7 is not an object with fields$"):
        Row("Scenario", {"Options": [{}, 7]}).rows("Options")
    with pytest.raises(InputError, match=r"^Scenario: Options: is not a list$"):
        Row("Scenario", {"Options": {}}).rows("Options")
    with pytest.raises(InputError, match=r"^Scenario: Options: is missing$"):
        Row("Scenario", {}).rows("Options")
    assert Row("Scenario", {}).rows("Options", required=False) == []


def test_refuse_others__misspelt_field__is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^row: amuont: is no field of this row; known are amount, price$"):
        Row("row", {"amuont": 1}).refuse_others(frozenset(("amount", "price")))


def test_error__long_value__is_cut() -> None:
    with pytest.raises(InputError) as caught:
        Row("row", {"amount": "9" * 500 + "x"}).number("amount")
    assert len(str(caught.value)) < 100
