"""What the exchange would not hold is refused by row and field; what is not wrong is margined."""

from collections.abc import Callable

import pytest

from holdfast.risk import InputError, compute_margin
from tests.support.margin_cases import Tree, account_document, changed, read

Change = Callable[[Tree], object]

CASES: list[tuple[str, Change]] = [
    (
        r"^positions\[0\] \S+: amount: -2.005 is not a multiple of the lot of 0.01 BTC",
        lambda c: c["positions"][0].update(amount=-2.005),
    ),
    (
        r"^positions\[4\] \S+: amount: 25.05 is not a multiple of the lot of 0.1 ETH",
        lambda c: c["positions"][4].update(amount=25.05),
    ),
    (r"^positions\[0\] \S+: amount: 1e\+06 is beyond 671,089 BTC", lambda c: c["positions"][0].update(amount=1e6)),
    (
        r"^positions: amount: positions and orders are more than 67,108,864 lots",
        lambda c: [c["positions"][place].update(amount=600_000) for place in (0, 1)],
    ),
    (
        r"^positions\[0\] \S+: instrument: the exchange lists no inverse contracts",
        lambda c: (
            c["marks"].append({"instrument": "BTC-27MAR26-90000-P", "vol": 0.45}),
            c["positions"][0].update(instrument="BTC-27MAR26-90000-P"),
        ),
    ),
    (
        r"^positions\[5\] BTC_USDC-PERPETUAL: instrument: the exchange lists no perpetual",
        lambda c: (
            c["underlyings"][0].update(perpetual=96_000),
            c["positions"].append({"instrument": "BTC_USDC-PERPETUAL", "amount": 1}),
        ),
    ),
    (
        r"^positions\[5\] \S+: instrument: SOL is no underlying of the exchange, which has BTC, ETH",
        lambda c: (
            c["underlyings"].append({"underlying": "SOL", "spot": 150}),
            c["expiries"].append({"underlying": "SOL", "expiry": "27MAR26", "forward": 151}),
            c["positions"].append({"instrument": "SOL_USDC-27MAR26", "amount": 1}),
        ),
    ),
    (r"^positions\[3\] \S+: funding: a dated future has none", lambda c: c["positions"][3].update(funding=1)),
    (r"^positions\[5\]: instrument: is given twice", lambda c: c["positions"].append(dict(c["positions"][0]))),
    (r"^orders\[0\]: amount: an order buys above zero", lambda c: c["orders"][0].update(amount=0)),
    (
        r"^orders\[0\] \S+: price: 4650.5 is not a multiple of the tick of 1 USD",
        lambda c: c["orders"][0].update(price=4_650.5),
    ),
    (
        r"^orders\[0\] \S+: amount and price: the exchange refuses the order: SIZE_TOO_LARGE",
        lambda c: c["orders"][0].update(amount=200_000),
    ),
    (r"^orders\[0\]: price: -1 is not above zero", lambda c: c["orders"][0].update(price=-1)),
    (
        r"^orders\[0\]: instrument: BTC_USDC-PERPETUAL has no open orders here",
        lambda c: c["orders"][0].update(instrument="BTC_USDC-PERPETUAL"),
    ),
    (r"^orders\[3\] \S+: quote: an account has one quote a side", lambda c: c["orders"].append(dict(c["orders"][1]))),
    (r"^orders\[1\] \S+: quote: no row of protections of BTC", lambda c: c.update(protections=[])),
    (
        r"^protections\[0\]: amount: 1.005 is not a multiple of the lot",
        lambda c: c["protections"][0].update(amount=1.005),
    ),
    (
        r"^protections\[1\]: underlying: is given twice",
        lambda c: c["protections"].append({"underlying": "BTC", "amount": 2}),
    ),
    (
        r"^protections\[1\]: instrument: DOGE is no underlying",
        lambda c: c["protections"].append({"underlying": "DOGE", "amount": 1}),
    ),
    (
        r"^collaterals\[0\]: price: 95000 is not the other price of BTC, 96000; the exchange has one",
        lambda c: c["collaterals"][0].update(price=95_000),
    ),
    (
        r"^collaterals\[0\]: asset: SOL is no coin that counts; the exchange takes BTC, ETH, USDT",
        lambda c: c["collaterals"][0].update(asset="SOL"),
    ),
    (r"^collaterals\[1\]: asset: USDC is cash", lambda c: c["collaterals"][1].update(asset="USDC")),
    (r"^collaterals\[0\]: amount: -1 is below 0", lambda c: c["collaterals"][0].update(amount=-1)),
    (r"^account: cash: 1e\+14 is beyond 1,152,921,504,607", lambda c: c["account"].update(cash=1e14)),
    (r"^underlyings\[0\]: spot: 5e\+07 is not between", lambda c: c["underlyings"][0].update(spot=5e7)),
    (
        r"^underlyings\[0\]: oracle_confidence: is above the spot itself",
        lambda c: c["underlyings"][0].update(oracle_confidence=97_000),
    ),
    (r"^expiries\[0\]: forward: 6e\+07 is not between", lambda c: c["expiries"][0].update(forward=6e7)),
    (r"^surfaces\[0\]: rho: 1.5 is above 1", lambda c: c["surfaces"][0].update(rho=1.5)),
    (r"^surfaces\[0\]: vol: 0 is not above zero", lambda c: c["surfaces"][0].update(vol=0)),
    (r"^surfaces\[0\]: vol: one of vol and total_variance", lambda c: c["surfaces"][0].update(total_variance=0.01)),
    (r"^surfaces\[0\]: vol: a total variance of 164.384 is above 100", lambda c: c["surfaces"][0].update(vol=63.2456)),
    (r"^surfaces\[2\]: expiry: is given twice", lambda c: c["surfaces"].append(dict(c["surfaces"][1]))),
    (
        r"^surfaces\[0\]: expiry: 31JAN26 is in no row of expiries of BTC",
        lambda c: c["surfaces"][0].update(expiry="31JAN26"),
    ),
    # eta (1 + |rho|) above 4 is out of bounds, less variance later a calendar spread below nothing.
    (
        r"^surfaces\[0\]: total_variance: the surface up to this expiry has an arbitrage",
        lambda c: c["surfaces"][0].update(rho=-0.5, eta=2.8),
    ),
    (
        r"^surfaces\[1\]: total_variance: the surface up to this expiry has an arbitrage",
        lambda c: c["surfaces"][1].update(vol=0.1),
    ),
    (
        r"^expiries\[2\]: expiry: no surface and no volatility is given of ETH",
        lambda c: (
            c.update(marks=[]),
            c["positions"].pop(),
            c["orders"].append({"instrument": "ETH_USDC-27MAR26-3000-P", "amount": 1, "price": 100}),
        ),
    ),
    (
        r"^parameters.holdfast: short_im: is no field of this row; known are basis_im_ppm",
        lambda c: c.update(parameters={"holdfast": {"short_im": 1}}),
    ),
    (
        r"^parameters.holdfast: short_im_ppm: 0.5 is not a whole number",
        lambda c: c.update(parameters={"holdfast": {"short_im_ppm": 0.5}}),
    ),
    (
        r"^parameters.holdfast: outside of the hard bounds: loss factors stay in bounds",
        lambda c: c.update(parameters={"holdfast": {"loss_im_ppm": 4_000_000}}),
    ),
    (
        r"^parameters.holdfast.range_ppm: BTC: 160001 is not a multiple of 4",
        lambda c: c.update(parameters={"holdfast": {"range_ppm": {"BTC": 160_001}}}),
    ),
    (
        r"^parameters.holdfast.range_ppm: SOL: is no field",
        lambda c: c.update(parameters={"holdfast": {"range_ppm": {"SOL": 1}}}),
    ),
]


