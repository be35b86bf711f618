"""The positions, coins and orders of a document, which with its market data make a portfolio."""

from holdfast.risk.derive_pm2_parameters import check_known
from holdfast.risk.document_market import Market, add_once, find_expiry, find_vol, read_instrument, read_market
from holdfast.risk.documents import FIELDS, PARAMETERS, PUBLISHED, Document
from holdfast.risk.models import MODELS
from holdfast.risk.names import Instrument
from holdfast.risk.portfolio import (
    Collateral,
    FuturePosition,
    OpenOrder,
    OptionPosition,
    Portfolio,
    Protection,
)
from holdfast.risk.rows import AMOUNT_MAX, PRICE_MAX, InputError, Row


def read_document(document: Document) -> Portfolio:
    """Return the portfolio of a document.

    Refuses: unknown fields and models, unknown and expired instruments, volatility not above zero, crossed quotes,
    arbitrage.
    """
    account = document.account
    for name, rows in (("account", [account]), *document.sections.items()):
        for row in rows:
            row.refuse_others(FIELDS[name])
    for section, given in ((PARAMETERS, document.parameters), (PUBLISHED, document.published)):
        for model in given:
            if model not in MODELS:
                raise InputError(section, model, f"is no model; known are {', '.join(MODELS)}")
    if "derive-pm2" in document.parameters:
        check_known(document.parameters["derive-pm2"])
    market = read_market(document)
    positions: dict[str, OptionPosition | FuturePosition] = {}
    for row in document.sections["positions"]:
        position = _read_position(row, market)
        add_once(positions, read_instrument(row).name, position, row, "instrument")
    protections: dict[str, Protection] = {}
    for row in document.sections["protections"]:
        protection = Protection(row.label, row.positive("amount", most=AMOUNT_MAX))
        add_once(protections, row.text("underlying"), protection, row, "underlying")
    return Portfolio(
        cash=account.number("cash", default=0.0),
        options=tuple(position for position in positions.values() if isinstance(position, OptionPosition)),
        futures=tuple(position for position in positions.values() if isinstance(position, FuturePosition)),
        collaterals=tuple(map(_read_collateral, document.sections["collaterals"])),
        underlyings=market.underlyings,
        expiries=market.expiries,
        stable_price=account.positive("stable_price", default=1.0),
        parameters=document.parameters,
        orders=tuple(_read_order(row, market) for row in document.sections["orders"]),
        protections=protections,
        surfaces=market.surfaces,
        smiles=market.smiles(),
        moment=market.now,
    )


def _read_position(row: Row, market: Market) -> OptionPosition | FuturePosition:
    instrument = read_instrument(row)
    if instrument.underlying not in market.underlyings:
        raise row.refuse(
            "instrument", f"{instrument.name} is unknown: {instrument.underlying} is in no row of underlyings"
        )
    if instrument.strike is None:
        return _read_future(row, instrument, market)
    expiry = find_expiry(instrument, market, row)
    for name in ("entry_price", "profit", "funding"):
        if row.has(name):
            raise row.refuse(name, "an option has none: its premium is in the cash")
    return OptionPosition(
        row=_label(row, instrument),
        underlying=instrument.underlying,
        seconds=expiry.seconds,
        strike=instrument.strike,
        is_call=instrument.is_call,
        amount=_read_amount(row),
        vol=find_vol(instrument, market, expiry, row),
        is_inverse=instrument.is_inverse,
    )


def _read_future(row: Row, instrument: Instrument, market: Market) -> FuturePosition:
    underlying = market.underlyings[instrument.underlying]
    if instrument.expiry is None:
        if underlying.perpetual is None:
            raise row.refuse("instrument", f"{instrument.name} is unknown: its underlying's row has no field perpetual")
        mark, seconds = underlying.perpetual, None
    else:
        expiry = find_expiry(instrument, market, row)
        mark, seconds = expiry.forward, expiry.seconds
    amount = _read_amount(row)
    profit = row.number("profit", default=0.0)
    entry = row.positive("entry_price") if row.has("entry_price") else None
    if entry is not None:
        if row.has("profit"):
            raise row.refuse("profit", "is given beside entry_price; give one of them")
        # An inverse contract is a number of dollars, so that its profit in coin is at the entry's price.
        profit = amount * (mark - entry) / entry * underlying.spot if instrument.is_inverse else amount * (mark - entry)
    return FuturePosition(
        row=_label(row, instrument),
        underlying=instrument.underlying,
        amount=amount,
        mark=mark,
        seconds=seconds,
        profit=profit,
        funding=row.number("funding", default=0.0),
        is_inverse=instrument.is_inverse,
        entry=entry,
    )


def _read_collateral(row: Row) -> Collateral:
    return Collateral(
        row=row.label,
        asset=row.text("asset"),
        amount=row.number("amount", least=0.0, most=AMOUNT_MAX),
        price=row.positive("price"),
        confidence=row.share("confidence", default=1.0),
        haircut_maintenance=row.share("haircut_maintenance") if row.has("haircut_maintenance") else None,
        haircut_initial=row.share("haircut_initial") if row.has("haircut_initial") else None,
        is_risk_cancelling=row.flag("risk_cancelling", default=False),
    )


def _read_order(row: Row, market: Market) -> OpenOrder:
    instrument = read_instrument(row)
    if instrument.is_inverse or instrument.expiry is None:
        raise row.refuse(
            "instrument", f"{instrument.name} has no open orders here; only options and dated futures in USDC"
        )
    expiry = find_expiry(instrument, market, row)
    amount = _read_amount(row)
    if amount == 0:
        raise row.refuse("amount", "an order buys above zero or sells below it")
    return OpenOrder(
        row=_label(row, instrument),
        underlying=instrument.underlying,
        seconds=expiry.seconds,
        strike=instrument.strike,
        is_call=instrument.is_call,
        amount=amount,
        price=row.positive("price", most=PRICE_MAX),
        is_quote=row.flag("quote", default=False),
    )


def _read_amount(row: Row) -> float:
    return row.number("amount", least=-AMOUNT_MAX, most=AMOUNT_MAX)


def _label(row: Row, instrument: Instrument) -> str:
    return f"{row.label} {instrument.name}"
