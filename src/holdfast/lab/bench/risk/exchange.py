"""The rows that run the exchange itself: a block's risk step, and the paths of an order."""

import sys
from collections.abc import Callable
from time import process_time
from types import BuiltinFunctionType, FrameType
from typing import Final

import numpy as np

from holdfast.lab.bench.paths import BLOCK_MANY, Bench, Run, Sizes
from holdfast.lab.bench.risk.duel import Checked, Contender, Duel, Taken, WrongResultError, ensure_equal, timed
from holdfast.lab.bench.risk.rows import Size
from holdfast.lab.bench.risk.world import World, make_world, run_risk_step
from holdfast.lab.bench.stages import StageTimes
from holdfast.lab.solo import FIRST_ACCOUNT
from holdfast.primitives.units import PPM, div_floor, value_per_lot_atoms
from holdfast.protocol.collateral import rules as collateral
from holdfast.protocol.collateral.params import COINS, COLLATERAL
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger import handlers as ledger
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import UNIVERSE_INDEX, UNIVERSES
from holdfast.protocol.oracle.state import FEEDS
from holdfast.protocol.portfolio import handlers as portfolio
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.rules import get_collateral_shocks_ppm
from holdfast.protocol.surface.state import MARKS, RISK_ROWS
from holdfast.state.draft import Draft

_KERNELS: Final = "holdfast._kernels"
_SAMPLED: Final = 50


def step(size: Size) -> Duel[Draft, int]:
    """Hold the repricing and re-margining of all against the time inside the kernels that these call."""
    world = make_world(size.step_accounts, size.instruments)

    def run() -> Draft:
        draft = world.draft()
        run_risk_step(draft, world.context)
        return draft

    def run_traced() -> Taken[int]:
        trace = KernelTrace()
        with trace:
            run()
        if not trace.calls:
            raise WrongResultError("the risk step calls no kernel")
        return Taken(trace.calls, trace.seconds)

    def compare(draft: Draft, calls: int) -> Checked:
        _check_margins(draft, world)
        held = (
            f"{world.accounts:,} accounts with 20 positions each in {world.instruments:,} instruments, half with coins"
        )
        how = f"{calls} calls of kernels a step; equity and stress of {_SAMPLED} accounts recomputed"
        return Checked(f"{held}, {world.fills} fills in the block before; {how}")

    return Duel(timed("reprice and revalue", run, 1), lambda: Contender("its kernels", run_traced), compare)


def signed(size: Size) -> Duel[Run, int]:
    """Hold signed orders through one replica against the verifier alone."""
    bench = _open(size)
    return _path(
        "signed orders",
        lambda stages: bench.run_signed(bench.singles, BLOCK_MANY, stages),
        Contender("bare verification", lambda: Taken(0, 1 / bench.verify_bare())),
    )


def machine(size: Size) -> Duel[Run, int]:
    """Hold orders whose signatures count as verified against the bare book in Python."""
    bench = _open(size)
    return _path(
        "state machine",
        lambda stages: bench.run_machine(bench.singles, BLOCK_MANY, stages),
        Contender("bare Python book", lambda: Taken(0, 1 / bench.match_bare())),
    )


class KernelTrace:
    """The processor time inside the compiled kernels' functions, whoever calls them."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.seconds = 0.0
        self.calls = 0
        self._began = 0.0

    def __enter__(self) -> None:
        """Begin to watch."""
        sys.setprofile(self._on_event)

    def __exit__(self, *_: object) -> None:
        """End it."""
        sys.setprofile(None)

    def _on_event(self, _frame: FrameType, event: str, what: object) -> None:
        if isinstance(what, BuiltinFunctionType) and what.__module__ == _KERNELS:
            if event == "c_call":
                self._began = process_time()
            else:
                self.seconds += process_time() - self._began
                self.calls += 1


def _open(size: Size) -> Bench:
    return Bench(Sizes(orders=size.orders))


def _path(name: str, run: Callable[[StageTimes | None], Run], peer: Contender[int]) -> Duel[Run, int]:
    def take_turn() -> Taken[Run]:
        done = run(None)
        return Taken(done, 1 / done.rate)

    def compare(done: Run, _: int) -> Checked:
        ensure_equal(f"{done.refused} orders were refused", condition=done.refused == 0)
        stages = sorted(run(StageTimes()).stages.items(), key=lambda stage: -stage[1])
        told = ", ".join(f"{stage} {micros:.1f}" for stage, micros in stages)
        return Checked(f"blocks of {BLOCK_MANY:,} orders, none refused; us an order, in a run that is watched: {told}")

    return Duel(Contender(name, take_turn), lambda: peer, compare)


def _check_margins(draft: Draft, world: World) -> None:
    """Recompute equity and stress of some accounts, coins included, row by row from the leaf tables."""
    for place in np.linspace(0, world.accounts - 1, _SAMPLED, dtype=np.int64).tolist():
        account_id = FIRST_ACCOUNT + place
        equity = ledger.get_cash(draft, account_id)
        stress = np.zeros((len(UNIVERSES), 32), dtype=np.int64)
        for instrument_id in portfolio.get_holdings(draft, account_id):
            instrument = draft[INSTRUMENTS][instrument_id]
            position = draft[POSITIONS][account_id, instrument_id]
            value = value_per_lot_atoms(draft[MARKS][instrument_id].mark_e8, instrument.lot_e8)
            equity += position.lots * value - (position.cost_atoms if instrument.kind == Kind.FUTURE else 0)
            row = np.frombuffer(draft[RISK_ROWS][instrument_id], dtype="<i8")
            stress[UNIVERSE_INDEX[instrument.underlying]] += position.lots * row
        for asset_id in COINS:
            amount, price = ledger.get_balance(draft, account_id, asset_id), draft[FEEDS][asset_id].price_e8
            worth = collateral.compute_value_atoms(draft[COLLATERAL][asset_id], asset_id, amount, price)
            moved = [div_floor(worth * shock, PPM) for shock in get_collateral_shocks_ppm(draft, asset_id)]
            equity += worth
            stress[UNIVERSE_INDEX[asset_id]] += np.array(moved, dtype=np.int64)
        found = margin.get_risk(draft, account_id)
        ensure_equal(f"the stress of account {account_id}", condition=bool(np.array_equal(found.stress, stress)))
        told = margin.get_requirement(draft, account_id).equity_atoms
        ensure_equal(f"the equity of account {account_id}", condition=told == equity)
