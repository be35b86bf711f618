"""Every table of the exchange, in the order of their tags; derived ones last."""

from typing import Any, Final

from holdfast.protocol.accounts import state as accounts
from holdfast.protocol.book import state as book
from holdfast.protocol.chain import CHAIN, CLOCK
from holdfast.protocol.collateral.params import COLLATERAL
from holdfast.protocol.custody.params import CUSTODY_PARAMS
from holdfast.protocol.instruments import state as instruments
from holdfast.protocol.instruments.params import CONTRACT_SPECS, INSTRUMENT_PARAMS
from holdfast.protocol.ledger import state as ledger
from holdfast.protocol.liquidation import state as liquidation
from holdfast.protocol.liquidation.params import LIQUIDATION_PARAMS
from holdfast.protocol.margin import state as margin
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.oracle import state as oracle
from holdfast.protocol.oracle.params import ORACLE_PARAMS
from holdfast.protocol.portfolio import state as portfolio
from holdfast.protocol.ranges import state as ranges
from holdfast.protocol.ranges.params import RANGE_LIMITS, RANGE_PARAMS
from holdfast.protocol.settlement import state as settlement
from holdfast.protocol.settlement.params import SETTLEMENT_PARAMS
from holdfast.protocol.staking import state as staking
from holdfast.protocol.surface import state as surface
from holdfast.protocol.surface.params import SURFACE_PARAMS
from holdfast.protocol.trading import state as trading
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.state.table import Table


def _tables_of(*modules: object) -> list[Table[Any, Any]]:
    names = [vars(module) for module in modules]  # det-ok: what a module declares is the same in every process
    found = [value for named in names for _, value in sorted(named.items()) if isinstance(value, Table)]
    return list(dict.fromkeys(found))


_ALL: Final = [
    *_tables_of(
        accounts,
        book,
        instruments,
        ledger,
        liquidation,
        margin,
        oracle,
        portfolio,
        ranges,
        settlement,
        staking,
        surface,
        trading,
    ),
    CHAIN,
    CLOCK,
    COLLATERAL,
    CUSTODY_PARAMS,
    CONTRACT_SPECS,
    INSTRUMENT_PARAMS,
    LIQUIDATION_PARAMS,
    MARGIN_PARAMS,
    ORACLE_PARAMS,
    RANGE_LIMITS,
    RANGE_PARAMS,
    SETTLEMENT_PARAMS,
    SURFACE_PARAMS,
    TRADING_PARAMS,
]
TABLES: Final = tuple(sorted(dict.fromkeys(_ALL), key=lambda table: (table.tag is None, table.tag or 0, table.name)))
