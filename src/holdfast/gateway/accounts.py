"""What the API shows of accounts: balances, margin, positions."""

from bisect import bisect_left
from itertools import islice

from holdfast.gateway.instruments import Instruments
from holdfast.gateway.numbers import E12, amount_of, quotient, usd, usdc, whole
from holdfast.gateway.objects import QUOTE_CURRENCY, Shown, kind_of
from holdfast.primitives.units import E8, PPM, USDC_ATOMS
from holdfast.protocol.accounts.messages import Scope
from holdfast.protocol.accounts.state import ACCOUNTS, SESSIONS, Account
from holdfast.protocol.book import handlers as book
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.collateral.rules import compute_value_atoms
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.handlers import get_balance
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.limits import SUBACCOUNTS_MAX
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.state import FROZEN, PROTECTIONS
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import MARKS, RISK_ARRAY
from holdfast.state.draft import Draft

_NO_KEY = bytes(32)
_GAMMA_DECIMALS = 12


def show_account(draft: Draft, account_id: int, account: Account) -> Shown:
    """Return who an account is and what it has."""
    return {
        "account_id": account_id,
        "owner_key": account.owner_key.hex(),
        "parent_id": account.parent_id,
        "is_main": account.parent_id == 0,
        "balances": show_balances(draft, account_id),
        "sessions": _show_sessions(draft, account_id, account),
        "subaccounts": _list_subaccounts(draft, account_id, account),
        "in_liquidation": account_id in draft[FROZEN],
        "open_orders": len(book.get_open_orders(draft, account_id)),
        "positions": len(portfolio.get_holdings(draft, account_id)),
        "protections": _show_protections(draft, account_id),
    }


def show_balances(draft: Draft, account_id: int) -> list[Shown]:
    """Return every asset's balance."""
    shown: list[Shown] = []
    for asset_id, asset in enumerate(ASSET_NAMES):
        atoms = get_balance(draft, account_id, asset_id)
        entry: Shown = {"asset": asset, "asset_id": asset_id, "atoms": atoms, "amount": whole(atoms, asset_id)}
        feed = draft[FEEDS].get(asset_id)
        if asset_id in COINS and feed is not None:
            counted_atoms = compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, atoms, feed.price_e8)
            entry["collateral_value"] = usdc(counted_atoms)
        shown.append(entry)
    return shown


def _show_sessions(draft: Draft, account_id: int, account: Account) -> list[Shown]:
    if not account.sessions:
        return []
    keys = draft[SESSIONS].keys()
    first = bisect_left(keys, (account_id, b""))
    mine = [key for owner, key in islice(keys, first, first + account.sessions) if owner == account_id]
    return [
        {
            "key": key.hex(),
            "scopes": [scope.name for scope in Scope if session.scopes & scope],
            "scopes_bits": session.scopes,
            "expires_ms": session.expires_ms,
        }
        for key, session in ((key, draft[SESSIONS][account_id, key]) for key in mine)
    ]


def _list_subaccounts(draft: Draft, account_id: int, account: Account) -> list[int]:
    """Return an account's subaccounts, which all have higher ids."""
    found: list[int] = []
    if account.subaccounts:
        keys = draft[ACCOUNTS].keys()
        for other in islice(keys, bisect_left(keys, account_id), None):
            if draft[ACCOUNTS][other].parent_id == account_id:
                found.append(other)
            if len(found) == min(account.subaccounts, SUBACCOUNTS_MAX):
                break
    return found


def _show_protections(draft: Draft, account_id: int) -> list[Shown]:
    found = ((underlying, draft[PROTECTIONS].get((account_id, underlying))) for underlying in range(len(ASSET_NAMES)))
    return [
        {
            "underlying": ASSET_NAMES[underlying],
            "limit_lots": protection.limit_lots,
            "window_ms": protection.window_ms,
            "filled_lots": protection.filled_lots,
            "frozen_until_ms": protection.frozen_until_ms,
        }
        for underlying, protection in found
        if protection is not None
    ]


