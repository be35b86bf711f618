"""Reports as bytes of vote extensions, the oracle commit that opens a block, and what comes of them.

A report is compact and canonical: integers in their shortest form, seven bits a byte, lowest first; what ascends is
written as gaps, what may be negative zigzag. Decoding is bounded before it begins and refuses whatever encoding would
not have written. Bounds are wide on purpose: an honest validator's report must never be refused for its prices.
"""

from itertools import pairwise
from typing import Annotated, Final, NamedTuple, NoReturn

from msgspec import Meta

from holdfast.primitives import codec
from holdfast.primitives.check import ensure
from holdfast.primitives.codec import Record
from holdfast.primitives.reject import Malformed
from holdfast.primitives.units import MINUTE_MS, PPM, div_exact
from holdfast.protocol.limits import EXTENSION_BYTES_MAX, ID_MAX, PRICE_E8_MAX, U64, VALIDATORS_MAX

REPORT_VERSION: Final = 2
FEEDS_MAX: Final = 64
FEED_ID_MAX: Final = 65_535
SURFACES_MAX: Final = 16
SLICES_MAX: Final = 64
SOURCES_MAX: Final = 255
AGE_MS_MAX: Final = 2**32 - 1
EXPIRY_MS_MAX: Final = 2**45
RHO_PPM_MAX: Final = 10**6
ETA_PPM_MAX: Final = 10**8
SHIFT_PPM_MAX: Final = 10**8
WIDTH_PPM_MAX: Final = 10**9
THETA_E12_MAX: Final = 10**15

_GROUP_BITS: Final = 7
_GROUP_MAX: Final = 127
_GROUPS_MAX: Final = 9  # nine groups of seven bits are the 63 bits of the largest number


class FeedReport(NamedTuple):
    """One validator's view of one price."""

    feed: int
    price_e8: int
    confidence_e8: int
    sources: int
    age_ms: int


class SliceReport(NamedTuple):
    """One expiry of a surface: a whole minute, its forward, its total variance at the money from now on, its smile.

    The smile is that of `primitives/smiles.py`; shift 0 and width 1_000_000 make it SSVI.
    """

    expiry_ms: int
    forward_e8: int
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    shift_ppm: int = 0
    width_ppm: int = PPM


# What the first slice's steps are taken from: SSVI costs nothing but a byte a number.
_NO_SLICE: Final = SliceReport(0, 0, 0, 0, 0)


class SurfaceReport(NamedTuple):
    """One validator's view of one underlying's volatility."""

    underlying: int
    slices: tuple[SliceReport, ...]


class Report(NamedTuple):
    """All that one validator tells in one block; feeds, underlyings and expiries strictly ascend."""

    feeds: tuple[FeedReport, ...]
    surfaces: tuple[SurfaceReport, ...]


