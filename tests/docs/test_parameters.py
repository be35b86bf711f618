"""`docs/parameters.md` says what the code does: every value, and every bound on both of its sides."""

import dataclasses
import importlib
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import pytest

from holdfast.consensus.events import Timeouts
from holdfast.lab import replay_settings
from holdfast.lab.agents import Population
from holdfast.lab.agents.population import _PERCENT
from holdfast.lab.replay_settings import ReplayInputError, ReplaySettings
from holdfast.primitives import codec
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Malformed
from holdfast.protocol.collateral import params as collateral
from holdfast.protocol.custody import params as custody
from holdfast.protocol.instruments import params as instruments
from holdfast.protocol.ledger.state import ASSET_NAMES, BTC, ETH
from holdfast.protocol.limits import ID_MAX
from holdfast.protocol.liquidation import params as liquidation
from holdfast.protocol.margin import params as margin
from holdfast.protocol.oracle import params as oracle
from holdfast.protocol.ranges import params as ranges
from holdfast.protocol.settlement import params as settlement
from holdfast.protocol.surface import params as surface
from holdfast.protocol.trading import params as trading

PAGE: Final = Path(__file__).parents[2] / "docs" / "parameters.md"

Fields = dict[str, object]
R = TypeVar("R", bound=codec.Record)

NO_DEFAULT: Final = "no default"
# Where no bound stands in the code, the parameter at this value is still accepted.
TOPS: Final = {"tick_e8": ID_MAX // 10**10 * 10**10} | dict.fromkeys(
    ("daily_step_e8", "weekly_step_e8", "monthly_step_e8", "quarterly_step_e8"), ID_MAX // 10**8 * 10**8
)


class Checked(NamedTuple):
    """A record that is checked: how fields become a verdict, and the fields that one stands on."""

    check: Callable[[Fields], None]
    base: Fields


def _checked(kind: type[R], check: Callable[[R], None], base: Fields | None = None) -> Checked:
    return Checked(lambda fields: check(_decode(kind, fields)), base or {})


def _check_settings(fields: Fields) -> None:
    replay_settings._check_counts(ReplaySettings(path=Path(), **fields))  # type: ignore[arg-type]


CHECKED: Final = {
    "TradingParams": _checked(trading.TradingParams, trading.check),
    "CustodyParams": _checked(custody.CustodyParams, custody.check, {"custodian_key": bytes(32)}),
    "InstrumentParams": _checked(instruments.InstrumentParams, instruments.check),
    "MarginParams": _checked(margin.MarginParams, margin.check),
    "OracleParams": _checked(oracle.OracleParams, oracle.check),
    "RangeParams": _checked(ranges.RangeParams, ranges.check),
    "DEFAULT_LIMITS": _checked(
        ranges.RangeLimits, ranges.check_limits, msgspec.structs.asdict(ranges.DEFAULT_LIMITS[BTC])
    ),
    "SettlementParams": _checked(settlement.SettlementParams, settlement.check),
    "LiquidationParams": _checked(liquidation.LiquidationParams, liquidation.check),
    "ReplaySettings": Checked(_check_settings, {}),
    "DEFAULTS": _checked(
        collateral.CollateralAsset, collateral.check, msgspec.structs.asdict(collateral.DEFAULTS[BTC])
    ),
    "DEFAULT_SPECS": _checked(
        instruments.ContractSpec, instruments.check_spec, msgspec.structs.asdict(instruments.DEFAULT_SPECS[BTC])
    ),
}

