"""Reads the published cases of Derive's two managers as they are: the PM2 files, and the file of the standard manager.

Source: derivexyz/v2-core, test/risk-managers/unit-tests: PMRM_2/portfolio_cases and StandardManager/test-cases.json,
with the meaning that the harness beside them gives to each field. What a case publishes
is read by `holdfast.risk.published`.
"""

from collections.abc import Mapping
from typing import Final

from holdfast.risk.derive_pm2_parameters import check_complete
from holdfast.risk.portfolio import (
    SETTLEMENT_S,
    Collateral,
    Expiry,
    FuturePosition,
    OptionPosition,
    Portfolio,
    Underlying,
    split_forward,
)
from holdfast.risk.rows import AMOUNT_MAX, MONEY_MAX, PRICE_MAX, SECONDS_MAX, InputError, Row, as_row

# The PM2 cases do not name their underlying.
UNNAMED: Final = "UNDERLYING"

# The cases carry marked volatilities up to 1,886, from a surface that is not scaled to its expiry.
_VOL_MAX: Final = 1e6
_RATE_MAX: Final = 100.0
# An initial haircut is published as a difference, so that a zero may be a little below.
_ZERO: Final = -1e-9
SCALE: Final = 1e18
MARKETS: Final = ("ETH", "BTC")
# What a case of the standard manager tells of each option, in lists.
_LISTS: Final = (
    *("OptionExpiries", "OptionStrikes", "OptionIsCall", "OptionAmounts", "OptionVols", "OptionVolConfidences"),
    *("FeedExpiries", "Forwards", "ForwardConfidences", "Discounts", "DiscountConfidences"),
)
_PM2_FIELDS: Final = frozenset(("Options", "OptionFeeds", "Collaterals", "NumPerps"))
# The harness of the standard manager takes the settlement price for the forward in the last hour.
SETTLING_S: Final = 3_600.0


def is_pm2_case(values: Mapping[str, object]) -> bool:
    """Tell whether a decoded object has the shape of a PM2 case."""
    scenario = values.get("Scenario")
    return isinstance(scenario, dict) and not _PM2_FIELDS.isdisjoint(scenario) and not is_standard_case(values)


def is_standard_case(values: Mapping[str, object]) -> bool:
    """Tell whether a decoded object has the shape of a case of the standard manager."""
    scenario = values.get("Scenario")
    return isinstance(scenario, dict) and "OptionUnderlying" in scenario


def read_pm2_case(case: Row) -> Portfolio:
    """Read one PM2 case, with its parameters."""
    scenario = case.row("Scenario")
    parameters = case.row("Parameters")
    check_complete(parameters)
    expiries = {}
    for feed in scenario.rows("OptionFeeds"):
        expiry = _pm2_expiry(feed)
        if (key := (UNNAMED, expiry.seconds)) in expiries:
            raise feed.refuse("FeedExpiry", f"{expiry.seconds:g} is given twice")
        expiries[key] = expiry
    return Portfolio(
        cash=scenario.number("Cash"),
        options=tuple(_pm2_option(option, expiries) for option in scenario.rows("Options")),
        futures=_pm2_perpetual(scenario),
        collaterals=tuple(map(_pm2_collateral, scenario.rows("Collaterals"))),
        underlyings={UNNAMED: _pm2_underlying(scenario)},
        expiries=expiries,
        stable_price=scenario.positive("StablePrice"),
        parameters={"derive-pm2": parameters},
    )


def _pm2_underlying(scenario: Row) -> Underlying:
    perpetual = scenario.number("PerpPrice", least=0.0, most=PRICE_MAX)
    return Underlying(
        name=UNNAMED,
        spot=scenario.positive("SpotPrice"),
        spot_confidence=scenario.share("SpotConfidence"),
        perpetual=perpetual or None,
        perpetual_confidence=scenario.share("PerpConfidence"),
    )


def _pm2_perpetual(scenario: Row) -> tuple[FuturePosition, ...]:
    amount = scenario.number("NumPerps", least=-AMOUNT_MAX, most=AMOUNT_MAX)
    if not amount:
        return ()
    perpetual = FuturePosition(
        row=scenario.below("NumPerps"),
        underlying=UNNAMED,
        amount=amount,
        mark=scenario.positive("PerpPrice"),
        profit=scenario.number("UnrealisedPerpPNL"),
        funding=scenario.number("UnrealisedFunding"),
    )
    return (perpetual,)


