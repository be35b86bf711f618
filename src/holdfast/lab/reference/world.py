"""The whole state as plain dicts, one a table, and the movements of money. Nothing here is derived from anything."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from holdfast.lab.reference.refusals import NotCoveredError, RefusedError
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record  # noqa: TC001 -- what a world holds is said where it begins
from holdfast.protocol.accounts.state import ACCOUNTS, NEXT_ACCOUNT, NONCES, SESSIONS, Account, NonceWindow, Session
from holdfast.protocol.book.state import NEXT_ORDER, ORDERS, Order
from holdfast.protocol.chain import CHAIN, CLOCK, Chain, Clock
from holdfast.protocol.collateral.params import COLLATERAL, CollateralAsset
from holdfast.protocol.custody.params import CUSTODY_PARAMS, CustodyParams
from holdfast.protocol.instruments.params import CONTRACT_SPECS, INSTRUMENT_PARAMS, ContractSpec, InstrumentParams
from holdfast.protocol.instruments.state import INSTRUMENTS, NEXT_INSTRUMENT, Instrument
from holdfast.protocol.ledger.state import BALANCES, DUST, VAULT, VaultTotals
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS, LiquidationParams
from holdfast.protocol.liquidation.state import LIQUIDATIONS, SOCIALISED, Liquidation, Socialised
from holdfast.protocol.margin.params import MARGIN_PARAMS, MarginParams
from holdfast.protocol.margin.state import CHARGE_SCALES, DAY, DAY_STARTS, FROZEN, PROTECTIONS, DayStart, Protection
from holdfast.protocol.oracle.params import ORACLE_PARAMS, OracleParams
from holdfast.protocol.oracle.state import FEEDS, Feed
from holdfast.protocol.portfolio.state import POSITIONS, Position
from holdfast.protocol.ranges.params import RANGE_LIMITS, RANGE_PARAMS, RangeLimits, RangeParams
from holdfast.protocol.ranges.state import CORRELATIONS, RANGES, Correlation, Range
from holdfast.protocol.schema import TABLES
from holdfast.protocol.settlement.params import SETTLEMENT_PARAMS, SettlementParams
from holdfast.protocol.settlement.state import DAILY_RUN, SETTLEMENTS, WINDOWS, DailyRun, Settlement, Window
from holdfast.protocol.staking.state import MISBEHAVIORS, VALIDATORS, Validator
from holdfast.protocol.surface.params import SURFACE_PARAMS, ScenarioGrid
from holdfast.protocol.surface.state import MARKS, RISK_ROWS, SURFACES, Mark, Surface
from holdfast.protocol.trading.params import TRADING_PARAMS, TradingParams
from holdfast.state.table import AnyTable

INSURANCE_FUND: Final = 1
TREASURY: Final = 2
DEPOSIT_ESCROW: Final = 3
BACKSTOP: Final = 4
FEE_POT: Final = 5
FUND_DEBT: Final = 6
FIRST_USER: Final = 1_000
CLEARING_POTS: Final = 2**40

USDC: Final = 0
BTC: Final = 1
ETH: Final = 2
USDT: Final = 3
COINS: Final = (BTC, ETH, USDT)
UNDERLYINGS: Final = (BTC, ETH)
# Atoms of one whole coin.
ASSET_ATOMS: Final = {USDC: 10**6, BTC: 10**8, ETH: 10**8, USDT: 10**6}

_TABLE_OF: Final[dict[str, AnyTable]] = {
    "accounts": ACCOUNTS,
    "sessions": SESSIONS,
    "nonces": NONCES,
    "next_account": NEXT_ACCOUNT,
    "balances": BALANCES,
    "vault": VAULT,
    "dust": DUST,
    "collateral": COLLATERAL,
    "positions": POSITIONS,
    "validators": VALIDATORS,
    "misbehaviors": MISBEHAVIORS,
    "instruments": INSTRUMENTS,
    "next_instrument": NEXT_INSTRUMENT,
    "instrument_params": INSTRUMENT_PARAMS,
    "contract_specs": CONTRACT_SPECS,
    "feeds": FEEDS,
    "oracle_params": ORACLE_PARAMS,
    "surfaces": SURFACES,
    "marks": MARKS,
    "risk_rows": RISK_ROWS,
    "grids": SURFACE_PARAMS,
    "range_params": RANGE_PARAMS,
    "range_limits": RANGE_LIMITS,
    "ranges": RANGES,
    "correlations": CORRELATIONS,
    "charge_scales": CHARGE_SCALES,
    "orders": ORDERS,
    "next_order": NEXT_ORDER,
    "frozen": FROZEN,
    "day_starts": DAY_STARTS,
    "margin_params": MARGIN_PARAMS,
    "protections": PROTECTIONS,
    "day": DAY,
    "trading_params": TRADING_PARAMS,
    "custody_params": CUSTODY_PARAMS,
    "windows": WINDOWS,
    "settlements": SETTLEMENTS,
    "daily_run": DAILY_RUN,
    "settlement_params": SETTLEMENT_PARAMS,
    "liquidation_params": LIQUIDATION_PARAMS,
    "liquidations": LIQUIDATIONS,
    "socialised": SOCIALISED,
    "chain": CHAIN,
    "clock": CLOCK,
}

Snapshot = dict[str, dict[object, object]]


class World:
    """Every row of the state, and what the running command has done so far."""

    def __init__(self) -> None:  # noqa: PLR0915 -- one a table
        """Start with nothing."""
        self.accounts: dict[int, Account] = {}
        self.sessions: dict[tuple[int, bytes], Session] = {}
        self.nonces: dict[tuple[int, bytes], NonceWindow] = {}
        self.next_account: dict[int, int] = {}
        self.balances: dict[tuple[int, int], int] = {}
        self.vault: dict[int, VaultTotals] = {}
        self.dust: dict[int, int] = {}
        self.collateral: dict[int, CollateralAsset] = {}
        self.positions: dict[tuple[int, int], Position] = {}
        self.validators: dict[int, Validator] = {}
        self.misbehaviors: dict[tuple[int, int], int] = {}
        self.instruments: dict[int, Instrument] = {}
        self.next_instrument: dict[int, int] = {}
        self.instrument_params: dict[int, InstrumentParams] = {}
        self.contract_specs: dict[int, ContractSpec] = {}
        self.feeds: dict[int, Feed] = {}
        self.oracle_params: dict[int, OracleParams] = {}
        self.surfaces: dict[int, Surface] = {}
        self.marks: dict[int, Mark] = {}
        self.risk_rows: dict[int, bytes] = {}
        self.grids: dict[int, ScenarioGrid] = {}
        self.range_params: dict[int, RangeParams] = {}
        self.range_limits: dict[int, RangeLimits] = {}
        self.ranges: dict[int, Range] = {}
        self.correlations: dict[int, Correlation] = {}
        self.charge_scales: dict[int, int] = {}
        self.orders: dict[int, Order] = {}
        self.next_order: dict[int, int] = {}
        self.frozen: dict[int, int] = {}
        self.day_starts: dict[int, DayStart] = {}
        self.margin_params: dict[int, MarginParams] = {}
        self.protections: dict[tuple[int, int], Protection] = {}
        self.day: dict[int, int] = {}
        self.trading_params: dict[int, TradingParams] = {}
        self.custody_params: dict[int, CustodyParams] = {}
        self.windows: dict[tuple[int, int], Window] = {}
        self.settlements: dict[tuple[int, int], Settlement] = {}
        self.daily_run: dict[int, DailyRun] = {}
        self.settlement_params: dict[int, SettlementParams] = {}
        self.liquidation_params: dict[int, LiquidationParams] = {}
        self.liquidations: dict[int, Liquidation] = {}
        self.socialised: dict[int, Socialised] = {}
        self.chain: dict[int, Chain] = {}
        self.clock: dict[int, Clock] = {}
        # The block that runs.
        self.height = 0
        self.now_ms = 0
        self.events: list[Record] = []
        unknown = [table.name for table in TABLES if table.tag is not None and table not in _TABLE_OF.values()]
        if unknown:
            raise NotCoveredError(f"table {unknown[0]}")

    def copy(self) -> Snapshot:
        """Return a copy of every dict; the records in them never change."""
        return {name: dict(getattr(self, name)) for name in _TABLE_OF}

    def restore(self, copy: Snapshot) -> None:
        """Go back to a copy."""
        for name, rows in copy.items():
            setattr(self, name, dict(rows))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Keep what is done inside whole, or nothing of it where it is refused."""
        copy, events = self.copy(), list(self.events)
        try:
            yield
        except RefusedError:
            self.restore(copy)
            self.events = events
            raise

    def rows(self) -> dict[bytes, bytes]:
        """Return every row of the root as bytes."""
        return {
            table.encode_key(key): table.encode_value(value)
            for name, table in _TABLE_OF.items()
            for key, value in getattr(self, name).items()
        }

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take rows of the root out of their bytes."""
        names = {table.tag: name for name, table in _TABLE_OF.items()}
        for key, value in rows:
            table = _TABLE_OF[names[key[0]]]
            getattr(self, names[key[0]])[table.decode_key(key)] = table.decode_value(value)

    def balance(self, account_id: int, asset_id: int) -> int:
        """Return a balance in atoms."""
        return self.balances.get((account_id, asset_id), 0)

    def cash(self, account_id: int) -> int:
        """Return a balance in USDC atoms."""
        return self.balance(account_id, USDC)

    def add(self, account_id: int, asset_id: int, change: int) -> None:
        """Change one balance; a balance of nothing has no row."""
        after = self.balance(account_id, asset_id) + change
        ensure(after >= 0 or asset_id == USDC, "only USDC can be owed")
        if after:
            self.balances[account_id, asset_id] = after
        else:
            self.balances.pop((account_id, asset_id), None)

    def pay(self, payer_id: int, payee_id: int, amount: int, asset_id: int = USDC) -> None:
        """Move an amount between two accounts; a negative one moves the other way."""
        self.add(payer_id, asset_id, -amount)
        self.add(payee_id, asset_id, amount)

    def put_in(self, account_id: int, asset_id: int, amount: int) -> None:
        """Credit what has come into the vault."""
        totals = self.vault.get(asset_id, VaultTotals(0, 0))
        self.vault[asset_id] = VaultTotals(totals.deposited_atoms + amount, totals.withdrawn_atoms)
        self.add(account_id, asset_id, amount)

    def take_out(self, account_id: int, asset_id: int, amount: int) -> None:
        """Debit what leaves the vault."""
        totals = self.vault[asset_id]
        self.vault[asset_id] = VaultTotals(totals.deposited_atoms, totals.withdrawn_atoms + amount)
        self.add(account_id, asset_id, -amount)

    def holdings(self, account_id: int) -> list[int]:
        """Return the instruments that an account holds, ascending."""
        return sorted(instrument_id for holder_id, instrument_id in self.positions if holder_id == account_id)

    def holders(self, instrument_id: int) -> list[int]:
        """Return the accounts that hold an instrument, ascending."""
        return sorted(holder_id for holder_id, held_id in self.positions if held_id == instrument_id)

    def lots(self, account_id: int, instrument_id: int) -> int:
        """Return an account's signed lots of an instrument."""
        position = self.positions.get((account_id, instrument_id))
        return 0 if position is None else position.lots

    def series(self) -> dict[tuple[int, int], list[int]]:
        """Return the instruments of each (underlying, expiry), both in order."""
        found: dict[tuple[int, int], list[int]] = {}
        for instrument_id, instrument in sorted(self.instruments.items()):
            found.setdefault((instrument.underlying, instrument.expiry_ms), []).append(instrument_id)
        return dict(sorted(found.items()))

    def owner_account(self, owner_key: bytes) -> int | None:
        """Return the main account of an owner's key."""
        for account_id, account in self.accounts.items():
            if account_id >= FIRST_USER and account.parent_id == 0 and account.owner_key == owner_key:
                return account_id
        return None

    def family(self, account_id: int) -> int:
        """Return the main account behind an account."""
        account = self.accounts.get(account_id)
        return account_id if account is None or account.parent_id == 0 else account.parent_id


def is_margined(account_id: int) -> bool:
    """Return whether an account is judged by margin: users' accounts and the backstop."""
    return account_id == BACKSTOP or FIRST_USER <= account_id < CLEARING_POTS
