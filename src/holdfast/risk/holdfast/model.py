"""The model `holdfast`: the exchange's figures of an account, and everything that they are made of."""

from collections.abc import Iterator
from typing import Final

from holdfast.primitives.units import PPM, div_ceil, div_floor
from holdfast.protocol.ledger.state import ASSET_NAMES
from holdfast.protocol.limits import SCENARIOS
from holdfast.protocol.margin import rules
from holdfast.protocol.margin.params import (
    JOINT,
    MARGIN_PARAMS,
    OPPOSED,
    ROW_FLAT,
    ROW_TAIL_FIRST,
    UNIVERSES,
    MarginParams,
)
from holdfast.protocol.margin.state import CHARGES, Int64Array
from holdfast.protocol.surface.params import SURFACE_PARAMS, USDT_SHOCKS_PPM
from holdfast.risk.holdfast.account import ACCOUNT_ID, Account, open_account
from holdfast.risk.holdfast.amounts import to_usd
from holdfast.risk.holdfast.market import MODEL
from holdfast.risk.portfolio import Portfolio
from holdfast.risk.result import Figure, MarginResult

FLAT: Final = "flat"

Rows = tuple[int, int, int]


def compute_margin(portfolio: Portfolio) -> MarginResult:
    """Margin a portfolio by the exchange's own rules; initial and maintenance are requirements in USD."""
    return tell(open_account(portfolio))


def tell(account: Account) -> MarginResult:
    """Return what the exchange says of an account, with every figure on the way.

    The scenarios are those of positions and coins, which maintenance counts; open orders add to the initial margin's.
    """
    requirement, risk = account.requirement, account.risk
    names = name_rows(account)
    params = account.draft[MARGIN_PARAMS][0]
    scenarios = dict(_list_scenarios(risk.stress, names, params))
    with_orders = dict(_list_scenarios(_with_orders(account), names, params))
    worst = min(scenarios, key=lambda name: scenarios[name])
    worst_initial = min(with_orders, key=lambda name: with_orders[name])
    return MarginResult(
        model=MODEL,
        currency="USD",
        convention="requirement",
        initial=to_usd(requirement.initial_atoms),
        maintenance=to_usd(requirement.maintenance_atoms),
        mark_to_market=to_usd(requirement.equity_atoms),
        worst_scenario=worst,
        scenarios={name: to_usd(atoms) for name, atoms in scenarios.items()},
        figures={
            "equity_atoms": requirement.equity_atoms,
            "initial_atoms": requirement.initial_atoms,
            "maintenance_atoms": requirement.maintenance_atoms,
            "cash": to_usd(account.cash_atoms),
            "positions_at_mark": to_usd(risk.marks_atoms),
            "collateral_after_haircut": to_usd(risk.collateral_atoms),
            "worst_scenario_initial": worst_initial,
            "initial_parts": _tell_parts(account, with_orders[worst_initial], is_initial=True),
            "maintenance_parts": _tell_parts(account, scenarios[worst], is_initial=False),
            "rows": {
                name: [to_usd(atoms) for atoms in risk.stress[place].tolist()] for place, name in _list_held(account)
            },
            "open_lots": risk.open_lots,
            "gross_lots": {name: risk.gross_lots[place] for place, name in _list_held(account)},
            "surfaces": _tell_surfaces(account),
        },
    )


def list_tails(account: Account) -> dict[str, float]:
    """Return the tails and the skew of every universe with something at stake, in USD, as margin counts them."""
    names = name_rows(account)
    return {
        names[place][row]: to_usd(int(account.risk.stress[place, row]))
        for place, _ in _list_held(account)
        for row in range(ROW_TAIL_FIRST, SCENARIOS)
        if names[place][row] != FLAT
    }


def name_rows(account: Account) -> list[list[str]]:
    """Return the names of each universe's rows, in their order; a row that moves nothing is `flat`."""
    names: list[list[str]] = []
    for universe in UNIVERSES:
        coin = ASSET_NAMES[universe]
        grid = account.draft[SURFACE_PARAMS].get(universe)
        if grid is None:
            names.append([f"{coin} {_percent(shock)}" if shock else FLAT for shock in USDT_SHOCKS_PPM])
            continue
        shocks = zip(grid.spot_ppm, grid.vol_ppm, grid.rho_shift_ppm, strict=True)
        names.append([f"{coin} {_name_shock(*shock)}" if any(shock) else FLAT for shock in shocks])
    return names


