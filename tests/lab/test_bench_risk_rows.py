"""The rows of the risk bench in small: both sides compute the same, and a planted difference is caught."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from holdfast.lab.bench.risk import exchange, margin, peers, pricing, quoting
from holdfast.lab.bench.risk.child import GROWTH, Task, measure
from holdfast.lab.bench.risk.duel import (
    Duel,
    WrongResultError,
    fight,
)
from holdfast.lab.bench.risk.exchange import KernelTrace
from holdfast.lab.bench.risk.rows import QUICK, Size
from holdfast.lab.bench.risk.world import make_world
from holdfast.primitives import crypto
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ROWS

TINY = Size(options=200, instruments=40, accounts=300, step_accounts=50, orders=192, turns=1)


def test_trace__kernels_called__counts_them_and_nothing_else() -> None:
    trace = KernelTrace()
    with trace:
        crypto.sha256(b"counted")
        sum(range(100))
    assert trace.calls == 1
    assert trace.seconds > 0


@pytest.mark.parametrize("set_up", [margin.reads, margin.threads, margin.fill])
def test_margin__small__both_sides_compute_the_same(set_up: Callable[[Size], Duel[object, object]]) -> None:
    duel = set_up(TINY)
    own, peer = duel.own.take_turn().result, duel.load_peer().take_turn().result
    assert duel.compare(own, peer).is_met


@pytest.mark.parametrize("set_up", [pricing.array, pricing.array_twin])
def test_array__small__kernel_and_twin_give_the_same_bits(set_up: Callable[[Size], Duel[object, object]]) -> None:
    duel = set_up(TINY)
    assert "the same bits" in duel.compare(duel.own.take_turn().result, duel.load_peer().take_turn().result).words


def test_array__one_price_is_a_bit_off__is_caught() -> None:
    duel = pricing.array(TINY)
    own, peer = duel.own.take_turn().result, duel.load_peer().take_turn().result.copy()
    peer[5] = np.nextafter(peer[5], np.inf)
    with pytest.raises(WrongResultError, match="the prices of kernel and twin"):
        duel.compare(own, peer)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the inexact kernel needs gcc")
def test_inexact__compiled__prices_the_same() -> None:
    duel = pricing.inexact(TINY)
    own, peer = duel.own.take_turn().result, duel.load_peer().take_turn().result
    assert "prices differ by" in duel.compare(own, peer).words
    with pytest.raises(WrongResultError, match="the Greeks, by"):
        duel.compare(own, peer._replace(vega=peer.vega * 1.001))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the inexact kernel needs gcc")
def test_inexact__loaded__leaves_this_process_its_subnormals() -> None:
    peers.compile_inexact()
    assert np.array([1e-310])[0] / 2 > 0


@pytest.mark.parametrize(
    ("set_up", "module"),
    [(pricing.native_quantlib, "QuantLib"), (pricing.implied, "QuantLib"), (pricing.native_vollib, "vollib")],
)
def test_pricing__peer_installed__computes_the_same(
    set_up: Callable[[Size], Duel[object, object]], module: str
) -> None:
    pytest.importorskip(module, reason="a peer of the bench: make bench-peers")
    duel = set_up(TINY)
    assert duel.compare(duel.own.take_turn().result, duel.load_peer().take_turn().result).words


def test_quoting__a_whole_chain__costs_less_under_protection() -> None:
    outcome = fight(quoting.quoting(TINY), 1)
    assert outcome.speed > 1
    assert "without protection" in outcome.words


def test_scipy__small__computes_the_same() -> None:
    pytest.importorskip("scipy", reason="scipy is a peer of the bench: make bench-peers")
    duel = margin.scipy(TINY)
    assert (
        "equal scipy's integers" in duel.compare(duel.own.take_turn().result, duel.load_peer().take_turn().result).words
    )


def test_margin__one_margin_is_an_atom_off__is_caught() -> None:
    duel = margin.threads(TINY)
    own, peer = duel.own.take_turn().result, duel.load_peer().take_turn().result.copy()
    peer[7] += 1
    with pytest.raises(WrongResultError, match="the margins of one thread"):
        duel.compare(own, peer)


def test_fill__run_twice__begins_with_the_same_sums() -> None:
    fills = margin.Fills(margin.draw_portfolios(TINY))
    before = fills.sums.copy()
    first = fills.run().copy()
    fills.run_numpy()
    assert np.array_equal(fills.run(), first)
    assert np.array_equal(fills.sums, before)


def test_growth__small__tells_every_cost() -> None:
    answer = measure(Task(GROWTH, TINY))
    assert answer.growth is not None
    assert answer.growth.accounts == TINY.accounts
    assert min(answer.growth.margin_s, answer.growth.fill_s, answer.growth.peak_bytes) > 0


def test_world__made_in_the_tables__is_what_it_says() -> None:
    world = make_world(40, 300)
    draft = world.draft()
    positions = draft[POSITIONS].items()
    assert world.instruments == 300
    assert len(positions) == 40 * 20
    net: dict[int, int] = {}
    for (_, instrument_id), position in positions:
        net[instrument_id] = net.get(instrument_id, 0) + position.lots
    assert set(net.values()) == {0}


def test_step__a_row_of_the_array_is_wrong__is_caught() -> None:
    duel = exchange.step(QUICK)
    draft = duel.own.take_turn().result
    assert "50 accounts recomputed" in duel.compare(draft, 1).words
    held = draft[POSITIONS].keys()[0][1]
    row = np.frombuffer(draft[RISK_ROWS][held], dtype="<i8").copy()
    row[3] += 1
    draft[RISK_ROWS].put(held, row.tobytes())
    with pytest.raises(WrongResultError, match="the stress of account 1000"):
        duel.compare(draft, 1)
