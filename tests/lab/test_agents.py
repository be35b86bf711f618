"""Agents: who is there, with what, and that their commands come from the seed and the state alone."""

from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from holdfast.client.signing import SigningKey
from holdfast.lab.agents import KINDS, Population
from holdfast.lab.agents.makers import Maker
from holdfast.lab.agents.market import SWING_MS, Market, Memory
from holdfast.lab.agents.population import Submission
from holdfast.lab.agents.speculators import Speculator, Style
from holdfast.primitives.units import USDC_ATOMS
from holdfast.protocol.instruments.state import Kind
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.machine import admit_tx
from holdfast.protocol.messages import Command
from holdfast.protocol.ranges.params import LIMITS, RangeParams
from holdfast.protocol.trading.messages import MassQuote, PlaceOrder, SetProtection
from tests.support.exchange import BUY, SELL
from tests.support.exchange import Market as Exchange

DOMAIN = bytes(32)
SEED = 7


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange(accounts=2)


def act(exchange: Exchange, blocks: int, seed: int = SEED, count: int = 40) -> Iterator[Submission]:
    population = Population(seed, count)
    for height in range(1, blocks + 1):
        yield from population.act(exchange.draft, height, height * 60_000, DOMAIN)


@pytest.mark.parametrize("count", [10, 24, 200, 1_000])
def test_population__any_size__has_every_kind_and_exactly_that_many(count: int) -> None:
    population = Population(SEED, count)
    kinds = Counter(agent.kind for agent in population.agents)
    assert len(population.agents) == count
    assert set(kinds) == set(KINDS)
    assert len(KINDS) >= 5


def test_population__default_size__is_mostly_takers_and_few_makers() -> None:
    kinds = Counter(agent.kind for agent in Population(SEED, 200).agents)
    assert 6 <= kinds["maker"] <= 10
    assert kinds["seller"] > 30
    assert kinds["buyer"] > kinds["seller"]


def test_population__genesis__gives_each_agent_money_and_its_own_key() -> None:
    population = Population(SEED, 200)
    accounts = population.genesis_accounts()
    assert len({account.owner_key for account in accounts}) == 200
    assert all(sum(amount for _, amount in account.deposits) > 0 for account in accounts)
    money = population.starting_money()
    assert sum(row["agents"] for row in money.values()) == 200
    for asset_id, name in enumerate(ASSET_NAMES):
        told = sum(row[f"{name.lower()}_atoms"] for row in money.values())
        assert told == sum(amount for account in accounts for asset, amount in account.deposits if asset == asset_id)
    assert money["maker"]["usdc_atoms"] > 10_000_000 * USDC_ATOMS


def test_act__same_seed_and_states__gives_the_same_bytes(exchange: Exchange) -> None:
    first, second = list(act(exchange, 30)), list(act(exchange, 30))
    assert first == second
    assert len(first) > 50
    assert first != list(act(exchange, 30, seed=8))


def test_act__every_command__is_signed_for_its_own_account(exchange: Exchange) -> None:
    population = Population(SEED, 40)
    keys: dict[bytes, int] = {agent.key.public_key: agent.account_id for agent in population.agents}
    for submission in act(exchange, 30):
        admission = admit_tx(DOMAIN, submission.tx)
        assert admission.envelope is not None, admission
        signer = admission.envelope.signer
        assert keys.get(signer) == admission.envelope.account_id or signer == population.custodian.public_key


def test_act__no_price_yet__does_nothing() -> None:
    assert Population(SEED, 40).act(Exchange(accounts=2, blocks=0).draft, 1, 60_000, DOMAIN) == []


def test_makers__without_protection__set_it_before_they_quote(exchange: Exchange) -> None:
    population = Population(SEED, 200)
    maker = next(agent for agent in population.agents if agent.kind == "maker")
    market = Market(exchange.draft, 3, 180_000, Memory())
    assert [type(command) for command in maker.decide(market)] == [SetProtection, SetProtection]


def test_act__commands__come_in_many_kinds(exchange: Exchange) -> None:
    kinds = Counter(
        type(admission.envelope.command)
        for submission in act(exchange, 40, count=200)
        if (admission := admit_tx(DOMAIN, submission.tx)).envelope is not None
    )
    assert kinds[PlaceOrder] > 20
    assert kinds[SetProtection] > 0
    assert kinds[MassQuote] == 0
    assert len(kinds) >= 4


def test_market__account_without_a_position__has_its_cash_for_equity() -> None:
    exchange = Exchange(accounts=3, cash=40_000 * USDC_ATOMS)
    exchange.trade(0, 1, exchange.future(), 10)
    exchange.block()
    market = Market(exchange.draft, 3, 180_000, Memory())
    assert market.equity_atoms(exchange.id(2)) == 40_000 * USDC_ATOMS
    assert market.equity_atoms(exchange.id(0)) == exchange.need(0).equity_atoms
    assert market.maintenance_atoms(exchange.id(2)) == 0 < market.maintenance_atoms(exchange.id(0))


def test_market__chain__is_in_order_of_expiry_and_strike(exchange: Exchange) -> None:
    market = Market(exchange.draft, 3, 180_000, Memory())
    for underlying in (1, 2):
        series = market.chain.series[underlying]
        assert [one.expiry_ms for one in series] == sorted(one.expiry_ms for one in series)
        for one in series:
            assert [option.strike_e8 for option in one.options] == sorted(option.strike_e8 for option in one.options)
        near = market.options_near(underlying, 2, 2)
        assert near
        assert all(contract.underlying == underlying for contract in near)


