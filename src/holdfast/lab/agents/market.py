"""What agents see of one committed state: marks, best prices, margins, and the chain in the order of its expiries."""

from bisect import bisect_left
from collections import deque
from typing import Final, NamedTuple

from holdfast.primitives.units import E8, HOUR_MS, PPM
from holdfast.protocol.book import handlers as book
from holdfast.protocol.book.state import ORDERS, Side
from holdfast.protocol.instruments.state import INSTRUMENTS, Kind
from holdfast.protocol.ledger.handlers import get_cash
from holdfast.protocol.ledger.state import BTC, ETH
from holdfast.protocol.liquidation.rules import ROW_DOWN, ROW_UP
from holdfast.protocol.margin import handlers as margin
from holdfast.protocol.margin.params import UNIVERSE_INDEX
from holdfast.protocol.margin.rules import get_row
from holdfast.protocol.margin.state import FROZEN, RISK_MATRIX, Requirement, RiskMatrix
from holdfast.protocol.surface.state import RISK_ARRAY, RiskArray
from holdfast.state.draft import Draft

UNDERLYINGS: Final = (BTC, ETH)
# How many blocks back a move of the index is measured, and over which time its swings are.
LOOKBACK_BLOCKS: Final = 5
SWING_MS: Final = 2 * HOUR_MS


class Contract(NamedTuple):
    """One instrument, as far as it never changes."""

    id: int
    kind: Kind
    underlying: int
    expiry_ms: int
    strike_e8: int
    tick_atoms: int


class Series(NamedTuple):
    """The options of one underlying and expiry, by strike and then call before put."""

    expiry_ms: int
    options: tuple[Contract, ...]


class Chain(NamedTuple):
    """All that is listed, by underlying; futures and series by expiry."""

    ids: tuple[int, ...]
    contracts: dict[int, Contract]
    futures: dict[int, tuple[Contract, ...]]
    series: dict[int, tuple[Series, ...]]


EMPTY_CHAIN: Final = Chain((), {}, dict.fromkeys(UNDERLYINGS, ()), dict.fromkeys(UNDERLYINGS, ()))