def _pm2_collateral(row: Row) -> Collateral:
    return Collateral(
        row=row.label,
        asset=row.text("Name"),
        amount=row.number("Amount", least=0.0, most=AMOUNT_MAX),
        price=row.positive("Price"),
        confidence=row.share("Confidence"),
        haircut_maintenance=row.number("MMHaircut", least=_ZERO, most=1.0),
        haircut_initial=row.number("IMHaircut", least=_ZERO, most=1.0),
        is_risk_cancelling=row.flag("IsRiskCancelling"),
    )


def _pm2_expiry(row: Row) -> Expiry:
    seconds = row.number("FeedExpiry", least=0.0, most=SECONDS_MAX)
    variable, fixed = split_forward(row.positive("Forward"), seconds)
    return Expiry(
        underlying=UNNAMED,
        seconds=seconds,
        forward_variable=variable,
        forward_fixed=fixed,
        forward_confidence=row.share("ForwardConfidence"),
        rate=row.number("Rate", least=-_RATE_MAX, most=_RATE_MAX),
        rate_confidence=row.share("RateConfidence"),
        vol_confidence=row.share("OptionVolConfidences"),
    )


def _pm2_option(row: Row, expiries: Mapping[tuple[str, float], Expiry]) -> OptionPosition:
    seconds = row.number("Expiry", most=SECONDS_MAX)
    if seconds < 0:
        raise row.refuse("Expiry", f"expired {-seconds:g} s ago")
    if (UNNAMED, seconds) not in expiries:
        raise row.refuse("Expiry", f"{seconds:g} is in no row of Scenario.OptionFeeds, so nothing prices it")
    return OptionPosition(
        row=row.label,
        underlying=UNNAMED,
        seconds=seconds,
        strike=row.positive("Strike"),
        is_call=row.flag("IsCall"),
        amount=row.number("Amount", least=-AMOUNT_MAX, most=AMOUNT_MAX),
        # At its expiry an option has no time value, and its surface no volatility to tell.
        vol=row.positive("MarkVol", most=_VOL_MAX) if seconds else 0.0,
    )


def read_standard_case(case: Row) -> Portfolio:
    """Read one case of the standard manager; its integers are scaled by 1e18."""
    scenario = case.row("Scenario")
    underlyings = _standard_underlyings(scenario)
    expiries: dict[tuple[str, float], Expiry] = {}
    for place, name in enumerate(_names(scenario)):
        expiry = _standard_expiry(scenario, place, name)
        # Options of one expiry repeat its feeds; the harness keeps the last.
        expiries[name, expiry.seconds] = expiry
    options = [_standard_option(scenario, place, name, expiries) for place, name in enumerate(_names(scenario))]
    perpetuals = [_standard_perpetual(scenario, name, underlyings[name]) for name in MARKETS]
    coins = [_standard_coin(scenario, name, underlyings[name]) for name in MARKETS]
    return Portfolio(
        cash=_scaled(scenario, "Cash"),
        options=tuple(options),
        futures=tuple(position for position in perpetuals if position.amount),
        collaterals=tuple(coin for coin in coins if coin.amount),
        underlyings=underlyings,
        expiries=expiries,
        stable_price=_above_zero(scenario, "USDCValue"),
    )


def _names(scenario: Row) -> list[str]:
    names = scenario.values.get("OptionUnderlying")
    if not isinstance(names, list):
        raise scenario.refuse("OptionUnderlying", "is not a list")
    for place, name in enumerate(names):
        if name not in MARKETS:
            raise scenario.refuse(f"OptionUnderlying[{place}]", f"{name!r} is an unknown instrument's: BTC or ETH")
    for field in _LISTS:
        values = scenario.values.get(field)
        if isinstance(values, list) and len(values) > len(names):
            raise scenario.refuse(
                field, f"has {len(values)} entries, where OptionUnderlying names {len(names)} options"
            )
    return [str(name) for name in names]


def _standard_underlyings(scenario: Row) -> dict[str, Underlying]:
    underlyings = {}
    for place, name in enumerate(MARKETS):
        pair = _at(scenario, "SpotPerpConfidences", place)
        if not isinstance(pair, list):
            raise scenario.refuse(f"SpotPerpConfidences[{place}]", "is not a pair")
        confidences = as_row({"spot": _first(pair, 0), "perp": _first(pair, 1)}, scenario.label)
        underlyings[name] = Underlying(
            name=name,
            spot=_above_zero(scenario, f"{name}SpotPrice"),
            spot_confidence=_share(confidences, "spot"),
            perpetual=_above_zero(_cell(scenario, "PerpPrice", place), f"PerpPrice[{place}]"),
            perpetual_confidence=_share(confidences, "perp"),
        )
    return underlyings