def test_signing_key__agents_of_other_seeds__differ() -> None:
    keys = {Population(seed, 10).agents[0].key.public_key for seed in range(5)}
    assert len(keys) == 5
    assert SigningKey(bytes(32)).public_key not in keys


def speculators(count: int = 200) -> list[Speculator]:
    return [agent for agent in Population(SEED, count).agents if isinstance(agent, Speculator)]


def test_speculators__of_two_hundred_agents__are_mostly_long_and_unequal() -> None:
    found = speculators()
    styles = Counter(one.style for one in found)
    dollars = sorted(amount // USDC_ATOMS for one in found for _, amount in one.deposits)
    assert len(found) == 39
    assert styles[Style.LONG] * 2 > len(found) > styles[Style.LONG]
    assert set(styles) == set(Style)
    assert dollars[0] >= 20_000
    assert dollars[-1] <= 2_000_000
    assert dollars[-1] > 5 * dollars[len(dollars) // 2]


def test_market__initial_need_of_a_lot__is_no_less_than_what_the_exchange_asks() -> None:
    exchange = Exchange(accounts=2)
    exchange.trade(0, 1, exchange.future(), 100)
    exchange.block()
    market = Market(exchange.draft, 3, 180_000, Memory())
    future = next(one for one in market.futures(1) if one.id == exchange.future())
    for place, side in ((0, BUY), (1, SELL)):
        asked = market.requirement(exchange.id(place)).initial_atoms
        assert asked <= 100 * market.initial_need_atoms(future, side) <= asked * 11 // 10


def speculate(exchange: Exchange, one: Speculator) -> list[Command]:
    return one.decide(Market(exchange.draft, exchange.solo.height, exchange.solo.time_ms, Memory()))


def at_aim(range_ppm: int, *, heeds_calls: bool) -> tuple[Exchange, Speculator]:
    """Return a market at a range, and a long speculator in it who has bought what it wants."""
    limits = tuple(replace(one, start_ppm=range_ppm) for one in LIMITS)
    genesis = {"range_limits": limits, "range_params": RangeParams(is_adaptive=False)}
    exchange = Exchange(
        accounts=2, cash=1_000_000 * USDC_ATOMS, deposits={0: [(0, 100_000 * USDC_ATOMS)]}, genesis=genesis
    )
    for future in (exchange.future(), exchange.future(place=1)):
        assert exchange.do(1, PlaceOrder(future, SELL, exchange.mark_ticks(future) + 1, 600)).code == 0
    wanted = (Style.LONG, 1, heeds_calls)
    one = next(found for found in speculators() if (found.style, found.underlying, found.heeds_calls) == wanted)
    one.account_id = exchange.id(0)
    for _ in range(12):
        exchange.block(*(exchange.sign(0, order) for order in speculate(exchange, one)))
    return exchange, one


def test_speculator__with_room__buys_up_to_its_aim_at_the_margin_in_force() -> None:
    held: list[int] = []
    for range_ppm in (160_000, 320_000):
        exchange, one = at_aim(range_ppm, heeds_calls=False)
        need = exchange.need(0)
        used_ppm = need.initial_atoms * 1_000_000 // need.equity_atoms
        assert one.aim_ppm - 100_000 < used_ppm <= one.aim_ppm
        held.append(sum(exchange.lots(0, exchange.future(place=place)) for place in (0, 1)))
    assert held[0] == pytest.approx(2 * held[1], rel=0.1)


@pytest.mark.parametrize("heeds_calls", [True, False])
def test_speculator__on_a_margin_call__cuts_back_if_it_heeds_calls(heeds_calls: bool) -> None:
    exchange, one = at_aim(160_000, heeds_calls=heeds_calls)
    exchange.solo.prices[1] = exchange.solo.prices[1] * 965 // 1_000
    exchange.run(2)
    for future in (exchange.future(), exchange.future(place=1)):
        exchange.do(1, PlaceOrder(future, BUY, exchange.mark_ticks(future) - 1, 300))
    before = exchange.need(0)
    assert before.initial_atoms > before.equity_atoms > before.maintenance_atoms
    orders = speculate(exchange, one)
    exchange.block(*(exchange.sign(0, order) for order in orders))
    after = exchange.need(0)
    assert bool(orders) == heeds_calls
    assert (after.initial_atoms <= after.equity_atoms) == heeds_calls


def test_makers__after_a_fall__show_fewer_bids_than_asks() -> None:
    exchange, memory = Exchange(accounts=2), Memory()
    maker = next(agent for agent in Population(SEED, 200).agents if isinstance(agent, Maker))
    calm = Market(exchange.draft, 3, 180_000, memory)
    future = calm.futures(1)[0]
    put = next(one for one in calm.options_near(1, 1, 2) if one.kind == Kind.PUT)
    size = maker._quote(calm, future).bid_lots
    exchange.solo.prices[1] = exchange.solo.prices[1] * 95 // 100
    exchange.run(3)
    fallen = Market(exchange.draft, 4, 240_000, memory)
    quote, feared = maker._quote(fallen, future), maker._quote(fallen, put)
    assert fallen.swings_ppm(1) == (50_000, 0)
    assert (quote.bid_lots, quote.ask_lots) == (-(-size // 4), -(-size // 2))
    assert (feared.bid_lots, feared.ask_lots) == (quote.ask_lots, quote.bid_lots)
    later = Market(exchange.draft, 5, 180_000 + SWING_MS + 1, memory)
    assert later.swings_ppm(1) == (0, 0)
