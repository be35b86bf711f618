"""Public market data."""

from typing import Final

from holdfast.gateway import params
from holdfast.gateway.api import Method, Read, read
from holdfast.gateway.errors import not_found
from holdfast.gateway.numbers import ratio, usd
from holdfast.gateway.objects import (
    Shown,
    base_of,
    find_index,
    index_name,
    kind_of,
    list_currencies,
    matches,
    show_book,
    show_instrument,
    show_summary,
    show_ticker,
)
from holdfast.gateway.orders import show_trade
from holdfast.gateway.rows import TradeRow
from holdfast.protocol.instruments.params import UNDERLYINGS
from holdfast.protocol.instruments.rules import format_name
from holdfast.protocol.instruments.state import INSTRUMENTS, Instrument, Kind
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.ranges.queries import get_outlook

_RETIRED_MAX: Final = 1_000


def get_currencies(_read: Read, _given: params.Nothing) -> list[Shown]:
    """Return the assets of the exchange."""
    return list_currencies()


def _list_live(here: Read, currency: str, kind: str) -> list[tuple[int, Instrument]]:
    return [
        (instrument_id, instrument)
        for instrument_id, instrument in here.draft[INSTRUMENTS].items()
        if matches(instrument, currency, kind)
    ]


def get_instruments(here: Read, given: params.Instruments) -> list[Shown]:
    """Return what is listed, or what has expired: the last thousand of those."""
    known, now_ms = here.api.instruments, here.view.time_ms
    if not given.expired:
        found = _list_live(here, given.currency, given.kind)
    else:
        retired = [row.instrument_id for row in known.rows.values() if row.retired_height]
        each = [(number, known.get(here.draft, number)) for number in sorted(retired)]
        found = [
            (number, instrument)
            for number, instrument in each
            if instrument is not None and matches(instrument, given.currency, given.kind)
        ][-_RETIRED_MAX:]
    return [show_instrument(here.draft, known, number, instrument, now_ms) for number, instrument in found]


def get_instrument(here: Read, given: params.OneInstrument) -> Shown:
    """Return one instrument."""
    number, instrument = here.find_instrument(given.instrument_name)
    return show_instrument(here.draft, here.api.instruments, number, instrument, here.view.time_ms)


def ticker(here: Read, given: params.OneInstrument) -> Shown:
    """Return an instrument's prices."""
    number, instrument = here.find_instrument(given.instrument_name)
    return show_ticker(here.draft, number, instrument, here.api.stats, here.view.time_ms)


def get_order_book(here: Read, given: params.OrderBook) -> Shown:
    """Return an instrument's book."""
    number, instrument = here.find_instrument(given.instrument_name)
    view = here.view
    return show_book(here.draft, number, instrument, here.api.stats, view.time_ms, view.height, given.depth)


def get_book_summary_by_currency(here: Read, given: params.Summary) -> list[Shown]:
    """Return a line on every instrument of a currency."""
    return [
        show_summary(here.draft, number, instrument, here.api.stats, here.view.time_ms)
        for number, instrument in _list_live(here, given.currency, given.kind)
    ]


def get_book_summary_by_instrument(here: Read, given: params.OneInstrument) -> list[Shown]:
    """Return a line on one instrument."""
    number, instrument = here.find_instrument(given.instrument_name)
    return [show_summary(here.draft, number, instrument, here.api.stats, here.view.time_ms)]


def get_last_trades_by_instrument(here: Read, given: params.InstrumentTrades) -> Shown:
    """Return an instrument's last trades, the newest first."""
    number, instrument = here.find_instrument(given.instrument_name)
    rows = here.whole_index.list_trades(
        number, given.count + 1, from_ms=given.start_timestamp, to_ms=given.end_timestamp
    )
    has_more, rows = len(rows) > given.count, rows[: given.count]
    if given.sorting == "asc":
        rows = rows[::-1]
    return {"trades": [show_trade(row, instrument) for row in rows], "has_more": has_more}


def get_last_trades_by_currency(here: Read, given: params.CurrencyTrades) -> Shown:
    """Return a currency's last trades, the newest first."""
    live = dict(_list_live(here, given.currency, given.kind))
    rows = here.whole_index.list_trades_of(live, given.count + 1)
    return {"trades": show_trades(here, rows[: given.count]), "has_more": len(rows) > given.count}