def _standard_expiry(scenario: Row, place: int, name: str) -> Expiry:
    seconds = _number(scenario, "FeedExpiries", place, least=0.0, most=SECONDS_MAX)
    settling = seconds < SETTLING_S
    field = f"SettlementPrice{name}" if settling else f"Forwards[{place}]"
    forward = _above_zero(scenario if settling else _cell(scenario, "Forwards", place), field)
    variable, fixed = split_forward(forward, max(seconds, 0.0)) if seconds < SETTLEMENT_S else (forward, 0.0)
    return Expiry(
        underlying=name,
        seconds=seconds,
        forward_variable=variable,
        forward_fixed=fixed,
        forward_confidence=_share_at(scenario, "ForwardConfidences", place),
        rate=_number(scenario, "Discounts", place) / SCALE,
        rate_confidence=_share_at(scenario, "DiscountConfidences", place),
        vol_confidence=_share_at(scenario, "OptionVolConfidences", place),
    )


def _standard_option(
    scenario: Row, place: int, name: str, expiries: Mapping[tuple[str, float], Expiry]
) -> OptionPosition:
    seconds = _number(scenario, "OptionExpiries", place)
    if seconds < 0:
        raise scenario.refuse(f"OptionExpiries[{place}]", f"expired {-seconds:g} s ago")
    if (name, seconds) not in expiries:
        raise scenario.refuse(f"OptionExpiries[{place}]", f"{seconds:g} is not among FeedExpiries of {name}")
    amount = _number(scenario, "OptionAmounts", place, least=-AMOUNT_MAX * SCALE, most=AMOUNT_MAX * SCALE) / SCALE
    return OptionPosition(
        row=f"{scenario.label} option {place}",
        underlying=name,
        seconds=seconds,
        strike=_above_zero(_cell(scenario, "OptionStrikes", place), f"OptionStrikes[{place}]"),
        is_call=_cell(scenario, "OptionIsCall", place).flag(f"OptionIsCall[{place}]"),
        amount=amount,
        vol=_above_zero(_cell(scenario, "OptionVols", place), f"OptionVols[{place}]", most=_VOL_MAX)
        if seconds
        else 0.0,
    )


def _standard_perpetual(scenario: Row, name: str, underlying: Underlying) -> FuturePosition:
    amount = _scaled(scenario, f"Perps_{name}", most=AMOUNT_MAX)
    if not amount or underlying.perpetual is None:
        return FuturePosition(scenario.below(f"Perps_{name}"), name, 0.0, 0.0)
    entry = _above_zero(scenario, f"LastEntry{name}")
    unpaid = _scaled(scenario, f"{name}GlobalFundingIndex") - _scaled(scenario, f"Account{name}FundingIndex")
    return FuturePosition(
        row=scenario.below(f"Perps_{name}"),
        underlying=name,
        amount=amount,
        mark=underlying.perpetual,
        profit=amount * (underlying.perpetual - entry),
        funding=-amount * unpaid,
    )


def _standard_coin(scenario: Row, name: str, underlying: Underlying) -> Collateral:
    field = f"w{name}"
    amount = _scaled(scenario, field, most=AMOUNT_MAX)
    if amount < 0:
        raise scenario.refuse(field, f"{amount:g} is below 0")
    return Collateral(scenario.below(field), name, amount, underlying.spot, underlying.spot_confidence)


def _scaled(row: Row, field: str, *, most: float = MONEY_MAX) -> float:
    return row.number(field, least=-most * SCALE, most=most * SCALE) / SCALE


def _above_zero(row: Row, field: str, *, most: float = PRICE_MAX) -> float:
    return row.positive(field, most=most * SCALE) / SCALE


def _share(row: Row, field: str) -> float:
    return row.number(field, least=0.0, most=SCALE) / SCALE


def _share_at(row: Row, field: str, place: int) -> float:
    return _share(_cell(row, field, place), f"{field}[{place}]")


def _number(
    row: Row, field: str, place: int, *, least: float = -MONEY_MAX * SCALE, most: float = MONEY_MAX * SCALE
) -> float:
    return _cell(row, field, place).number(f"{field}[{place}]", least=least, most=most)


def _cell(row: Row, field: str, place: int) -> Row:
    """Return one entry of a list as a row that calls it by its place."""
    return Row(row.label, {f"{field}[{place}]": _at(row, field, place)})


def _at(row: Row, field: str, place: int) -> object:
    values = row.values.get(field)
    if not isinstance(values, list):
        raise InputError(row.label, field, "is missing" if values is None else "is not a list")
    if place >= len(values):
        raise InputError(row.label, f"{field}[{place}]", "is missing")
    value: object = values[place]
    return value


def _first(values: list[object], place: int) -> object:
    return values[place] if place < len(values) else None