class OracleVote(Record):
    """One validator's extension and its signature, as in the commit of the height before."""

    validator_index: U64
    extension: Annotated[bytes, Meta(max_length=EXTENSION_BYTES_MAX)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class OracleCommit(Record):
    """The first transaction of every block: the extensions of the last height's precommits, by validator."""

    round: U64
    votes: Annotated[tuple[OracleVote, ...], Meta(max_length=VALIDATORS_MAX)]


class FeedUpdated(Record, tag=150):
    """A feed has a new price."""

    feed: U64
    price_e8: U64
    confidence_e8: U64
    included_power: U64
    status: U64


class FeedStatusChanged(Record, tag=151):
    """A feed moved on the status ladder."""

    feed: U64
    before: U64
    after: U64


ORACLE_COMMIT_DECODER: Final = codec.Decoder(
    OracleCommit,
    max_bytes=VALIDATORS_MAX * (EXTENSION_BYTES_MAX + 96) + 64,
    max_depth=3,
    max_items=4 * VALIDATORS_MAX + 4,
)


def encode_oracle_commit(commit: OracleCommit) -> bytes:
    """Return an oracle commit as the bytes of a block's first transaction."""
    ensure(_is_ascending([vote.validator_index for vote in commit.votes]), "a commit lists validators once, in order")
    return codec.encode(commit)


def decode_oracle_commit(data: bytes) -> OracleCommit:
    """Return the oracle commit behind its bytes. Refuses: Malformed."""
    commit = ORACLE_COMMIT_DECODER.decode(data)
    if not _is_ascending([vote.validator_index for vote in commit.votes]):
        _refuse("validators are not strictly ascending")
    return commit


def encode_report(report: Report) -> bytes:
    """Return a report's canonical bytes. Refuses: Malformed, for a report that no replica would take."""
    check_report(report)
    out = bytearray([REPORT_VERSION])
    _put(out, len(report.feeds))
    before = -1
    for feed in report.feeds:
        for value in (feed.feed - before - 1, feed.price_e8, feed.confidence_e8, feed.sources, feed.age_ms):
            _put(out, value)
        before = feed.feed
    _put(out, len(report.surfaces))
    before = -1
    for surface in report.surfaces:
        for value in (surface.underlying - before - 1, len(surface.slices)):
            _put(out, value)
        before = surface.underlying
        last = _NO_SLICE
        for part in surface.slices:
            _put(out, div_exact(part.expiry_ms - last.expiry_ms, MINUTE_MS) - 1)
            for now, then in zip(part[1:], last[1:], strict=True):
                _put(out, _zigzag(now - then))
            last = part
    if len(out) > EXTENSION_BYTES_MAX:
        _refuse("a report fits a vote extension")
    return bytes(out)


def decode_report(data: bytes) -> Report:
    """Return the report behind its canonical bytes. Refuses: Malformed, for anything else."""
    if len(data) > EXTENSION_BYTES_MAX:
        _refuse("a report fits a vote extension")
    if not data or data[0] != REPORT_VERSION:
        _refuse("an unknown version of report")
    reader = _Reader(data, 1)
    feeds: list[FeedReport] = []
    before = -1
    for _ in range(reader.count(FEEDS_MAX)):
        before += reader.number() + 1
        feeds.append(FeedReport(before, reader.number(), reader.number(), reader.number(), reader.number()))
    surfaces: list[SurfaceReport] = []
    before = -1
    for _ in range(reader.count(SURFACES_MAX)):
        before += reader.number() + 1
        surfaces.append(SurfaceReport(before, _read_slices(reader)))
    if reader.place != len(data):
        _refuse("bytes follow the report")
    report = Report(tuple(feeds), tuple(surfaces))
    check_report(report)
    return report


def check_report(report: Report) -> None:
    """Check a report's counts, order and bounds. Refuses: Malformed."""
    _check(len(report.feeds) <= FEEDS_MAX and len(report.surfaces) <= SURFACES_MAX, "too many feeds or surfaces")
    _check(_is_ascending([feed.feed for feed in report.feeds]), "feeds are not strictly ascending")
    _check(_is_ascending([surface.underlying for surface in report.surfaces]), "underlyings are not strictly ascending")
    for feed in report.feeds:
        _check(0 <= feed.feed <= FEED_ID_MAX, "no such feed")
        _check(0 < feed.price_e8 <= PRICE_E8_MAX, "a price out of bounds")
        _check(0 <= feed.confidence_e8 <= PRICE_E8_MAX, "a confidence out of bounds")
        _check(0 <= feed.sources <= SOURCES_MAX and 0 <= feed.age_ms <= AGE_MS_MAX, "sources or an age out of bounds")
    for surface in report.surfaces:
        _check(0 <= surface.underlying <= FEED_ID_MAX, "no such underlying")
        _check(len(surface.slices) <= SLICES_MAX, "too many expiries")
        _check(_is_ascending([part.expiry_ms for part in surface.slices]), "expiries are not strictly ascending")
        for part in surface.slices:
            _check(0 < part.expiry_ms <= EXPIRY_MS_MAX and part.expiry_ms % MINUTE_MS == 0, "an expiry out of bounds")
            _check(0 < part.forward_e8 <= PRICE_E8_MAX, "a forward out of bounds")
            _check(0 <= part.theta_e12 <= THETA_E12_MAX, "a variance out of bounds")
            _check(abs(part.rho_ppm) <= RHO_PPM_MAX and 0 <= part.eta_ppm <= ETA_PPM_MAX, "a skew out of bounds")
            _check(
                abs(part.shift_ppm) <= SHIFT_PPM_MAX and 0 <= part.width_ppm <= WIDTH_PPM_MAX, "a smile out of bounds"
            )


class _Reader:
    """A place in bytes, from which numbers are read in their shortest form."""

    __slots__ = ("data", "place")

    def __init__(self, data: bytes, place: int) -> None:
        self.data = data
        self.place = place

    def number(self) -> int:
        data, value = self.data, 0
        for group in range(_GROUPS_MAX):
            if self.place >= len(data):
                _refuse("the report ends early")
            byte = data[self.place]
            self.place += 1
            value |= (byte & _GROUP_MAX) << (_GROUP_BITS * group)
            if byte <= _GROUP_MAX:
                break
        else:
            _refuse("a number is too large")
        _check(byte > 0 or group == 0, "a number is not in its shortest form")
        return value

    def signed(self) -> int:
        value = self.number()
        return value >> 1 ^ -(value & 1)

    def count(self, limit: int) -> int:
        value = self.number()
        if value > limit:
            _refuse("a list is too long")
        return value


def _read_slices(reader: _Reader) -> tuple[SliceReport, ...]:
    slices: list[SliceReport] = []
    last = _NO_SLICE
    for _ in range(reader.count(SLICES_MAX)):
        expiry_ms = last.expiry_ms + (reader.number() + 1) * MINUTE_MS
        last = SliceReport(expiry_ms, *(value + reader.signed() for value in last[1:]))
        slices.append(last)
    return tuple(slices)


def _put(out: bytearray, value: int) -> None:
    ensure(0 <= value <= ID_MAX, "every number of a report fits 63 bits")
    while value > _GROUP_MAX:
        out.append(value & _GROUP_MAX | _GROUP_MAX + 1)
        value >>= _GROUP_BITS
    out.append(value)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _is_ascending(values: list[int]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _check(holds: bool, fault: str) -> None:  # noqa: FBT001
    if not holds:
        _refuse(fault)


def _refuse(fault: str) -> NoReturn:
    raise Malformed(fault)