def show_trades(here: Read, rows: list[TradeRow]) -> list[Shown]:
    """Return trades of instruments that are known."""
    shown: list[Shown] = []
    for row in rows:
        instrument = here.api.instruments.get(here.draft, row.instrument_id)
        if instrument is not None:
            shown.append(show_trade(row, instrument))
    return shown


def get_index_price(here: Read, given: params.Index) -> Shown:
    """Return an index: the price that stands, and how far it may be trusted."""
    number = find_index(given.index_name)
    feed = None if number is None else here.draft[FEEDS].get(number)
    if feed is None:
        names = ", ".join(index_name(underlying) for underlying in UNDERLYINGS)
        raise not_found("index_name", f"index_name: no index {given.index_name!a}; there are {names}")
    return {
        "index_price": usd(feed.price_e8),
        "estimated_delivery_price": usd(feed.price_e8),
        "price_e8": feed.price_e8,
        "confidence": usd(feed.confidence_e8),
        "status": feed.status.name,
        "updated_ms": feed.updated_ms,
        "included_power": feed.included_power,
    }


def get_index_price_names(_here: Read, _given: params.Nothing) -> list[str]:
    """Return the names of the indices."""
    return [index_name(underlying) for underlying in UNDERLYINGS]


def get_margin_ranges(here: Read, _given: params.Nothing) -> list[Shown]:
    """Return each underlying's scenario range: in force, announced, and the bounds between which it moves."""
    weight_ppm = here.draft[MARGIN_PARAMS][0].cross_weight_ppm
    return [_show_range(here, underlying, weight_ppm) for underlying in UNDERLYINGS]


def _show_range(here: Read, underlying: int, weight_ppm: int) -> Shown:
    outlook = get_outlook(here.draft, underlying)
    band, limits = outlook.band, outlook.limits
    return {
        "currency": ASSET_NAMES[underlying],
        "is_adaptive": outlook.is_adaptive,
        "range": ratio(outlook.in_force_ppm),
        "range_ppm": outlook.in_force_ppm,
        "announced": [
            {"from_ms": from_ms, "range": ratio(range_ppm), "range_ppm": range_ppm}
            for from_ms, range_ppm in outlook.announced
        ],
        "needed_ppm": None if band is None else band.low_ppm,
        "buffered_ppm": None if band is None else band.high_ppm,
        "floor_ppm": limits.floor_ppm,
        "ceiling_ppm": limits.ceiling_ppm,
        "volatility_ppm": outlook.volatility_ppm,
        "sampled_ms": outlook.sampled_ms,
        "charge_scale_ppm": outlook.charge_scale_ppm,
        "cross_weight_ppm": weight_ppm,
    }


def get_expirations(here: Read, given: params.Expirations) -> Shown:
    """Return the expirations of futures and options."""
    by_kind: dict[str, dict[int, str]] = {"future": {}, "option": {}}
    for _, instrument in _list_live(here, given.currency, given.kind):
        name = format_name(instrument.underlying, Kind.FUTURE, instrument.expiry_ms, 0)
        by_kind[kind_of(instrument)][instrument.expiry_ms] = name.removeprefix(f"{base_of(instrument)}_USDC-")
    return {kind: [found[expiry] for expiry in sorted(found)] for kind, found in by_kind.items() if found}


METHODS: Final[tuple[Method, ...]] = (
    read("public/get_currencies", params.Nothing, get_currencies, cached=True),
    read("public/get_instruments", params.Instruments, get_instruments, cached=True),
    read("public/get_instrument", params.OneInstrument, get_instrument),
    read("public/ticker", params.OneInstrument, ticker, cached=True),
    read("public/get_order_book", params.OrderBook, get_order_book, cached=True),
    read("public/get_book_summary_by_currency", params.Summary, get_book_summary_by_currency, cached=True),
    read("public/get_book_summary_by_instrument", params.OneInstrument, get_book_summary_by_instrument, cached=True),
    read("public/get_last_trades_by_instrument", params.InstrumentTrades, get_last_trades_by_instrument),
    read("public/get_last_trades_by_currency", params.CurrencyTrades, get_last_trades_by_currency),
    read("public/get_index_price", params.Index, get_index_price),
    read("public/get_index_price_names", params.Nothing, get_index_price_names),
    read("public/get_margin_ranges", params.Nothing, get_margin_ranges),
    read("public/get_expirations", params.Expirations, get_expirations, cached=True),
)
