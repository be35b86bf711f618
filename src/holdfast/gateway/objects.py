"""What the API shows of the exchange: instruments, tickers, books. Deribit's names and units.

Numbers for people are doubles; beside them stand the exchange's own integers where somebody signs or checks.
"""

from typing import Final

from holdfast.gateway.instruments import Instruments
from holdfast.gateway.numbers import E9, E12, amount_of, percent, price_of, quotient, ratio, usd, usdc
from holdfast.gateway.stats import Stats
from holdfast.primitives.units import DAY_MS
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import ORDERS, Side
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.instruments.rules import compute_civil, compute_last_friday, format_name
from holdfast.protocol.instruments.state import Instrument, Kind
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.limits import PRICE_TICKS_MAX, ROW_ATOMS_MAX
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface import rules as surface
from holdfast.protocol.surface.state import MARKS, SURFACES
from holdfast.protocol.trading.params import TRADING_PARAMS
from holdfast.state.draft import Draft

Shown = dict[str, object]

QUOTE_CURRENCY: Final = "USDC"
_FRIDAY: Final = 1  # days since the epoch, by 7


def base_of(instrument: Instrument) -> str:
    """Return the name of an instrument's underlying."""
    return ASSET_NAMES[instrument.underlying]


def index_name(underlying: int) -> str:
    """Return the name of an underlying's price index."""
    return f"{ASSET_NAMES[underlying].lower()}_usdc"


def find_index(name: str) -> int | None:
    """Return the feed of an index, by `btc_usdc`, `btc_usd` or `BTC`."""
    asset = name.lower().removesuffix("_usdc").removesuffix("_usd").upper()
    return ASSET_NAMES.index(asset) if asset in ASSET_NAMES else None


def kind_of(instrument: Instrument) -> str:
    """Return `option` or `future`."""
    return "future" if instrument.kind == Kind.FUTURE else "option"


def matches(instrument: Instrument, currency: str, kind: str) -> bool:
    """Tell whether an instrument is of a kind and has a currency as its base or its settlement currency."""
    wanted = currency.upper()
    return kind in ("any", kind_of(instrument)) and wanted in ("ANY", QUOTE_CURRENCY, base_of(instrument))


def _settlement_period(expiry_ms: int) -> str:
    day = expiry_ms // DAY_MS
    year, month, _ = compute_civil(day)
    if day == compute_last_friday(year, month):
        return "month"
    return "week" if day % 7 == _FRIDAY else "day"


def state_of(instrument: Instrument, now_ms: int, *, is_retired: bool = False) -> str:
    """Return whether an instrument can be traded: `open`, `halted`, `settlement` or `closed`."""
    if is_retired:
        return "closed"
    if now_ms >= instrument.expiry_ms:
        return "settlement"
    return "halted" if instrument.is_halted else "open"


def show_instrument(draft: Draft, known: Instruments, instrument_id: int, instrument: Instrument, now_ms: int) -> Shown:
    """Return INSTRUMENT."""
    params = draft[TRADING_PARAMS][0]
    row = known.rows.get(instrument_id)
    state = state_of(instrument, now_ms, is_retired=row is not None and row.retired_height > 0)
    lot, base = amount_of(1, instrument), base_of(instrument)
    shown: Shown = {
        "instrument_name": instrument.name,
        "instrument_id": instrument_id,
        "kind": kind_of(instrument),
        "base_currency": base,
        "counter_currency": QUOTE_CURRENCY,
        "quote_currency": QUOTE_CURRENCY,
        "settlement_currency": QUOTE_CURRENCY,
        "instrument_type": "linear",
        "price_index": index_name(instrument.underlying),
        "settlement_period": _settlement_period(instrument.expiry_ms),
        "expiration_timestamp": instrument.expiry_ms,
        "creation_timestamp": known.listed_ms(instrument_id),
        "is_active": state == "open",
        "state": state,
        "tick_size": price_of(1, instrument),
        "tick_size_steps": [],
        "min_trade_amount": lot,
        "contract_size": lot,
        "maker_commission": ratio(params.maker_ppm),
        "taker_commission": ratio(params.taker_ppm),
        "block_trade_commission": ratio(params.taker_ppm),
        "rfq": False,
        "underlying_id": instrument.underlying,
        "tick_e8": instrument.tick_e8,
        "tick_value_atoms": instrument.tick_value_atoms,
        "lot_e8": instrument.lot_e8,
        "listed_height": instrument.listed_height,
    }
    if instrument.kind != Kind.FUTURE:
        shown["option_type"] = "call" if instrument.kind == Kind.CALL else "put"
        shown["strike"] = usd(instrument.strike_e8)
    if row is not None and row.settled_e8:
        shown["settlement_price"] = usd(row.settled_e8)
    return shown


def get_forward_e8(draft: Draft, underlying: int, expiry_ms: int, now_ms: int) -> int | None:
    """Return the forward of an expiry: the index that stands times the surface's ratio."""
    feed, model = draft[FEEDS].get(underlying), draft[SURFACES].get(underlying)
    if feed is None:
        return None
    if model is None or expiry_ms <= now_ms:
        return feed.price_e8
    nodes, _, ratios = surface.list_nodes(model, now_ms)
    return feed.price_e8 * surface.interpolate_ratio_e9(nodes, ratios, expiry_ms, now_ms) // E9


def get_open_lots(draft: Draft, instrument_id: int) -> int:
    """Return an instrument's open interest: what all longs hold."""
    positions = draft[POSITIONS]
    held = (positions[account_id, instrument_id].lots for account_id in portfolio.get_holders(draft, instrument_id))
    return sum(lots for lots in held if lots > 0)


