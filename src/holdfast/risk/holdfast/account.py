"""A portfolio as an account of the exchange: its balances, positions, orders and protections, and what margin says."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from holdfast.primitives.reject import RejectedError
from holdfast.primitives.units import HOUR_MS
from holdfast.protocol.accounts.state import FIRST_USER_ACCOUNT, INSURANCE_FUND
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import FLAG_QUOTE, Order, Side
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES, USDC
from holdfast.protocol.limits import (
    ACCOUNT_LOTS_MAX,
    AMOUNT_ATOMS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    POSITIONS_PER_ACCOUNT_MAX,
)
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.state import PROTECTIONS, AccountRisk, Protection, Requirement
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.rebuild import restore
from holdfast.protocol.surface.state import RISK_ARRAY
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.protocol.trading.rules import check_size_and_price
from holdfast.risk.holdfast import amounts
from holdfast.risk.holdfast.market import Contract, Market, open_market
from holdfast.risk.portfolio import FuturePosition, OpenOrder, OptionPosition, Portfolio
from holdfast.risk.rows import InputError
from holdfast.state.draft import Draft

ACCOUNT_ID: Final = FIRST_USER_ACCOUNT
_COINS_MAX: Final = 2**53


class Account(NamedTuple):
    """An account in a market of its own, and what margin says of it."""

    market: Market
    risk: AccountRisk
    requirement: Requirement
    cash_atoms: int

    @property
    def draft(self) -> Draft:
        return self.market.draft


def open_account(portfolio: Portfolio) -> Account:
    """Return a portfolio as the exchange would hold and margin it.

    Refuses: perpetuals and inverse contracts, amounts that are no lots, and whatever the exchange would not take.
    """
    contracts = dict(_list_contracts(portfolio))
    market = open_market(portfolio, contracts)
    draft = market.draft
    _put_balances(draft, portfolio)
    for position in portfolio.positions:
        _put_position(market, position)
    _check_counts(portfolio)
    for number, order in enumerate(portfolio.orders, 1):
        _put_order(market, number, order)
    for name, protection in portfolio.protections.items():
        underlying = amounts.get_underlying(name, protection.row)
        lots = amounts.count_lots(protection.amount, underlying, protection.row)
        draft[PROTECTIONS].put((ACCOUNT_ID, underlying), Protection(lots, HOUR_MS, 0, 0, 0))
    # As a replica does after its rows were loaded: everything derived is made from them.
    restore(draft)
    risk = margin.get_risk(draft, ACCOUNT_ID)
    if sum(risk.gross_lots) + risk.open_lots > ACCOUNT_LOTS_MAX:
        raise InputError(
            "positions", "amount", f"positions and orders are more than {ACCOUNT_LOTS_MAX:,} lots together"
        )
    requirement = margin.get_requirement(draft, ACCOUNT_ID)
    return Account(market, risk, requirement, ledger.get_cash(draft, ACCOUNT_ID))


def name_contract(position: OptionPosition | FuturePosition | OpenOrder) -> Contract:
    """Return the instrument of a position or an order.

    Refuses: perpetuals and inverse contracts, which the exchange does not list.
    """
    if isinstance(position, OptionPosition):
        if position.is_inverse:
            raise InputError(position.row, "instrument", "the exchange lists no inverse contracts; use the _USDC book")
        return Contract(position.underlying, position.seconds, position.strike, position.is_call)
    if isinstance(position, OpenOrder):
        return Contract(
            position.underlying, position.seconds, position.strike or 0.0, position.is_call or not position.strike
        )
    if position.seconds is None:
        raise InputError(position.row, "instrument", "the exchange lists no perpetual; its futures are dated")
    if position.is_inverse:
        raise InputError(position.row, "instrument", "the exchange lists no inverse contracts; use the _USDC book")
    return Contract(position.underlying, position.seconds, 0.0, is_call=True)


def _list_contracts(portfolio: Portfolio) -> Iterator[tuple[Contract, str]]:
    """Yield each contract once, with its first row, in an order that does not depend on the rows'."""
    rows: dict[Contract, str] = {}
    holders: list[OptionPosition | FuturePosition | OpenOrder] = [*portfolio.positions, *portfolio.orders]
    for position in holders:
        rows.setdefault(name_contract(position), position.row)
    yield from sorted(rows.items())