# Some parameters reach their bounds only where another moves with them.
NO_TENORS: Final[Fields] = dict.fromkeys(("dailies", "weeklies", "monthlies", "quarterlies"), 0)
BESIDE: Final[dict[tuple[str, str, str], Fields]] = {
    ("TradingParams", "market_floor_ppm", "high"): {"market_band_ppm": 200_000},
    ("TradingParams", "maker_ppm", "high"): {"taker_ppm": 5_000},
    ("TradingParams", "taker_ppm", "low"): {"maker_ppm": 0},
    ("MarginParams", "loss_im_ppm", "low"): {"loss_mm_ppm": 500_000},
    ("MarginParams", "loss_mm_ppm", "high"): {"loss_im_ppm": 3_000_000},
    ("MarginParams", "short_im_ppm", "low"): {"short_mm_ppm": 0},
    ("MarginParams", "short_mm_ppm", "high"): {"short_im_ppm": 100_000},
    ("MarginParams", "basis_im_ppm", "low"): {"basis_mm_ppm": 0},
    ("MarginParams", "basis_mm_ppm", "high"): {"basis_im_ppm": 100_000},
    ("MarginParams", "concentration_im_ppm", "low"): {"concentration_mm_ppm": 0},
    ("MarginParams", "concentration_mm_ppm", "high"): {"concentration_im_ppm": 200_000},
    ("LiquidationParams", "incentive_first_ppm", "high"): {"incentive_last_ppm": 1_000_000},
    ("LiquidationParams", "incentive_last_ppm", "low"): {"incentive_first_ppm": 0},
    ("OracleParams", "velocity_floor_ppm", "low"): {"agree_floor_ppm": 1_000},
    ("OracleParams", "agree_floor_ppm", "high"): {"velocity_floor_ppm": 1_000_000},
    ("OracleParams", "confirm_ms", "high"): {"suspect_ms": 600_000},
    ("OracleParams", "suspect_ms", "low"): {"confirm_ms": 0},
    ("OracleParams", "confirm_blocks", "high"): {"suspect_blocks": 100},
    ("OracleParams", "variance_start_e18", "high"): {"variance_max_e18": 10**14},
    ("OracleParams", "variance_max_e18", "low"): {"variance_start_e18": 0},
    ("RangeParams", "step_up_ppm", "high"): {"emergency_ppm": 500_000},
    ("RangeParams", "emergency_ppm", "low"): {"step_up_ppm": 10_000},
    ("RangeParams", "weight_max_ppm", "low"): {"weight_min_ppm": 300_000},
    ("DEFAULT_SPECS", "lot_e8", "low"): {"tick_e8": 10**10},
    ("DEFAULT_SPECS", "tick_e8", "low"): {"lot_e8": 10**8},
    **{("InstrumentParams", tenor, "high"): NO_TENORS for tenor in NO_TENORS},
}

# What the page says of two parameters together: the second one beyond the first is refused.
RELATIONS: Final[list[tuple[str, Fields]]] = [
    ("TradingParams", {"maker_ppm": 301, "taker_ppm": 300}),
    ("MarginParams", {"loss_mm_ppm": 1_000_001, "loss_im_ppm": 1_000_000}),
    ("MarginParams", {"short_mm_ppm": 10_001, "short_im_ppm": 10_000}),
    ("MarginParams", {"basis_mm_ppm": 3_001, "basis_im_ppm": 3_000}),
    ("MarginParams", {"concentration_mm_ppm": 20_001, "concentration_im_ppm": 20_000}),
    ("LiquidationParams", {"incentive_first_ppm": 500_001, "incentive_last_ppm": 500_000}),
    ("OracleParams", {"agree_floor_ppm": 10_001, "velocity_floor_ppm": 10_000}),
    ("OracleParams", {"confirm_ms": 60_001, "suspect_ms": 60_000}),
    ("OracleParams", {"confirm_blocks": 3, "suspect_blocks": 2}),
    ("OracleParams", {"variance_start_e18": 2, "variance_max_e18": 1}),
    ("OracleParams", {"feeds": (1, 0)}),
    ("OracleParams", {"feeds": ()}),
    ("RangeParams", {"step_down_ppm": 20_001, "step_up_ppm": 20_000}),
    ("RangeParams", {"step_up_ppm": 250_001, "emergency_ppm": 250_000}),
    ("RangeParams", {"weight_min_ppm": 500_100, "weight_max_ppm": 500_000}),
    ("RangeParams", {"weight_min_ppm": 400_050}),
    ("RangeParams", {"weight_max_ppm": 999_999}),
    ("DEFAULT_LIMITS", {"start_ppm": 160_050}),
    ("InstrumentParams", NO_TENORS),
    ("InstrumentParams", {"dailies": 7}),
    ("DEFAULT_SPECS", {"tick_e8": 99_999}),
    ("DEFAULT_SPECS", {"daily_step_e8": 150_000_000}),
]


