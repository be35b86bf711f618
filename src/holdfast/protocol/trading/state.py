"""What the commands of a block know of an instrument that they trade."""

from typing import Final

from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.protocol.instruments.state import Instrument
from holdfast.protocol.oracle.rules import Action
from holdfast.protocol.surface.state import RiskArray, RiskLine
from holdfast.protocol.trading.params import TradingParams
from holdfast.state.table import Table


class Market(Record):
    """An instrument that was found fit for an action, and what its orders are judged by; it holds for one block."""

    instrument_id: int
    instrument: Instrument
    line: RiskLine
    array: RiskArray
    params: TradingParams


# (instrument << ACTION_BITS | action) -> its market, looked up once a block
ACTION_BITS: Final = 3
ensure(len(Action) <= 1 << ACTION_BITS, "every action has its place in a market's key")
MARKETS: Final = Table[int, Market]("markets", ["u64"], Market, tag=None)