def list_levels(draft: Draft, instrument_id: int, side: Side, depth: int) -> list[tuple[int, int]]:
    """Return a side's levels, (ticks, lots), the best first."""
    orders = draft[ORDERS]
    levels: list[tuple[int, int]] = []
    for rank, _, order_id in reversed(book.get_entries(draft, instrument_id, side)):
        ticks = abs(rank)
        if levels and levels[-1][0] == ticks:
            levels[-1] = (ticks, levels[-1][1] + orders[order_id].lots)
        elif len(levels) == depth:
            break
        else:
            levels.append((ticks, orders[order_id].lots))
    return levels


def show_ticker(draft: Draft, instrument_id: int, instrument: Instrument, stats: Stats, now_ms: int) -> Shown:
    """Return TICKER."""
    shown: Shown = {
        "instrument_name": instrument.name,
        "timestamp": now_ms,
        "state": state_of(instrument, now_ms),
        "stats": _show_stats(instrument, instrument_id, stats, now_ms),
    }
    for name, side in (("bid", Side.BUY), ("ask", Side.SELL)):
        best = list_levels(draft, instrument_id, side, 1)
        shown[f"best_{name}_price"] = price_of(best[0][0], instrument) if best else None
        shown[f"best_{name}_amount"] = amount_of(best[0][1], instrument) if best else 0.0
    mark, feed = draft[MARKS].get(instrument_id), draft[FEEDS].get(instrument.underlying)
    last = stats.last.get(instrument_id)
    index = None if feed is None else usd(feed.price_e8)
    shown |= {
        "mark_price": None if mark is None else usd(mark.mark_e8),
        "index_price": index,
        "last_price": None if last is None else price_of(last.price_ticks, instrument),
        "min_price": price_of(1, instrument),
        "max_price": price_of(min(PRICE_TICKS_MAX, ROW_ATOMS_MAX // instrument.tick_value_atoms), instrument),
        "open_interest": amount_of(get_open_lots(draft, instrument_id), instrument),
        "estimated_delivery_price": index,
        "oracle_status": "HALTED" if feed is None else feed.status.name,
    }
    if instrument.kind != Kind.FUTURE:
        forward_e8 = get_forward_e8(draft, instrument.underlying, instrument.expiry_ms, now_ms)
        shown |= {
            "underlying_price": None if forward_e8 is None else usd(forward_e8),
            "underlying_index": format_name(instrument.underlying, Kind.FUTURE, instrument.expiry_ms, 0),
            "interest_rate": 0.0,
        }
        if mark is not None:
            shown["mark_iv"] = percent(mark.iv_ppm)
            shown["greeks"] = {
                "delta": ratio(mark.delta_ppm),
                "gamma": mark.gamma_e12 / E12,
                "vega": usd(mark.vega_e8),
                "theta": usd(mark.theta_e8),
                "rho": 0.0,
            }
    return shown


def _show_stats(instrument: Instrument, instrument_id: int, stats: Stats, now_ms: int) -> Shown:
    day, last = stats.day(instrument_id, now_ms), stats.last.get(instrument_id)
    change = None
    if day.first_ticks and last is not None:
        change = quotient(100 * (last.price_ticks - day.first_ticks), day.first_ticks)
    return {
        "high": None if day.high_ticks is None else price_of(day.high_ticks, instrument),
        "low": None if day.low_ticks is None else price_of(day.low_ticks, instrument),
        "volume": amount_of(day.lots, instrument),
        "volume_usd": usdc(day.turnover_ticks * instrument.tick_value_atoms),
        "price_change": change,
    }


def show_book(
    draft: Draft, instrument_id: int, instrument: Instrument, stats: Stats, now_ms: int, height: int, depth: int
) -> Shown:
    """Return BOOK."""
    return (
        show_ticker(draft, instrument_id, instrument, stats, now_ms)
        | {
            name: [
                [price_of(ticks, instrument), amount_of(lots, instrument)]
                for ticks, lots in list_levels(draft, instrument_id, side, depth)
            ]
            for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
        }
        | {"change_id": height}
    )


def show_summary(draft: Draft, instrument_id: int, instrument: Instrument, stats: Stats, now_ms: int) -> Shown:
    """Return SUMMARY."""
    ticker = show_ticker(draft, instrument_id, instrument, stats, now_ms)
    day = _show_stats(instrument, instrument_id, stats, now_ms)
    bid, ask = ticker["best_bid_price"], ticker["best_ask_price"]
    middle = (bid + ask) / 2 if isinstance(bid, float) and isinstance(ask, float) else None
    shown: Shown = {
        "instrument_name": instrument.name,
        "base_currency": base_of(instrument),
        "quote_currency": QUOTE_CURRENCY,
        "bid_price": bid,
        "ask_price": ask,
        "mid_price": middle,
        "last": ticker["last_price"],
        "creation_timestamp": now_ms,
    }
    names = "mark_price open_interest estimated_delivery_price mark_iv underlying_price underlying_index interest_rate"
    return shown | {name: ticker[name] for name in names.split() if name in ticker} | day


def list_currencies() -> list[Shown]:
    """Return every asset of the exchange."""
    names = {"USDC": "USD Coin", "BTC": "Bitcoin", "ETH": "Ether", "USDT": "Tether"}
    return [
        {
            "currency": asset,
            "currency_long": names[asset],
            "coin_type": asset,
            "withdrawal_fee": 0.0,
            "min_confirmations": 0,
            "asset_id": asset_id,
            "is_underlying": asset_id in UNDERLYINGS,
        }
        for asset_id, asset in enumerate(ASSET_NAMES)
    ]