def show_margin(draft: Draft, account_id: int) -> Shown:
    """Return ACCOUNT's figures: equity, requirements, what is free; in USDC, and in atoms for whoever checks."""
    risk = margin.get_risk(draft, account_id)
    need = rules.compute_requirement(draft, account_id, risk)
    cash_atoms = get_balance(draft, account_id, 0)
    free_atoms = max(0, need.equity_atoms - need.initial_atoms)
    out_atoms = rules.compute_withdrawable_atoms(draft, account_id, risk)
    figures = {
        "equity": need.equity_atoms,
        "balance": cash_atoms,
        "initial_margin": need.initial_atoms,
        "maintenance_margin": need.maintenance_atoms,
        "available_funds": free_atoms,
        "available_withdrawal_funds": out_atoms,
        "marks": risk.marks_atoms,
        "collateral": risk.collateral_atoms,
        "session_upl": risk.unrealised_atoms,
    }
    shown: Shown = {name: usdc(value_atoms) for name, value_atoms in figures.items()}
    shown |= {f"{name}_atoms": value_atoms for name, value_atoms in figures.items()}
    return shown | {
        "account_id": account_id,
        "currency": QUOTE_CURRENCY,
        "available": usdc(free_atoms),
        "margin_balance": usdc(need.equity_atoms),
        "in_liquidation": account_id in draft[FROZEN],
        "portfolio_margining_enabled": True,
        "margin_model": "segregated_pm",
        "open_lots": risk.open_lots,
    }


def show_positions(draft: Draft, known: Instruments, account_id: int) -> list[Shown]:
    """Return POSITION of everything that an account holds."""
    return [_show_position(draft, known, account_id, held) for held in portfolio.get_holdings(draft, account_id)]


def _show_position(draft: Draft, known: Instruments, account_id: int, instrument_id: int) -> Shown:
    instrument = draft[INSTRUMENTS][instrument_id]
    position, mark = draft[POSITIONS][account_id, instrument_id], draft[MARKS].get(instrument_id)
    array = draft[RISK_ARRAY].get(0)
    line = None if array is None else array.lines.get(instrument_id)
    feed = draft[FEEDS].get(instrument.underlying)
    lots = position.lots
    size_e8 = lots * instrument.lot_e8
    value_atoms = 0 if line is None else line.value_atoms * lots
    floating_atoms = value_atoms - position.cost_atoms
    worst_atoms = 0 if line is None else max(0, -int((line.row * lots).min()))
    shown: Shown = {
        "instrument_name": instrument.name,
        "instrument_id": instrument_id,
        "kind": kind_of(instrument),
        "direction": "buy" if lots > 0 else "sell",
        "size": amount_of(lots, instrument),
        "lots": lots,
        "average_price": quotient(position.cost_atoms * E8, size_e8 * USDC_ATOMS),
        "cost_atoms": position.cost_atoms,
        "mark_price": None if mark is None else usd(mark.mark_e8),
        "value_atoms": value_atoms,
        "index_price": None if feed is None else usd(feed.price_e8),
        "floating_profit_loss": usdc(floating_atoms),
        "floating_profit_loss_atoms": floating_atoms,
        "total_profit_loss": usdc(floating_atoms),
        # Of this position alone: the worst scenario, before what else the account holds makes up for it.
        "worst_loss": usdc(worst_atoms),
        "settlement_timestamp": instrument.expiry_ms,
        "creation_timestamp": known.listed_ms(instrument_id),
    }
    if mark is not None:
        is_future = instrument.kind == Kind.FUTURE
        shown |= {
            "delta": quotient(mark.delta_ppm * size_e8, PPM * E8),
            "gamma": 0.0 if is_future else quotient(mark.gamma_e12 * size_e8, E12 * E8, _GAMMA_DECIMALS),
            "vega": quotient(mark.vega_e8 * size_e8, E8 * E8),
            "theta": quotient(mark.theta_e8 * size_e8, E8 * E8),
        }
    return shown