def _name_shock(spot_ppm: int, vol_ppm: int, rho_ppm: int) -> str:
    if rho_ppm:
        return "skew"
    vol = "flat" if not vol_ppm else "up" if vol_ppm > 0 else "down"
    return f"spot{_percent(spot_ppm)} vol-{vol}"


def _percent(share_ppm: int) -> str:
    return f"{share_ppm / 10_000:+.4g}%"


def _list_held(account: Account) -> Iterator[tuple[int, str]]:
    """Yield the universes in which an account has anything at stake; one of them at least."""
    risk = account.risk
    held = [
        place
        for place in range(len(UNIVERSES))
        if risk.stress[place].any() or risk.gross_lots[place] or risk.orders[place].any() or risk.quotes[place].any()
    ]
    for place in held or [0]:
        yield place, ASSET_NAMES[UNIVERSES[place]]


def _with_orders(account: Account) -> Int64Array:
    """Return the vectors that initial margin counts; quotes as far as their protection lets them fill."""
    risk = account.risk
    return risk.stress + risk.orders + rules.compute_quotes_stress(account.draft, ACCOUNT_ID, risk)


def _list_scenarios(stress: Int64Array, names: list[list[str]], params: MarginParams) -> Iterator[tuple[str, int]]:
    """Yield every listed scenario's profit or loss in atoms: first each universe alone, then what is joint."""
    held = [place for place in range(len(UNIVERSES)) if stress[place].any()] or [0]
    rows = sorted(JOINT, key=lambda joint: sum(joint[place] != ROW_FLAT for place in held))
    told: dict[str, int] = {}
    for joint in rows:
        told.setdefault(_join(joint, names, held), _add(stress, joint))
    if len(held) > 1:
        for opposed in OPPOSED:
            weighed = div_floor(_add(stress, opposed) * params.cross_weight_ppm, PPM)
            told.setdefault(f"{_join(opposed, names, held)} x{params.cross_weight_ppm / PPM:g}", weighed)
    yield from told.items()


def _join(rows: Rows, names: list[list[str]], held: list[int]) -> str:
    moved = [names[place][rows[place]] for place in held if names[place][rows[place]] != FLAT]
    return " & ".join(moved) or FLAT


def _add(stress: Int64Array, rows: Rows) -> int:
    return sum(int(stress[place, row]) for place, row in enumerate(rows))


def _tell_parts(account: Account, worst_atoms: int, *, is_initial: bool) -> dict[str, Figure]:
    """Return what a requirement is the sum of, in USD; a depeg is what its factor adds to all of the others."""
    risk, params, charges = account.risk, account.draft[MARGIN_PARAMS][0], account.draft[CHARGES][0]
    factor = params.loss_im_ppm if is_initial else params.loss_mm_ppm
    crowded = tuple(max(0, lots - params.concentration_lots) for lots in risk.gross_lots)
    parts = {
        "worst_loss": div_ceil(max(0, -worst_atoms) * factor, PPM),
        "short": _charge(risk.short_lots, charges.short_im if is_initial else charges.short_mm),
        "basis": _charge(risk.future_lots, charges.basis_im if is_initial else charges.basis_mm),
        "concentration": _charge(crowded, charges.concentration_im if is_initial else charges.concentration_mm),
    }
    if is_initial:
        parts["confidence"] = _charge(risk.gross_lots, charges.confidence_im)
        total = sum(parts.values())
        parts["depeg"] = div_ceil(total * params.depeg_im_ppm, PPM) - total if charges.is_depegged else 0
    return {"worst_scenario_pnl": to_usd(worst_atoms), **{name: to_usd(atoms) for name, atoms in parts.items()}}


def _charge(lots: tuple[int, ...], rates: tuple[int, ...]) -> int:
    return sum(count * rate for count, rate in zip(lots, rates, strict=True))


def _tell_surfaces(account: Account) -> list[Figure]:
    return [
        {
            "underlying": underlying,
            "seconds": seconds,
            **part.smile._asdict(),
            "fitted_points": part.fit.points if part.fit else 0,
            "fit_error_mean": part.fit.mean if part.fit else None,
            "fit_error_max": part.fit.largest if part.fit else None,
        }
        for (underlying, seconds), part in account.market.slices.items()
    ]
