"""What the exchange's margin promises of any account: monotone, ordered, no dearer than the face of what is hedged."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.risk import MarginResult, OptionPosition, Portfolio, compute_margin
from holdfast.risk.portfolio import FuturePosition
from tests.support.margin_cases import account_document, read

BASE = read(account_document())
EXPIRIES = sorted(BASE.expiries)
ATOM = 1e-6

amounts = st.integers(-400, 400)
strikes = st.sampled_from([60_000.0, 80_000.0, 90_000.0, 96_000.0, 100_000.0, 120_000.0, 160_000.0])


@st.composite
def positions(draw: st.DrawFn) -> tuple[OptionPosition | FuturePosition, ...]:
    held: dict[object, OptionPosition | FuturePosition] = {}
    for place in range(draw(st.integers(0, 8))):
        coin, seconds = draw(st.sampled_from(EXPIRIES))
        scale = 1.0 if coin == "BTC" else 0.035
        lots = draw(amounts) * (0.01 if coin == "BTC" else 0.1)
        row = f"positions[{place}]"
        if draw(st.booleans()):
            strike, is_call = round(draw(strikes) * scale), draw(st.booleans())
            held[coin, seconds, strike, is_call] = OptionPosition(row, coin, seconds, strike, is_call, lots, 0.5)
        else:
            mark, profit = BASE.expiries[coin, seconds].forward, float(draw(amounts))
            held[coin, seconds] = FuturePosition(row, coin, lots, mark, seconds, profit)
    return tuple(held.values())


def hold(held: tuple[OptionPosition | FuturePosition, ...], cash: float = 0.0) -> Portfolio:
    options = tuple(one for one in held if isinstance(one, OptionPosition))
    futures = tuple(one for one in held if isinstance(one, FuturePosition))
    return replace(BASE, cash=cash, options=options, futures=futures, orders=(), collaterals=())


def margins(result: MarginResult) -> tuple[float, float, float]:
    return result.mark_to_market, result.initial, result.maintenance


@settings(max_examples=60, deadline=None)
@given(positions(), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_cash__more_of_it__raises_no_requirement(
    held: tuple[OptionPosition | FuturePosition, ...], cash: float, more: float
) -> None:
    before, after = compute_margin(hold(held, cash)), compute_margin(hold(held, cash + more))
    assert (after.initial, after.maintenance) == (before.initial, before.maintenance)
    assert after.mark_to_market >= before.mark_to_market


@settings(max_examples=60, deadline=None)
@given(positions())
def test_initial__is_never_below_maintenance_and_neither_below_zero(
    held: tuple[OptionPosition | FuturePosition, ...],
) -> None:
    whole = replace(BASE, options=hold(held).options, futures=hold(held).futures)
    for portfolio in (hold(held), whole):
        result = compute_margin(portfolio)
        assert result.initial >= result.maintenance >= 0


@settings(max_examples=40, deadline=None)
@given(positions(), st.randoms(use_true_random=False))
def test_order_of_positions__changes_nothing(
    held: tuple[OptionPosition | FuturePosition, ...], random: st.DataObject
) -> None:
    shuffled = list(held)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert margins(compute_margin(hold(tuple(shuffled)))) == margins(compute_margin(hold(held)))


@settings(max_examples=40, deadline=None)
@given(positions())
def test_requirement__of_twice_the_account__is_twice_it(held: tuple[OptionPosition | FuturePosition, ...]) -> None:
    double = tuple(
        replace(one, amount=2 * one.amount, profit=2 * one.profit)
        if isinstance(one, FuturePosition)
        else replace(one, amount=2 * one.amount)
        for one in held
    )
    once, twice = compute_margin(hold(held)), compute_margin(hold(double))
    # Below the concentration threshold all is linear, but for the rounding up of each charge.
    assert twice.initial == pytest.approx(2 * once.initial, abs=10 * ATOM)
    assert twice.mark_to_market == pytest.approx(2 * once.mark_to_market, abs=10 * ATOM)


@pytest.mark.parametrize("coins", [0.01, 1.0, 250.0])
@pytest.mark.parametrize(("low", "high"), [(80_000.0, 120_000.0), (96_000.0, 100_000.0), (60_000.0, 160_000.0)])
def test_box__fully_hedged__costs_no_more_than_its_face(low: float, high: float, coins: float) -> None:
    seconds = EXPIRIES[1][1]
    legs = [(low, True, coins), (high, True, -coins), (high, False, coins), (low, False, -coins)]
    box = tuple(
        OptionPosition(f"leg {place}", "BTC", seconds, strike, is_call, amount, 0.45)
        for place, (strike, is_call, amount) in enumerate(legs)
    )
    face = coins * (high - low)
    for held in (box, tuple(replace(leg, amount=-leg.amount) for leg in box)):
        result = compute_margin(replace(hold(held), parameters={}))
        # Calls and puts of a strike net out: no short charge is left, only what the oracle's doubt costs.
        parts = result.figures["initial_parts"]
        assert isinstance(parts, dict)
        assert parts["short"] == 0
        assert parts["worst_loss"] <= 1e-4 * face
        assert 0 <= result.maintenance <= result.initial <= face
        assert abs(result.mark_to_market) == pytest.approx(face, rel=1e-9)


def test_orders__raise_initial_margin_alone_and_never_lower_it() -> None:
    bare = compute_margin(replace(BASE, orders=(), protections={}))
    whole = compute_margin(BASE)
    assert whole.initial >= bare.initial
    assert whole.maintenance == bare.maintenance
    assert whole.mark_to_market == bare.mark_to_market
    # An order that closes the short put helps nothing: it may not fill.
    closing = compute_margin(replace(BASE, orders=BASE.orders[:1], protections={}))
    assert closing.initial >= bare.initial