class Memory:
    """What is carried from one state to the next: the listed chain, and the index of the last blocks and hours."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.chain = EMPTY_CHAIN
        self.indices: dict[int, deque[int]] = {underlying: deque(maxlen=LOOKBACK_BLOCKS) for underlying in UNDERLYINGS}
        self.prices: dict[int, deque[tuple[int, int]]] = {underlying: deque() for underlying in UNDERLYINGS}


class Market:
    """One committed state, read."""

    def __init__(self, draft: Draft, height: int, time_ms: int, memory: Memory) -> None:
        """Look at a state that has prices; ask `is_open` first."""
        self.draft = draft
        self.height = height
        self.time_ms = time_ms
        array = draft[RISK_ARRAY].get(0)
        matrix = draft[RISK_MATRIX].get(0)
        self.is_open = array is not None and bool(array.lines) and matrix is not None
        self.underlyings: tuple[int, ...] = ()
        if array is None or matrix is None or not array.lines:
            return
        self.array: RiskArray = array
        self.matrix: RiskMatrix = matrix
        self.lines = array.lines
        self._refresh(memory)
        self.chain = memory.chain
        # Those with a price; an input may know one asset only.
        self.underlyings = tuple(underlying for underlying in UNDERLYINGS if self.index_atoms(underlying))
        self.moves_ppm = {underlying: self._note_index(memory, underlying) for underlying in UNDERLYINGS}
        self._prices = memory.prices

    # Prices

    def index_atoms(self, underlying: int) -> int:
        """Return what one lot of an underlying is worth at the index, 0 without a price."""
        return self.array.lot_value_atoms.get(underlying, 0)

    def swings_ppm(self, underlying: int) -> tuple[int, int]:
        """Return the largest fall and the largest rise of the index within the last two hours. Rounds: down."""
        prices = [price_e8 for _, price_e8 in self._prices[underlying]]
        high = low = prices[0] if prices else E8
        fall = rise = 0
        for price_e8 in prices:
            high, low = max(high, price_e8), min(low, price_e8)
            fall = max(fall, (high - price_e8) * PPM // high)
            rise = max(rise, (price_e8 - low) * PPM // low)
        return fall, rise

    def mark_atoms(self, contract: Contract) -> int:
        """Return the mark value of one lot."""
        return self.lines[contract.id].value_atoms

    def best(self, contract: Contract, side: int) -> tuple[int, int] | None:
        """Return (ticks, lots) of the order first in line on a side."""
        entry = book.get_best(self.draft, contract.id, side)
        return None if entry is None else (abs(entry[0]), self.draft[ORDERS][entry[2]].lots)

    def best_of_others(self, account_id: int, contract: Contract, side: int) -> int | None:
        """Return the best price in ticks on a side unless the account itself is first in line there."""
        entry = book.get_best(self.draft, contract.id, side)
        if entry is None or self.draft[ORDERS][entry[2]].account_id == account_id:
            return None
        return abs(entry[0])

    def short_need_atoms(self, contract: Contract) -> int:
        """Return about what maintenance margin asks for one short lot alone. Rounds: up."""
        row = self.lines[contract.id].row
        return int(row.max()) * 4 // 5 + self.index_atoms(contract.underlying) // 100 + 1

    def initial_need_atoms(self, contract: Contract, side: int) -> int:
        """Return about what initial margin asks for one lot more on a side, alone. Rounds: up."""
        row = self.lines[contract.id].row
        worst = max(0, -int(row.min())) if side == int(Side.BUY) else max(0, int(row.max()))
        return worst + self.index_atoms(contract.underlying) // 80 + 1

    # Accounts

    def equity_atoms(self, account_id: int) -> int:
        """Return an account's equity at this block's marks; what holds neither position nor coin has its cash alone."""
        place = self.matrix.places.get(account_id)
        return get_cash(self.draft, account_id) if place is None else int(self.matrix.equity_atoms[place])

    def maintenance_atoms(self, account_id: int) -> int:
        """Return an account's maintenance margin at this block's marks."""
        place = self.matrix.places.get(account_id)
        return 0 if place is None else int(self.matrix.maintenance_atoms[place])

    def requirement(self, account_id: int) -> Requirement:
        """Return an account's equity, initial and maintenance margin, open orders included."""
        return margin.get_requirement(self.draft, account_id)

    def delta_lots(self, account_id: int, underlying: int) -> int:
        """Return an account's delta in lots of a future. Rounds: toward zero."""
        risk = get_row(self.matrix, account_id)
        width = self._future_width(underlying)
        if risk is None or not width:
            return 0
        stress = risk.stress[UNIVERSE_INDEX[underlying]]
        change = int(stress[ROW_UP]) - int(stress[ROW_DOWN])
        return change // width if change >= 0 else -(-change // width)

    def is_frozen(self, account_id: int) -> bool:
        """Tell whether a liquidation holds an account."""
        return account_id in self.draft[FROZEN]

    # Choices

    def options_near(self, underlying: int, series_count: int, each_side: int) -> list[Contract]:
        """Return the options around the money of the nearest expiries, by expiry and strike."""
        found: list[Contract] = []
        center_e8 = self.array.prices_e8.get(underlying, 0)
        for series in self.chain.series[underlying][:series_count]:
            place = bisect_left(series.options, center_e8, key=_strike)
            found.extend(series.options[max(0, place - 2 * each_side) : place + 2 * each_side])
        return [contract for contract in found if contract.id in self.lines]

    def options_away(self, underlying: int, series_index: int, kind: Kind, away_ppm: int) -> Contract | None:
        """Return the listed option of an expiry nearest to a distance out of the money."""
        series = self.chain.series[underlying]
        if not series:
            return None
        center_e8 = self.array.prices_e8.get(underlying, 0)
        sign = -1 if kind == Kind.PUT else 1
        wanted_e8 = center_e8 * (PPM + sign * away_ppm) // PPM
        options = [
            option
            for option in series[min(series_index, len(series) - 1)].options
            if option.kind == kind and option.id in self.lines and (option.strike_e8 - center_e8) * sign > 0
        ]
        return min(options, key=lambda option: (abs(option.strike_e8 - wanted_e8), option.id), default=None)

    def futures(self, underlying: int) -> list[Contract]:
        """Return the futures of an underlying, nearest first."""
        return [contract for contract in self.chain.futures[underlying] if contract.id in self.lines]

    def _future_width(self, underlying: int) -> int:
        futures = self.futures(underlying)
        if not futures:
            return 0
        row = self.lines[futures[0].id].row
        return int(row[ROW_UP]) - int(row[ROW_DOWN])

    def _refresh(self, memory: Memory) -> None:
        ids = tuple(self.draft[INSTRUMENTS].keys())
        if ids != memory.chain.ids:
            memory.chain = _read_chain(self.draft, ids)

    def _note_index(self, memory: Memory, underlying: int) -> int:
        """Return how far the index has moved since the first block that is remembered, in millionths."""
        seen = memory.indices[underlying]
        price_e8 = self.array.prices_e8.get(underlying, 0)
        if price_e8 > 0:
            seen.append(price_e8)
            prices = memory.prices[underlying]
            prices.append((self.time_ms, price_e8))
            while prices[0][0] < self.time_ms - SWING_MS:
                prices.popleft()
        return abs(seen[-1] - seen[0]) * PPM // max(seen[0], E8) if seen else 0


def _strike(contract: Contract) -> int:
    return contract.strike_e8


def _read_chain(draft: Draft, ids: tuple[int, ...]) -> Chain:
    contracts: dict[int, Contract] = {}
    futures: dict[int, list[Contract]] = {underlying: [] for underlying in UNDERLYINGS}
    series: dict[int, dict[int, list[Contract]]] = {underlying: {} for underlying in UNDERLYINGS}
    for instrument_id in ids:
        row = draft[INSTRUMENTS][instrument_id]
        contract = Contract(instrument_id, row.kind, row.underlying, row.expiry_ms, row.strike_e8, row.tick_value_atoms)
        contracts[instrument_id] = contract
        if row.kind == Kind.FUTURE:
            futures[row.underlying].append(contract)
        else:
            series[row.underlying].setdefault(row.expiry_ms, []).append(contract)
    return Chain(
        ids,
        contracts,
        {
            underlying: tuple(sorted(listed, key=lambda contract: (contract.expiry_ms, contract.id)))
            for underlying, listed in futures.items()
        },
        {
            underlying: tuple(
                Series(expiry_ms, tuple(sorted(listed, key=lambda one: (one.strike_e8, one.kind, one.id))))
                for expiry_ms, listed in sorted(by_expiry.items())
            )
            for underlying, by_expiry in series.items()
        },
    )
