"""Methods over a real exchange."""

import asyncio

import pytest

from holdfast.protocol.trading.messages import CancelOrder, PlaceOrder
from tests.support.gateway import future_of, open_market, option_of, served, settled


def test_status__a_running_chain__names_chain_height_and_app_hash() -> None:
    async def run() -> None:
        async with served(open_market()) as here:
            status = await here.client.ask("public/status")
            assert status["chain_id"] == "solo"
            assert status["height"] == 2
            assert status["app_hash"] == here.backend.solo.app.state.root.hex()
            assert status["locked"] == "false"
            envelope = await here.client.envelope("public/get_positions", account_id=1_000)
            assert envelope["height"] == 2
            assert envelope["result"] == []

    asyncio.run(run())


def test_order__placed_and_filled__shows_everywhere() -> None:
    async def run() -> None:
        backend = open_market()
        number, name = future_of(backend)
        async with served(backend) as here:
            client = here.client
            ticker = await client.ask("public/ticker", instrument_name=name)
            price = round(float(str(ticker["mark_price"])))
            sell = backend.sign(0, PlaceOrder(number, 1, price, 100))
            buy = backend.sign(1, PlaceOrder(number, 0, price, 40, client_id=7))
            [placed] = await settled(here, sell)
            assert (placed["state"], placed["code"], placed["height"]) == ("committed", 0, 3)
            order = placed["order"]
            assert isinstance(order, dict)
            assert (order["order_state"], order["amount"], order["price"]) == ("open", 1.0, float(price))
            book = await client.ask("public/get_order_book", instrument_name=name, depth=5)
            assert book["asks"] == [[float(price), 1.0]]
            [bought] = await settled(here, buy)
            assert bought["state"] == "committed"
            trades = bought["trades"]
            assert isinstance(trades, list)
            assert [(one["amount"], one["direction"], one["liquidity"]) for one in trades] == [(0.4, "buy", "T")]
            mine = await client.ask("public/get_user_trades", account_id=1_000)
            assert isinstance(mine["trades"], list)
            assert mine["trades"][0]["liquidity"] == "M"
            open_orders = await client.rows("public/get_open_orders", account_id=1_000)
            assert [(one["amount"], one["filled_amount"]) for one in open_orders] == [(1.0, 0.4)]
            filled = await client.ask("public/get_order_state", order_id="2")
            assert (filled["order_state"], filled["average_price"], filled["label"]) == ("filled", float(price), "7")
            positions = await client.rows("public/get_positions", account_id=1_001)
            assert [(one["size"], one["direction"]) for one in positions] == [(0.4, "buy")]
            margin = await client.ask("public/get_margin", account_id=1_001)
            assert float(str(margin["initial_margin"])) > 0
            public = await client.ask("public/get_last_trades_by_instrument", instrument_name=name)
            assert isinstance(public["trades"], list)
            assert public["trades"][0]["direction"] == "buy"
            known = await client.ask("public/get_tx", tx_hash=bought["tx_hash"])
            assert {name: known[name] for name in known if name not in ("orders", "order")} == {
                name: bought[name] for name in bought if name not in ("orders", "order")
            }

    asyncio.run(run())