@pytest.mark.parametrize(("words", "change"), CASES, ids=[words[:60] for words, _ in CASES])
def test_account__that_the_exchange_would_not_hold__is_refused_by_row_and_field(words: str, change: Change) -> None:
    with pytest.raises(InputError, match=words):
        compute_margin(read(changed(account_document(), change)))


def test_options__more_than_an_account_holds__are_refused() -> None:
    def crowd(case: Tree) -> None:
        names = [f"BTC_USDC-27MAR26-{strike}-C" for strike in range(60_000, 60_513)]
        case["positions"] = [{"instrument": name, "amount": 0.01} for name in names]

    with pytest.raises(InputError, match=r"^positions: 513 of them; an account has at most 512"):
        compute_margin(read(changed(account_document(), crowd)))


def test_amount__that_a_double_cannot_say_exactly__is_still_its_lots() -> None:
    document = changed(account_document(), lambda case: case["positions"][0].update(amount=0.1 + 0.2))
    plain = changed(account_document(), lambda case: case["positions"][0].update(amount=0.3))
    assert compute_margin(read(document)) == compute_margin(read(plain))


@pytest.mark.parametrize("amount", [1e-9, -1e-83])
def test_amount__too_small_for_a_lot__is_refused_and_not_taken_for_none(amount: float) -> None:
    document = changed(account_document(), lambda case: case["positions"][0].update(amount=amount))
    with pytest.raises(InputError, match=r"is not a multiple of the lot of 0.01 BTC"):
        compute_margin(read(document))


def test_surface__as_the_integers_of_a_fit__is_margined_as_they_are() -> None:
    integers = {"theta_e12": 7_250_123_457, "rho_ppm": -201_001, "eta_ppm": 900_003, "shift_ppm": 100_007}

    def give(case: Tree) -> None:
        case["surfaces"][0] = {"underlying": "BTC", "expiry": "30JAN26", **integers, "width_ppm": 1_300_001}

    surfaces = compute_margin(read(changed(account_document(), give))).figures["surfaces"]
    assert isinstance(surfaces, list)
    assert {**integers, "width_ppm": 1_300_001}.items() <= surfaces[0].items()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rho_ppm": 1}, "rho_ppm: goes with theta_e12"),
        ({"theta_e12": 10**9}, "vol: is given beside theta_e12"),
        ({"vol": None, "rho": None, "eta": None, "theta_e12": 10**9, "rho_ppm": 0}, "eta_ppm: is missing"),
        (
            {"vol": None, "rho": None, "eta": None, "theta_e12": 1e9, "rho_ppm": 0.5, "eta_ppm": 1}
            | {"shift_ppm": 0, "width_ppm": 10**6},
            "rho_ppm: 0.5 is not a whole number",
        ),
    ],
)
def test_surface__in_two_ways_at_once_or_in_part__is_refused(fields: Tree, words: str) -> None:
    with pytest.raises(InputError, match=rf"^surfaces\[0\]: {words}"):
        read(changed(account_document(), lambda case: case["surfaces"][0].update(fields)))


def test_parameters__in_place_of_the_defaults__change_the_requirement() -> None:
    before = compute_margin(read(account_document()))
    dearer = changed(account_document(), lambda case: case.update(parameters={"holdfast": {"short_im_ppm": 20_000}}))
    wider = changed(
        account_document(), lambda case: case.update(parameters={"holdfast": {"range_ppm": {"BTC": 200_000}}})
    )
    assert compute_margin(read(dearer)).initial == pytest.approx(before.initial + 0.01 * 3.5 * 96_000)
    assert compute_margin(read(wider)).initial > before.initial
    assert "BTC spot-20% vol-down" in compute_margin(read(wider)).scenarios
