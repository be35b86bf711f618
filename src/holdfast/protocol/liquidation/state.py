"""Stored liquidations."""

from enum import IntEnum
from typing import Final

from holdfast.primitives.codec import Record
from holdfast.protocol.limits import U64
from holdfast.state.table import Table


class Stage(IntEnum):
    """Where a liquidation stands."""

    HEDGE = 0
    AUCTION = 1


class Liquidation(Record):
    """One account's liquidation: its stage, and the auction's steps so far, which count live blocks only."""

    stage: U64
    started_height: U64
    steps: U64


class Socialised(Record):
    """What haircuts have ever taken, and how often."""

    atoms: U64
    times: U64


LIQUIDATIONS: Final = Table[int, Liquidation]("liquidations", ["u64"], Liquidation, tag=106)
SOCIALISED: Final = Table[int, Socialised]("socialised losses", ["u64"], Socialised, tag=107)
