"""Stored balances."""

from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64
from holdfast.state.columns import Columns
from holdfast.state.table import Table

USDC: Final = 0
BTC: Final = 1
ETH: Final = 2
USDT: Final = 3
ASSET_NAMES: Final = ("USDC", "BTC", "ETH", "USDT")
# Atoms of one whole unit of each asset.
ASSET_ATOMS: Final = (10**6, 10**8, 10**8, 10**6)


class VaultTotals(Record):
    """What has ever come in and gone out of one asset."""

    deposited_atoms: U64
    withdrawn_atoms: U64


BALANCES: Final = Table[tuple[int, int], int]("balances", ["u64", "u64"], int, tag=10)
VAULT: Final = Table[int, VaultTotals]("vault", ["u64"], VaultTotals, tag=11)
# Balances of margined accounts by page: place of the account in its page -> atoms; of coins BTC, ETH and USDT.
# Why apart: cash changes with every fill, coins hardly ever.
CASH_PAGES: Final = Table[int, Columns]("cash pages", ["u64"], Columns, tag=None)
COIN_PAGES: Final = Table[int, Columns]("coin pages", ["u64"], Columns, tag=None)
DUST: Final = Table[int, int]("dust", ["u64"], int, tag=12)
