"""The oracle commit that opens a block, and reports out of vote extensions, decoded by hand.

A report is a version byte and integers in base 128, lowest group first, in their shortest form. Lists are counted; feed
numbers, underlyings and expiries are gaps to the one before, less one; all else of an expiry is a zigzag step from the
one before, the first from the forward, variance and smile of nothing, which is SSVI's. Whatever encoding would not have
written is no report.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from holdfast.primitives.codec import Decoder
from holdfast.primitives.reject import Malformed
from holdfast.protocol.oracle.messages import OracleCommit

_MINUTE_MS: Final = 60_000
_PRICE_MAX: Final = 10**9 * 10**8


class FeedView(NamedTuple):
    """One validator's view of one price."""

    feed: int
    price_e8: int
    confidence_e8: int
    sources: int
    age_ms: int


class SliceView(NamedTuple):
    """One validator's view of one expiry."""

    expiry_ms: int
    forward_e8: int
    theta_e12: int
    rho_ppm: int
    eta_ppm: int
    shift_ppm: int
    width_ppm: int


class SurfaceView(NamedTuple):
    """One validator's view of one underlying's volatility."""

    underlying: int
    slices: tuple[SliceView, ...]


class ReportView(NamedTuple):
    """All that one validator tells."""

    validator: int
    power: int
    feeds: tuple[FeedView, ...]
    surfaces: tuple[SurfaceView, ...]


# 128 validators, each with an extension of at most 8 KiB, a signature and their frame.
_COMMIT: Final = Decoder(OracleCommit, max_bytes=128 * (8 * 1024 + 96) + 64, max_depth=3, max_items=4 * 128 + 4)


def read_reports(txs: Sequence[bytes], powers: Sequence[int]) -> list[ReportView]:
    """Return the reports of a block's first transaction; what does not decode counts as not given."""
    try:
        commit = _COMMIT.decode(txs[0]) if txs else OracleCommit(0, ())
    except Malformed:
        return []
    if not _ascends([vote.validator_index for vote in commit.votes]):
        return []
    reports = []
    for vote in commit.votes:
        decoded = decode_report(vote.extension)
        if decoded is not None and vote.validator_index < len(powers):
            reports.append(ReportView(vote.validator_index, powers[vote.validator_index], *decoded))
    return reports


def decode_report(data: bytes) -> tuple[tuple[FeedView, ...], tuple[SurfaceView, ...]] | None:
    """Return the feeds and surfaces of a report, or None for bytes that are no report."""
    try:
        if len(data) > 8 * 1024 or data[0] != 2:  # noqa: PLR2004 -- the version of reports
            return None
        numbers = _Numbers(data[1:])
        feeds = _read_feeds(numbers)
        surfaces = _read_surfaces(numbers)
    except (ValueError, IndexError):
        return None
    return None if numbers.rest or not _is_sound(feeds, surfaces) else (feeds, surfaces)


class _Numbers:
    """What is left of a report, number by number."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self) -> int:
        """Take the next number off. Raises IndexError at the end, ValueError where it is too long."""
        groups = [self.rest[0]]
        while groups[-1] & 0x80:
            groups.append(self.rest[len(groups)])
        if len(groups) > 9 or (len(groups) > 1 and groups[-1] == 0):  # noqa: PLR2004 -- nine groups of seven are 63 bits
            raise ValueError
        self.rest = self.rest[len(groups) :]
        return sum((group & 0x7F) * 128**place for place, group in enumerate(groups))

    def take_signed(self) -> int:
        """Take the next number off, zigzag: even ones count up from nothing, odd ones down."""
        value = self.take()
        return -(value + 1) // 2 if value % 2 else value // 2

    def take_count(self, limit: int) -> int:
        """Take a list's length off."""
        value = self.take()
        if value > limit:
            raise ValueError
        return value


def _read_feeds(numbers: _Numbers) -> tuple[FeedView, ...]:
    feeds: list[FeedView] = []
    last = -1
    for _ in range(numbers.take_count(64)):
        last += numbers.take() + 1
        feeds.append(FeedView(last, numbers.take(), numbers.take(), numbers.take(), numbers.take()))
    return tuple(feeds)


def _read_surfaces(numbers: _Numbers) -> tuple[SurfaceView, ...]:
    surfaces: list[SurfaceView] = []
    last = -1
    for _ in range(numbers.take_count(16)):
        last += numbers.take() + 1
        slices = [SliceView(0, 0, 0, 0, 0, 0, 10**6)]
        for _ in range(numbers.take_count(64)):
            before = slices[-1]
            expiry_ms = before.expiry_ms + (numbers.take() + 1) * _MINUTE_MS
            slices.append(SliceView(expiry_ms, *[value + numbers.take_signed() for value in before[1:]]))
        surfaces.append(SurfaceView(last, tuple(slices[1:])))
    return tuple(surfaces)


def _is_sound(feeds: Sequence[FeedView], surfaces: Sequence[SurfaceView]) -> bool:
    """Return whether every number is inside the wide bounds of a report."""
    good_feeds = all(
        feed.feed <= 65_535  # noqa: PLR2004 -- the bounds are written where they bind
        and 0 < feed.price_e8 <= _PRICE_MAX
        and feed.confidence_e8 <= _PRICE_MAX
        and feed.sources <= 255  # noqa: PLR2004
        and feed.age_ms < 2**32
        for feed in feeds
    )
    good_surfaces = all(surface.underlying <= 65_535 for surface in surfaces)  # noqa: PLR2004
    good_slices = all(
        part.expiry_ms <= 2**45
        and 0 < part.forward_e8 <= _PRICE_MAX
        and 0 <= part.theta_e12 <= 10**15
        and abs(part.rho_ppm) <= 10**6
        and 0 <= part.eta_ppm <= 10**8
        and abs(part.shift_ppm) <= 10**8
        and 0 <= part.width_ppm <= 10**9
        for surface in surfaces
        for part in surface.slices
    )
    return good_feeds and good_surfaces and good_slices


def _ascends(values: Sequence[int]) -> bool:
    return all(low < high for low, high in pairwise(values))
