"""What the exchange answers, as types. Prices and amounts are exact decimals, in USDC and in coin.

A field that a node does not send has its default; one that this program does not know is left out.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Self, TypeVar

import msgspec

T = TypeVar("T")

Number = Decimal | None
ZERO = Decimal(0)


class Rows(tuple[T, ...]):  # noqa: SLOT001 -- a tuple may have no slots of its own
    """A list that was read from one committed state."""

    height: int
    app_hash: str

    def __new__(cls, rows: Iterable[T], height: int = 0, app_hash: str = "") -> Self:
        """Keep the rows, and the height and app hash that they are of."""
        made = super().__new__(cls, rows)
        made.height, made.app_hash = height, app_hash
        return made


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer about the state names: the committed height and its app hash."""

    height: int = 0
    app_hash: str = ""


class Status(Result, frozen=True, kw_only=True):
    """Where the chain stands."""

    chain_id: str = ""
    genesis_hash: str = ""
    time_ms: int = 0
    block_interval_ms: int = 0
    persistence: str = ""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument: `contract_size` is one lot in coin, `tick_size` one tick in USDC."""

    instrument_name: str
    instrument_id: int
    kind: str
    base_currency: str
    tick_size: Decimal
    contract_size: Decimal
    expiration_timestamp: int = 0
    option_type: str = ""
    strike: Number = None
    state: str = ""
    is_active: bool = True


class Greeks(msgspec.Struct, frozen=True, kw_only=True):
    """Sensitivities, in Deribit's units."""

    delta: Decimal = ZERO
    gamma: Decimal = ZERO
    vega: Decimal = ZERO
    theta: Decimal = ZERO
    rho: Decimal = ZERO


class Ticker(Result, frozen=True, kw_only=True):
    """An instrument's prices now."""

    instrument_name: str
    timestamp: int = 0
    state: str = ""
    best_bid_price: Number = None
    best_bid_amount: Decimal = ZERO
    best_ask_price: Number = None
    best_ask_amount: Decimal = ZERO
    mark_price: Number = None
    index_price: Number = None
    last_price: Number = None
    underlying_price: Number = None
    mark_iv: Number = None
    open_interest: Decimal = ZERO
    greeks: Greeks | None = None


class Book(Ticker, frozen=True, kw_only=True):
    """An instrument's order book: levels of (price, amount), the best first."""

    bids: tuple[tuple[Decimal, Decimal], ...] = ()
    asks: tuple[tuple[Decimal, Decimal], ...] = ()
    change_id: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an option chain."""

    instrument_name: str
    bid_price: Number = None
    ask_price: Number = None
    mark_price: Number = None
    mark_iv: Number = None
    last: Number = None
    open_interest: Decimal = ZERO
    underlying_price: Number = None


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A fill; of the caller's own where the fields on orders and fees are set."""

    trade_id: str
    instrument_name: str
    timestamp: int
    direction: str
    price: Decimal
    amount: Decimal
    trade_seq: int = 0
    mark_price: Number = None
    index_price: Number = None
    order_id: str = ""
    liquidity: str = ""
    fee: Number = None
    block_height: int = 0
    tx_hash: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands."""

    order_id: str
    instrument_name: str
    direction: str
    order_state: str
    amount: Decimal
    # A number, or the word of a market order.
    raw_price: msgspec.Raw = msgspec.field(name="price", default=msgspec.Raw(b"null"))
    order_type: str = "limit"
    filled_amount: Decimal = ZERO
    average_price: Number = None
    time_in_force: str = ""
    post_only: bool = False
    reduce_only: bool = False
    label: str = ""
    creation_timestamp: int = 0
    last_update_timestamp: int = 0
    cancel_reason: str = ""
    block_height: int = 0
    tx_hash: str = ""

    def __repr__(self) -> str:
        """Return the order in words."""
        price = "the market" if self.price is None else self.price
        words = f"{self.direction} {self.amount} {self.instrument_name} at {price}"
        return f"<order {self.order_id} {self.order_state}: {words}, filled {self.filled_amount}>"

    @property
    def price(self) -> Number:
        """Return the limit price, None for a market order."""
        is_word = bytes(self.raw_price).startswith((b'"', b"n"))
        return None if is_word else msgspec.json.decode(self.raw_price, type=Decimal)


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has of an asset: exactly, and in whole units."""

    asset: str
    atoms: int
    amount: Decimal


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session key's rights."""

    key: str
    scopes: tuple[str, ...] = ()
    expires_ms: int = 0