class Table(NamedTuple):
    """One table of the page: what it lists, where that is in the code, and its cells by row."""

    kind: str
    source: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        return self.source.rpartition(".")[2]


def _read_tables() -> Iterator[Table]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if mark := re.fullmatch(r"<!-- ([a-z ]+)(?:: (\S+))? -->", line):
            block = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                block.append(tuple(cell.strip() for cell in row.strip("|").split("|")))
            yield Table(mark[1], mark[2] or "", block[0], tuple(block[2:]))


TABLES: Final = tuple(_read_tables())


def _tables(kind: str) -> list[Table]:
    return [table for table in TABLES if table.kind == kind]


def _table(kind: str) -> Table:
    (table,) = _tables(kind)
    return table


def _resolve(source: str) -> object:
    module, _, name = source.rpartition(".")
    found: object = getattr(importlib.import_module(module), name)
    return found


def _decode(kind: type[R], fields: Fields) -> R:
    """Return a record by way of its bytes, so that the bounds of its types count as well."""
    defaults = _defaults(kind)
    names = [field.name for field in msgspec.structs.fields(kind)]
    values = tuple(fields.get(name, defaults[name]) for name in names)
    return codec.Decoder(kind, max_bytes=4_096).decode(codec.encode(values))


def _defaults(kind: object) -> Fields:
    """Return the defaults of a record, a named tuple or a dataclass."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        found = {field.name: field.default for field in msgspec.structs.fields(kind)}
        return {name: NO_DEFAULT if value is msgspec.NODEFAULT else value for name, value in found.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return {field.name: _dataclass_default(field) for field in dataclasses.fields(kind)}
    return dict(kind._field_defaults)  # type: ignore[attr-defined]


def _dataclass_default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return NO_DEFAULT if field.default is dataclasses.MISSING else field.default


def _number(cell: str) -> int:
    match = re.match(r"-?[\d,]+", cell)
    assert match, f"{cell!r} begins with no number"
    return int(match[0].replace(",", ""))


def _is_stated(name: str, cell: str, value: object) -> bool:
    match value:
        case bool():
            return cell == ("yes" if value else "no")
        case None | ():
            return cell == "none"
        case int():
            return _number(cell) == value and _reading(name, value) in (cell.partition("(")[2].rstrip(")"), "")
        case tuple():
            # Timeouts are a tuple of their own table.
            return cell == (
                "as above" if isinstance(value, Timeouts) else ", ".join(ASSET_NAMES[feed] for feed in value)
            )
        case _:
            return cell == value


def _reading(name: str, value: int) -> str:
    """Return what a value in brackets must say; nothing where the name carries no unit that is spelt out."""
    words = name.lower().strip("_").split("_")
    if "ppm" in words:
        return f"{_plain(Decimal(value) / 10_000)} %"
    if "ms" in words and (value % 1_000 == 0 or value < 10**6):
        scale = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1_000, "ms": 1}
        unit = next(unit for unit, size in scale.items() if (value and value % size == 0) or unit == "ms")
        return f"{value // scale[unit]} {unit}"
    if "bytes" in words and value >= 1_024:
        unit, size = ("MiB", 2**20) if value % 2**20 == 0 else ("KiB", 2**10)
        return f"{_plain(Decimal(value) / size)} {unit}"
    if "e8" in words:
        return _plain(Decimal(value) / 10**8)
    is_sum = "atoms" in words and not {"cap", "coin"} & set(words) and words[0] != "amount"
    return _plain(Decimal(value) / 10**6) if is_sum else ""


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _names(table: Table) -> list[str]:
    return [row[0].strip("`") for row in table.rows]


@pytest.mark.parametrize("table", _tables("record"), ids=lambda table: table.name)
def test_record__every_field__stands_with_its_default(table: Table) -> None:
    defaults = _defaults(_resolve(table.source))
    assert table.header == ("parameter", "default", "unit", "bounds", "reason")
    assert _names(table) == list(defaults)
    wrong = [
        row[:2]
        for row, (name, value) in zip(table.rows, defaults.items(), strict=True)
        if not _is_stated(name, row[1], value)
    ]
    assert not wrong


@pytest.mark.parametrize("table", _tables("records"), ids=lambda table: table.name)
def test_records__every_field_of_each__stands_with_its_default(table: Table) -> None:
    records = _resolve(table.source)
    assert isinstance(records, dict)
    assert table.header[1 : 1 + len(records)] == tuple(ASSET_NAMES[asset] for asset in records)
    for place, record in enumerate(records.values(), 1):
        values = msgspec.structs.asdict(record)
        assert _names(table) == list(values)
        assert not [
            row
            for row, (name, value) in zip(table.rows, values.items(), strict=True)
            if not _is_stated(name, row[place], value)
        ]


@pytest.mark.parametrize("table", _tables("constants") + _tables("some constants"), ids=lambda table: table.source)
def test_constants__of_a_module__stand_with_their_values(table: Table) -> None:
    module = importlib.import_module(table.source)
    wrong = [
        row
        for row, name in zip(table.rows, _names(table), strict=True)
        if not _is_stated(name, row[1], getattr(module, name))
    ]
    assert not wrong
    if table.kind == "constants":
        named = re.findall(r"^([A-Z][A-Z0-9_]*): Final =", Path(str(module.__file__)).read_text("utf-8"), re.MULTILINE)
        assert _names(table) == [name for name in named if isinstance(getattr(module, name), int)]


def _bounded() -> Iterator[tuple[str, str, int, int | None]]:
    for table in _tables("record") + _tables("records"):
        column = table.header.index("bounds")
        for name, row in zip(_names(table), table.rows, strict=True):
            if match := re.match(r"(-?[\d,]+) \.\.(?: (-?[\d,]+))?", row[column]):
                yield table.name, name, _number(match[1]), _number(match[2]) if match[2] else None


def _accepts(owner: str, fields: Fields) -> bool:
    try:
        CHECKED[owner].check(CHECKED[owner].base | fields)
    except (BrokenInvariantError, Malformed, ReplayInputError):
        return False
    return True


@pytest.mark.parametrize(("owner", "name", "low", "high"), list(_bounded()))
def test_bound__at_its_edges__holds_and_beyond_it_refuses(owner: str, name: str, low: int, high: int | None) -> None:
    beside_low, beside_high = (BESIDE.get((owner, name, side), {}) for side in ("low", "high"))
    assert _accepts(owner, beside_low | {name: low})
    assert not _accepts(owner, beside_low | {name: low - 1})
    if high is None:
        assert _accepts(owner, beside_high | {name: TOPS.get(name, ID_MAX)}), (
            "the code has a bound that the page leaves out"
        )
    else:
        assert _accepts(owner, beside_high | {name: high})
        assert not _accepts(owner, beside_high | {name: high + 1})


@pytest.mark.parametrize(("owner", "fields"), RELATIONS)
def test_relation__between_parameters__refuses_its_breach(owner: str, fields: Fields) -> None:
    assert not _accepts(owner, fields)


def test_defaults__of_every_module__pass_their_own_checks() -> None:
    assert all(_accepts(owner, {}) for owner in CHECKED)


def test_grid__as_stated__is_the_grid_of_the_code() -> None:
    moves = [(_number(row[1]), _number(row[2])) for row in _table("grid moves").rows]
    volatilities = [_number(row[1]) for row in _table("grid volatilities").rows]
    tails = [[_number(cell) for cell in row[:4]] for row in _table("grid tails").rows]
    for place, asset in enumerate((BTC, ETH)):
        grid = surface.DEFAULT_GRIDS[asset]
        assert grid.spot_ppm == (
            *(move[place] for move in moves for _ in volatilities),
            *(tail[1] for tail in tails),
            0,
        )
        assert grid.vol_ppm == (*(volatilities * len(moves)), *[volatilities[2]] * len(tails), 0)
        assert grid.dampen_ppm == (*[10**6] * 27, *(tail[2 + place] for tail in tails), 10**6)
        assert grid.rho_shift_ppm == (*[0] * 31, -250_000)
    rows = [row for row, *_ in _table("grid moves").rows]
    assert rows == [f"{first} to {first + 2}" for first in range(0, 27, 3)]


def test_grid__at_each_bound__holds_and_beyond_it_refuses() -> None:
    grid = surface.DEFAULT_GRIDS[BTC]
    for name, _, bounds in _table("grid bounds").rows:
        low, high = (_number(part) for part in bounds.split(" .. "))
        field = name.strip("`")
        for value, is_fine in ((low, True), (low - 1, False), (high, True), (high + 1, False)):
            shocks = (*getattr(grid, field)[:27], value, *getattr(grid, field)[28:])
            changed = msgspec.structs.replace(grid, **{field: shocks})
            try:
                surface.check(changed)
            except BrokenInvariantError:
                assert not is_fine
            else:
                assert is_fine


def test_usdt__as_stated__is_shocked_so() -> None:
    stated: list[int] = []
    for rows, shock, _ in _table("usdt shocks").rows:
        first, _, last = rows.partition(" to ")
        stated += [_number(shock)] * (int(last or first) - int(first) + 1)
    assert tuple(stated) == surface.USDT_SHOCKS_PPM


def test_joint_scenarios__as_counted__are_listed() -> None:
    counts = {kind: _number(count) for kind, count, _ in _table("joint scenarios").rows}
    flat = margin.ROW_FLAT
    together = sum(len(set(rows)) == 1 for rows in margin.JOINT)
    alone = [sum(len(set(rows)) > 1 and rows[place] != flat for rows in margin.JOINT) for place in range(3)]
    assert list(counts.values()) == [together, *alone, len(margin.OPPOSED)]


@pytest.mark.parametrize("seed", [1, 7, 2025])
def test_agents__of_a_population__start_with_the_stated_money(seed: int) -> None:
    rows = {kind: (share, money) for kind, share, money in _table("agents").rows}
    assert {kind.kind: percent for kind, percent in _PERCENT} == {
        kind: _number(share) for kind, (share, _) in rows.items()
    }
    usdc = {
        "maker": (8e6, 15e6),
        "bidder": (3e6, 8e6),
        "speculator": (20e3, 2e6),
        "seller": (25e3, 150e3),
        "buyer": (30e3, 400e3),
        "churner": (10e3, 80e3),
    }
    for agent in Population(seed, 400).agents:
        held = {ASSET_NAMES[asset]: amount for asset, amount in agent.deposits}
        if agent.kind != "hedger":
            low, high = usdc[agent.kind]
            assert f"{low:,.0f} to {high:,.0f} USDC" in rows[agent.kind][1]
            assert low <= sum(held.values()) / 10**6 <= high
        else:
            assert held.get("USDC", 0) <= 120_000 * 10**6
            assert held.get("BTC", 0) <= 4 * 10**8
            assert held.get("ETH", 0) <= 90 * 10**8
            assert held.get("USDT", 0) <= 120_000 * 10**6
