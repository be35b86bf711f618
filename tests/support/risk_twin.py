"""An account of a running exchange, written down as a risk engineer's document."""

from msgspec.structs import fields

from holdfast.primitives.units import E8, USDC_ATOMS
from holdfast.protocol.block import BlockContext
from holdfast.protocol.book.state import FLAG_QUOTE, ORDERS, Order, Side
from holdfast.protocol.instruments.state import INSTRUMENTS
from holdfast.protocol.ledger.state import ASSET_ATOMS, ASSET_NAMES, BALANCES, USDC
from holdfast.protocol.margin.params import MARGIN_PARAMS
from holdfast.protocol.margin.state import CHARGE_SCALES, PROTECTIONS
from holdfast.protocol.oracle.state import FEEDS, Status
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface import handlers as surface
from holdfast.protocol.surface.params import SURFACE_PARAMS
from holdfast.protocol.surface.state import RISK_ARRAY
from tests.support.exchange import BTC, ETH, Market
from tests.support.margin_cases import Tree


def document_of(market: Market, index: int) -> Tree:
    """Return an account's document: what a person would write who reads the exchange's state."""
    draft, now_ms, account = market.draft, market.solo.time_ms, market.id(index)
    feeds = dict(draft[FEEDS].items())
    series = sorted({(one.underlying, one.expiry_ms) for _, one in draft[INSTRUMENTS].items()})
    told: Tree = {
        "account": {
            "valuation_time": f"{now_ms / 1_000:.3f}",
            "cash": (draft[BALANCES].get((account, USDC)) or 0) / USDC_ATOMS,
            "stable_price": feeds[USDC].price_e8 / E8,
        },
        "underlyings": [
            {
                "underlying": ASSET_NAMES[asset],
                "spot": feeds[asset].price_e8 / E8,
                "oracle_confidence": feeds[asset].confidence_e8 / E8,
                "degraded": feeds[asset].status != Status.LIVE,
            }
            for asset in (BTC, ETH)
        ],
        "collaterals": [
            {
                "asset": ASSET_NAMES[asset],
                "amount": amount / ASSET_ATOMS[asset],
                "price": feeds[asset].price_e8 / E8,
            }
            for (owner, asset), amount in draft[BALANCES].items()
            if owner == account and asset != USDC
        ],
        "expiries": [],
        "surfaces": [],
        "positions": [],
        "orders": [],
        "protections": [
            {"underlying": ASSET_NAMES[asset], "amount": one.limit_lots * lot_of(market, asset)}
            for (owner, asset), one in draft[PROTECTIONS].items()
            if owner == account
        ],
    }
    params = draft[MARGIN_PARAMS][0]
    told["parameters"] = {
        "holdfast": {
            **{field.name: getattr(params, field.name) for field in fields(params)},
            "charge_scale_ppm": {ASSET_NAMES[asset]: scale for asset, scale in draft[CHARGE_SCALES].items()},
            "range_ppm": {ASSET_NAMES[asset]: max(draft[SURFACE_PARAMS][asset].spot_ppm[:27]) for asset in (BTC, ETH)},
        }
    }
    block = BlockContext(market.solo.height, now_ms, 0, 0)
    for underlying, expiry_ms in series:
        row = surface._make_slice(draft, block, (underlying, expiry_ms), surface._NOTHING_FIXED)
        assert row is not None
        key = {"underlying": ASSET_NAMES[underlying], "expiry": f"{expiry_ms / 1_000:.3f}"}
        told["expiries"].append({**key, "forward": row.forward_e8 / E8})
        shape = {name: getattr(row, f"{name}_ppm") / 1e6 for name in ("rho", "eta", "shift", "width")}
        shape["total_variance"] = row.theta_e12 / 1e12
        told["surfaces"].append({**key, **shape})
    for (owner, instrument_id), position in draft[POSITIONS].items():
        if owner == account:
            told["positions"].append(position_of(market, instrument_id, position.lots, position.cost_atoms))
    told["orders"] = [
        order_of(market, order) for order in draft[ORDERS].as_dict().values() if order.account_id == account
    ]
    return told


def position_of(market: Market, instrument_id: int, lots: int, cost_atoms: int) -> Tree:
    one, line = market.draft[INSTRUMENTS][instrument_id], market.draft[RISK_ARRAY][0].lines[instrument_id]
    told: Tree = {"instrument": one.name, "amount": lots * one.lot_e8 / E8}
    if line.is_future:
        told["profit"] = (lots * line.value_atoms - cost_atoms) / USDC_ATOMS
    return told


def order_of(market: Market, order: Order) -> Tree:
    one = market.draft[INSTRUMENTS][order.instrument_id]
    signed = order.lots if order.side == Side.BUY else -order.lots
    return {
        "instrument": one.name,
        "amount": signed * one.lot_e8 / E8,
        "price": order.price_ticks * one.tick_e8 / E8,
        "quote": bool(order.flags & FLAG_QUOTE),
    }


def lot_of(market: Market, underlying: int) -> float:
    lots: dict[int, int] = {one.underlying: one.lot_e8 for _, one in market.draft[INSTRUMENTS].items()}
    return lots[underlying] / E8