def _put_balances(draft: Draft, portfolio: Portfolio) -> None:
    cash = amounts.to_usdc_atoms(portfolio.cash, "account", "cash")
    ledger.move(draft, INSURANCE_FUND, ACCOUNT_ID, USDC, cash)
    for coin in portfolio.collaterals:
        asset_id = ASSET_NAMES.index(coin.asset)
        atoms = amounts.to_atoms(coin.amount, ASSET_ATOMS[asset_id], coin.row, "amount")
        if ledger.get_balance(draft, ACCOUNT_ID, asset_id) + atoms > AMOUNT_ATOMS_MAX:
            raise InputError(
                coin.row, "amount", f"all rows of {coin.asset} together are more than one account can hold"
            )
        if atoms:
            ledger.deposit(draft, ACCOUNT_ID, asset_id, atoms)


def _put_position(market: Market, position: OptionPosition | FuturePosition) -> None:
    draft, contract = market.draft, name_contract(position)
    number = market.ids[contract]
    lots = amounts.count_lots(position.amount, amounts.UNDERLYINGS[contract.underlying], position.row)
    if not lots:
        return
    if (ACCOUNT_ID, number) in draft[POSITIONS]:
        raise InputError(position.row, "instrument", "is given twice")
    value = lots * draft[RISK_ARRAY][0].lines[number].value_atoms
    cost = value if isinstance(position, OptionPosition) else _count_cost(position, value)
    if abs(cost) > AMOUNT_ATOMS_MAX:
        raise InputError(position.row, "amount", f"{position.amount:g} is worth more than one position can hold")
    draft[POSITIONS].put((ACCOUNT_ID, number), Position(lots, cost))


def _count_cost(future: FuturePosition, value_atoms: int) -> int:
    """Return what a future was entered at: by its price, or by its profit against the exchange's own mark."""
    if future.funding:
        raise InputError(future.row, "funding", "a dated future has none")
    if future.entry is not None:
        return amounts.to_usdc_atoms(future.amount * future.entry, future.row, "entry_price")
    return value_atoms - amounts.to_usdc_atoms(future.profit, future.row, "profit")


def _put_order(market: Market, number: int, order: OpenOrder) -> None:
    draft, contract = market.draft, name_contract(order)
    underlying = amounts.UNDERLYINGS[contract.underlying]
    lots = amounts.count_lots(order.amount, underlying, order.row)
    ticks = amounts.count_ticks(order.price, underlying, order.row)
    instrument_id = market.ids[contract]
    instrument = draft[INSTRUMENTS][instrument_id]
    try:
        check_size_and_price(draft[TRADING_PARAMS][0], draft[RISK_ARRAY][0], instrument, abs(lots), ticks)
    except RejectedError as refusal:
        raise InputError(order.row, "amount and price", f"the exchange refuses the order: {refusal}") from None
    side, flags = (Side.BUY if lots > 0 else Side.SELL), FLAG_QUOTE if order.is_quote else 0
    if order.is_quote and book.get_quote(draft, ACCOUNT_ID, instrument_id, side) is not None:
        raise InputError(order.row, "quote", "an account has one quote a side of an instrument")
    book.add(draft, number, Order(ACCOUNT_ID, instrument_id, side, ticks, abs(lots), number, flags, 0))


def _check_counts(portfolio: Portfolio) -> None:
    for name, count, most in (
        ("positions", len(portfolio.positions), POSITIONS_PER_ACCOUNT_MAX),
        ("orders", len(portfolio.orders), ORDERS_PER_ACCOUNT_MAX),
    ):
        if count > most:
            raise InputError(name, "", f"{count} of them; an account has at most {most}")
    for order in portfolio.orders:
        if order.is_quote and order.underlying not in portfolio.protections:
            raise InputError(
                order.row, "quote", f"no row of protections of {order.underlying}; without one it is refused"
            )
