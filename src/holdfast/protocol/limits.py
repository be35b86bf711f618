"""Every bound of the exchange, and how the bounds relate. What is not bounded here is bounded by something that is."""

from typing import Annotated, Final

from msgspec import Meta

from holdfast.primitives.check import ensure

TX_BYTES_MAX: Final = 16 * 1024
COMMAND_DEPTH_MAX: Final = 8
COMMAND_ITEMS_MAX: Final = 4_096
BLOCK_BYTES_MAX: Final = 2 * 1024 * 1024
BLOCK_TXS_MAX: Final = 10_000
EXTENSION_BYTES_MAX: Final = 8 * 1024
VALIDATORS_MAX: Final = 128

ID_MAX: Final = 2**63 - 1
AMOUNT_ATOMS_MAX: Final = 2**60
COIN_ATOMS_MAX: Final = 2**56
COIN_VALUE_USD_MAX: Final = 10**10
PRICE_E8_MAX: Final = 10**9 * 10**8
PRICE_TICKS_MAX: Final = 2**40
ORDER_LOTS_MAX: Final = 2**24
ACCOUNT_LOTS_MAX: Final = 2**26
ROW_ATOMS_MAX: Final = 2**36
SCENARIOS: Final = 32
JOINT_SCENARIOS_MAX: Final = 128

SUBACCOUNTS_MAX: Final = 16
SESSIONS_MAX: Final = 16
SESSION_MS_MAX: Final = 90 * 86_400_000
NONCE_WINDOW: Final = 64
NONCE_JUMP_MAX: Final = 2**32

ORDERS_PER_ACCOUNT_MAX: Final = 1_024
ORDERS_PER_SIDE_MAX: Final = 16_384
POSITIONS_PER_ACCOUNT_MAX: Final = 512
QUOTES_PER_COMMAND_MAX: Final = 256
ACTIONS_PER_BUNDLE_MAX: Final = 64
FILLS_PER_ORDER_MAX: Final = 512
COIN_TAKERS_MAX: Final = 64
INSTRUMENTS_MAX: Final = 2_048
EXPIRIES_PER_UNDERLYING_MAX: Final = 16
ACCOUNTS_MAX: Final = 2**32

U64 = Annotated[int, Meta(ge=0, le=ID_MAX)]
Amount = Annotated[int, Meta(ge=-AMOUNT_ATOMS_MAX, le=AMOUNT_ATOMS_MAX)]
Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Name = Annotated[str, Meta(min_length=1, max_length=48, pattern="^[A-Z0-9_-]+$")]

ensure(ACCOUNT_LOTS_MAX * ROW_ATOMS_MAX <= 2**62, "a margin sum cannot overflow int64")
ensure(2 * ACCOUNT_LOTS_MAX * ROW_ATOMS_MAX <= 2**63, "nor can one of open orders, of which a lot loses two ceilings")
ensure(3 * 3 * COIN_VALUE_USD_MAX * 10**6 < 2**62, "nor can it with three coins, none of which gains more than thrice")
ensure(100 * COIN_ATOMS_MAX <= 2**63, "a balance of coins times two digits of a price fits int64")
ensure(ORDER_LOTS_MAX <= ACCOUNT_LOTS_MAX, "one order fits an account")
ensure(ORDER_LOTS_MAX * PRICE_TICKS_MAX <= 2**64, "an order's notional stays a small integer")
ensure(EXTENSION_BYTES_MAX < TX_BYTES_MAX, "an extension is smaller than a transaction")
