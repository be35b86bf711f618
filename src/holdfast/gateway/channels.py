"""The names of channels, and what each of them carries."""

from typing import Final, NamedTuple

from holdfast.gateway.objects import find_index

INTERVALS: Final = frozenset(("raw", "100ms", "agg2"))
DEPTHS: Final = frozenset((1, 10, 20))
ID_DIGITS_MAX: Final = 18


class Channel(NamedTuple):
    """A channel: `kind`, and what it is about: an instrument's or a currency's name, an account, a feed."""

    name: str
    kind: str
    subject: str = ""
    number: int = 0
    instrument_kind: str = "any"

    @property
    def has_state(self) -> bool:
        """Return whether it tells how things are, so that only the last message counts."""
        return self.kind in ("ticker", "quote", "book", "depth", "index")


def parse_channel(name: str) -> Channel | None:
    """Return the channel of a name, None where there is none such."""
    channel: Channel | None = None
    kind, *rest = name.split(".")
    match kind, rest:
        case "blocks", []:
            channel = Channel(name, "blocks")
        case "account", [number] if number.isascii() and number.isdecimal() and len(number) <= ID_DIGITS_MAX:
            channel = Channel(name, "account", number=int(number))
        case "quote", [subject]:
            channel = Channel(name, "quote", subject)
        case "deribit_price_index", [index]:
            feed_id = find_index(index)
            channel = None if feed_id is None else Channel(name, "index", index, feed_id)
        case (("book" | "ticker" | "trades"), [subject, interval]) if interval in INTERVALS:
            channel = Channel(name, kind, subject)
        case "book", [subject, "none", depth, interval] if interval in INTERVALS and depth in map(str, DEPTHS):
            channel = Channel(name, "depth", subject, int(depth))
        case "trades", [what, currency, interval] if interval in INTERVALS and what in ("option", "future", "any"):
            channel = Channel(name, "trades_of", currency.upper(), instrument_kind=what)
        case _:
            pass
    return channel