PLAIN: list[tuple[str, dict[str, object]]] = [
    ("public/test", {}),
    ("public/hello", {"client_name": "x", "client_version": "1"}),
    ("public/get_time", {}),
    ("public/status", {}),
    ("public/get_currencies", {}),
    ("public/get_instruments", {}),
    ("public/get_instruments", {"currency": "BTC", "kind": "option", "expired": False}),
    ("public/get_instruments", {"currency": "SOL"}),
    ("public/get_instruments", {"currency": "any", "expired": True}),
    ("public/get_book_summary_by_currency", {"currency": "BTC"}),
    ("public/get_last_trades_by_currency", {"currency": "BTC"}),
    ("public/get_index_price", {"index_name": "btc_usdc"}),
    ("public/get_index_price_names", {}),
    ("public/get_margin_ranges", {}),
    ("public/get_expirations", {"currency": "BTC"}),
    ("public/get_account", {"account_id": 1000}),
    ("public/get_nonce", {"account_id": 1000, "signer": "00" * 32}),
    ("public/get_positions", {"account_id": 1000}),
    ("public/get_margin", {"account_id": 1000}),
    ("public/get_open_orders", {"account_id": 1000}),
    ("public/get_order_history", {"account_id": 1000}),
    ("public/get_user_trades", {"account_id": 1000}),
    ("public/get_account_events", {"account_id": 1000}),
    ("public/get_block", {}),
    ("public/get_block", {"height": 1}),
    ("public/get_validators", {}),
    ("public/get_genesis", {}),
    ("public/get_checkpoint", {}),
    ("public/get_proof", {"table": "accounts", "key": 1000}),
    ("public/get_proof", {"table": "balances", "key": "1000,0"}),
    ("public/get_proof", {"path": "01" + "00" * 8}),
    ("public/get_tx", {"tx_hash": "00" * 32}),
    ("public/get_tx", {"account_id": 1000, "signer": "00" * 32, "nonce": 1}),
]


def test_methods__plain_params__answer_alike_by_post_and_get() -> None:
    async def run() -> None:
        async with served(open_market()) as here:
            for method, given in PLAIN:
                posted = await here.client.call(method, **given)
                query = {
                    name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()
                }
                got = await here.client.get(method, query)
                assert got["result"] == posted, method

    asyncio.run(run())


def test_margin_ranges__of_a_young_chain__show_what_is_in_force_and_announced() -> None:
    async def run() -> None:
        async with served(open_market()) as here:
            found = await here.client.rows("public/get_margin_ranges")
            assert [(one["currency"], one["range_ppm"]) for one in found] == [("BTC", 160_000), ("ETH", 180_000)]
            btc = found[0]
            assert btc["is_adaptive"] is True
            assert btc["range"] == 0.16
            announced = btc["announced"]
            assert isinstance(announced, list)
            assert [one["range_ppm"] for one in announced] == [160_000]
            assert announced[0]["from_ms"] == int(str(btc["sampled_ms"])) + 3_600_000
            assert int(str(btc["needed_ppm"])) <= 160_000 <= int(str(btc["buffered_ppm"]))
            assert (btc["floor_ppm"], btc["ceiling_ppm"], btc["cross_weight_ppm"]) == (130_000, 500_000, 500_000)

    asyncio.run(run())


def test_option__with_mark__ticker_has_greeks_and_instrument_is_linear() -> None:
    async def run() -> None:
        backend = open_market()
        _, name = option_of(backend)
        async with served(backend) as here:
            ticker = await here.client.ask("public/ticker", instrument_name=name)
            greeks = ticker["greeks"]
            assert isinstance(greeks, dict)
            assert 0 < greeks["delta"] < 1
            assert ticker["mark_iv"] == pytest.approx(45, abs=20)
            instrument = await here.client.ask("public/get_instrument", instrument_name=name)
            assert instrument["settlement_currency"] == "USDC"
            assert instrument["min_trade_amount"] == 0.01

    asyncio.run(run())


def test_cancel__of_an_open_order__shows_it_cancelled() -> None:
    async def run() -> None:
        backend = open_market()
        number, name = future_of(backend)
        async with served(backend) as here:
            ticker = await here.client.ask("public/ticker", instrument_name=name)
            price = round(float(str(ticker["mark_price"])))
            await here.step(backend.sign(0, PlaceOrder(number, 1, price, 5)))
            await here.step(backend.sign(0, CancelOrder(1)))
            order = await here.client.ask("public/get_order_state", order_id="USDC-1")
            assert (order["order_state"], order["cancel_reason"]) == ("cancelled", "by_owner")

    asyncio.run(run())


def test_order_state__number_beyond_all_ids__is_refused_and_no_failure_of_ours() -> None:
    async def run() -> None:
        async with served(open_market(1, 0)) as here:
            for order_id in (str(2**63), "USDC-9223372036854775808", "-1"):
                envelope = await here.client.envelope("public/get_order_state", order_id=order_id)
                error = envelope["error"]
                assert isinstance(error, dict)
                assert error["data"]["reason"] != "INTERNAL_ERROR"

    asyncio.run(run())
