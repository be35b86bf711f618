"""The first state: who validates, who has what, and every parameter at its default."""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from msgspec import Meta

from holdfast.primitives import codec, crypto
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.protocol.accounts import handlers as accounts
from holdfast.protocol.accounts.state import ACCOUNTS, BACKSTOP, INSURANCE_FUND, Account
from holdfast.protocol.chain import CHAIN, CLOCK, Chain, Clock
from holdfast.protocol.collateral import params as collateral
from holdfast.protocol.custody import params as custody
from holdfast.protocol.custody.messages import Deposited
from holdfast.protocol.instruments import params as instruments
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.ledger.state import USDC
from holdfast.protocol.limits import ACCOUNTS_MAX, COIN_ATOMS_MAX, U64, VALIDATORS_MAX, Key32
from holdfast.protocol.liquidation import params as liquidation
from holdfast.protocol.margin import params as margin
from holdfast.protocol.oracle import params as oracle
from holdfast.protocol.ranges import handlers as ranges
from holdfast.protocol.ranges.params import LIMITS, RangeHistory, RangeLimits, RangeParams
from holdfast.protocol.rebuild import refresh_columns
from holdfast.protocol.settlement import params as settlement
from holdfast.protocol.staking.state import VALIDATORS, Validator
from holdfast.protocol.surface import params as surface
from holdfast.protocol.trading import params as trading
from holdfast.state.draft import Draft
from holdfast.state.table import Table

V = TypeVar("V")

GENESIS_BYTES_MAX: Final = 64 * 1024 * 1024


class GenesisAccount(Record):
    """An account that exists from the start, with what it has put in: (asset, atoms) pairs."""

    owner_key: Key32
    deposits: tuple[tuple[U64, U64], ...]


class Genesis(Record):
    """All that a chain starts from. Its bytes' hash is part of every signature's domain."""

    chain_id: Annotated[str, Meta(min_length=1, max_length=48)]
    time_ms: U64
    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
    custodian_key: Key32
    accounts: Annotated[tuple[GenesisAccount, ...], Meta(max_length=100_000)] = ()
    insurance_atoms: U64 = 0
    backstop_atoms: U64 = 0
    trading_params: trading.TradingParams = trading.TradingParams()
    margin_params: margin.MarginParams = margin.MarginParams()
    liquidation_params: liquidation.LiquidationParams = liquidation.LiquidationParams()
    instrument_params: instruments.InstrumentParams = instruments.InstrumentParams()
    oracle_params: oracle.OracleParams = oracle.OracleParams()
    range_params: RangeParams = RangeParams()
    range_limits: Annotated[tuple[RangeLimits, ...], Meta(max_length=64)] = LIMITS
    range_history: Annotated[tuple[RangeHistory, ...], Meta(max_length=64)] = ()


DECODER: Final = codec.Decoder(Genesis, max_bytes=GENESIS_BYTES_MAX, max_items=4_000_000)


def build(draft: Draft, genesis_bytes: bytes) -> tuple[Record, ...]:
    """Write the first state into an empty draft; return its deposits as events.

    Refuses: Malformed bytes. A genesis that breaks a bound halts, since there is nothing to go back to.
    """
    genesis = DECODER.decode(genesis_bytes)
    ensure(len(genesis.accounts) <= ACCOUNTS_MAX, "genesis accounts fit")
    draft[CHAIN].put(0, Chain(genesis.chain_id, crypto.sha256(genesis_bytes)))
    # One before the genesis time, which the first block itself may carry.
    draft[CLOCK].put(0, Clock(0, max(0, genesis.time_ms - 1)))
    for index, validator in enumerate(genesis.validators):
        ensure(validator.power > 0, "a genesis validator has power")
        draft[VALIDATORS].put(index, validator)
    _write_params(draft, genesis)
    for account_id in (INSURANCE_FUND, BACKSTOP):
        draft[ACCOUNTS].put(account_id, Account(bytes(32), 0, 0, 0))
    events: list[Record] = []
    for account_id, amount in ((INSURANCE_FUND, genesis.insurance_atoms), (BACKSTOP, genesis.backstop_atoms)):
        if amount:
            ledger.deposit(draft, account_id, USDC, amount)
            events.append(Deposited(account_id, USDC, amount))
    for account in genesis.accounts:
        opened = accounts.open_account(draft, account.owner_key)
        events.append(opened)
        for asset_id, amount in account.deposits:
            ledger.deposit(draft, opened.account_id, asset_id, amount)
            events.append(Deposited(opened.account_id, asset_id, amount))
    for asset_id in collateral.COINS:
        held = ledger.get_held_atoms(ledger.get_vault(draft, asset_id))
        ensure(held <= COIN_ATOMS_MAX, "all coins of a kind fit one balance, whoever they come to")
    refresh_columns(draft)
    return tuple(events)


def _write_params(draft: Draft, genesis: Genesis) -> None:
    for module in (collateral, instruments, oracle, surface, settlement):
        module.initialise(draft)
    _put(draft, custody.CUSTODY_PARAMS, custody.CustodyParams(genesis.custodian_key), custody.check)
    _put(draft, trading.TRADING_PARAMS, genesis.trading_params, trading.check)
    _put(draft, margin.MARGIN_PARAMS, genesis.margin_params, margin.check)
    _put(draft, liquidation.LIQUIDATION_PARAMS, genesis.liquidation_params, liquidation.check)
    _put(draft, instruments.INSTRUMENT_PARAMS, genesis.instrument_params, instruments.check)
    _put(draft, oracle.ORACLE_PARAMS, genesis.oracle_params, oracle.check)
    ranges.initialise(draft, genesis.range_params, genesis.range_limits, genesis.range_history)


def _put(draft: Draft, table: Table[int, V], params: V, check: Callable[[V], None]) -> None:
    check(params)
    draft[table].put(0, params)