class Account(Result, frozen=True, kw_only=True):
    """An account, its money and its sessions."""

    account_id: int
    owner_key: str
    parent_id: int = 0
    balances: tuple[Balance, ...] = ()
    sessions: tuple[Session, ...] = ()
    subaccounts: tuple[int, ...] | int = ()


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A position; `size` is signed."""

    instrument_name: str
    kind: str = ""
    direction: str = ""
    size: Decimal = ZERO
    average_price: Number = None
    mark_price: Number = None
    index_price: Number = None
    floating_profit_loss: Number = None
    total_profit_loss: Number = None
    initial_margin: Number = None
    maintenance_margin: Number = None
    delta: Number = None
    gamma: Number = None
    vega: Number = None
    theta: Number = None


class Margin(Result, frozen=True, kw_only=True):
    """An account's equity and what margin asks of it, in USDC."""

    account_id: int = 0
    equity: Decimal = ZERO
    initial_margin: Decimal = ZERO
    maintenance_margin: Decimal = ZERO
    available: Decimal = ZERO
    balance: Decimal = ZERO
    available_withdrawal_funds: Decimal = ZERO


class AnnouncedRange(msgspec.Struct, frozen=True, kw_only=True):
    """A range that will come into force, not before a time."""

    from_ms: int
    range_ppm: int


class MarginRange(msgspec.Struct, frozen=True, kw_only=True):
    """How far an underlying's price is assumed to move, in millionths: now, announced, and needed by its past."""

    currency: str
    range_ppm: int
    is_adaptive: bool = True
    announced: tuple[AnnouncedRange, ...] = ()
    needed_ppm: int | None = None
    buffered_ppm: int | None = None
    floor_ppm: int = 0
    ceiling_ppm: int = 0
    volatility_ppm: int | None = None
    sampled_ms: int | None = None
    charge_scale_ppm: int | None = None
    cross_weight_ppm: int = 0


class Validator(msgspec.Struct, frozen=True, kw_only=True):
    """One validator as the node sees it."""

    index: int
    public_key: str = ""
    name: str = ""
    power: int = 0
    status: str = ""
    height: int = 0
    app_hash: str = ""
    restarts: int = 0


class TxResult(Result, frozen=True, kw_only=True):
    """How a submission stands.

    `state` is committed (it is in block `height`; `code` 0 means that it took effect), rejected (it is in no block and
    never will be), pending (nobody knows yet: ask again by `tx_hash`), or, of a hash that was asked for, unknown (the
    node has not heard of it).
    """

    state: str
    tx_hash: str = ""
    time_ms: int = 0
    code: int = 0
    code_name: str = ""
    message: str = ""
    retryable: bool = False
    events: tuple[dict[str, object], ...] = ()
    order: Order | None = None
    trades: tuple[Trade, ...] = ()

    @property
    def is_effective(self) -> bool:
        """Tell whether the command is in a block and took effect."""
        return self.state == "committed" and self.code == 0


class Nonce(msgspec.Struct, frozen=True, kw_only=True):
    """The next free nonce of a key."""

    next_nonce: int


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """A page of trades."""

    trades: tuple[Trade, ...] = ()
    has_more: bool = False


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What one block did to an account; `seq` counts an account's updates without a gap."""

    seq: int
    height: int = 0
    account_id: int = 0
    events: tuple[dict[str, object], ...] = ()


class Updates(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an account's updates."""

    updates: tuple[Update, ...] = ()
