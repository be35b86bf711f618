"""Reports and oracle commits as bytes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives import codec
from holdfast.primitives.check import BrokenInvariantError
from holdfast.primitives.reject import Malformed
from holdfast.primitives.units import DAY_MS, MINUTE_MS
from holdfast.protocol.limits import EXTENSION_BYTES_MAX, PRICE_E8_MAX
from holdfast.protocol.oracle import messages
from holdfast.protocol.oracle.messages import (
    FeedReport,
    OracleCommit,
    OracleVote,
    Report,
    SliceReport,
    SurfaceReport,
    decode_oracle_commit,
    decode_report,
    encode_oracle_commit,
    encode_report,
)

NOW = 1_760_054_400_000


def make_report(expiries: int = 8) -> Report:
    feeds = tuple(
        FeedReport(feed, price, price // 5_000, 5, 12_345)
        for feed, price in enumerate((10**8, 121_700 * 10**8 + 12_345, 4_370 * 10**8 + 678, 99_900_000))
    )
    surfaces = tuple(
        SurfaceReport(
            underlying,
            tuple(
                SliceReport(
                    NOW + (index + 1) ** 2 * 3 * DAY_MS,
                    price + index * 10**9 + 7,
                    10**9 * (index + 1) ** 2,
                    -150_000 + 9_000 * index,
                    790_000 + 31_000 * index,
                    400_000 * index,
                    1_000_000 + 2_100_000 * index,
                )
                for index in range(expiries)
            ),
        )
        for underlying, price in ((1, 121_700 * 10**8), (2, 4_370 * 10**8))
    )
    return Report(feeds, surfaces)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    prices = st.integers(1, PRICE_E8_MAX)
    feeds = draw(st.lists(st.integers(0, messages.FEED_ID_MAX), unique=True, max_size=6).map(sorted))
    underlyings = draw(st.lists(st.integers(0, messages.FEED_ID_MAX), unique=True, max_size=3).map(sorted))
    expiries = st.lists(st.integers(1, messages.EXPIRY_MS_MAX // MINUTE_MS), unique=True, max_size=5).map(sorted)
    return Report(
        tuple(
            FeedReport(
                feed,
                draw(prices),
                draw(st.integers(0, PRICE_E8_MAX)),
                draw(st.integers(0, messages.SOURCES_MAX)),
                draw(st.integers(0, messages.AGE_MS_MAX)),
            )
            for feed in feeds
        ),
        tuple(
            SurfaceReport(
                underlying,
                tuple(
                    SliceReport(
                        minute * MINUTE_MS,
                        draw(prices),
                        draw(st.integers(0, messages.THETA_E12_MAX)),
                        draw(st.integers(-messages.RHO_PPM_MAX, messages.RHO_PPM_MAX)),
                        draw(st.integers(0, messages.ETA_PPM_MAX)),
                        draw(st.integers(-messages.SHIFT_PPM_MAX, messages.SHIFT_PPM_MAX)),
                        draw(st.integers(0, messages.WIDTH_PPM_MAX)),
                    )
                    for minute in draw(expiries)
                ),
            )
            for underlying in underlyings
        ),
    )


def test_encode_report__two_underlyings_of_eight_expiries__within_512_bytes() -> None:
    data = encode_report(make_report())
    assert len(data) <= 512
    assert decode_report(data) == make_report()


def test_encode_report__one_smile_for_all_expiries__costs_a_byte_a_number() -> None:
    part = SliceReport(NOW, 10**12, 10**9, -150_000, 790_000)
    later = part._replace(expiry_ms=NOW + MINUTE_MS)
    one, two = (len(encode_report(Report((), (SurfaceReport(1, parts),)))) for parts in ((part,), (part, later)))
    assert two - one == len(SliceReport._fields)


@given(reports())
def test_report__any__round_trips(report: Report) -> None:
    data = encode_report(report)
    assert decode_report(data) == report
    assert encode_report(decode_report(data)) == data


@given(st.binary(max_size=200))
def test_decode_report__any_bytes__are_canonical_or_refused(data: bytes) -> None:
    for candidate in (data, b"\x02" + data, b"\x02\x01" + data):
        try:
            report = decode_report(candidate)
        except Malformed:
            continue
        assert encode_report(report) == candidate


def test_decode_report__every_single_byte_changed__is_canonical_or_refused() -> None:
    golden = encode_report(make_report())
    draw = random.Random(7)
    for place in range(len(golden)):
        for byte in {draw.randrange(256) for _ in range(8)} | {0, 127, 128, 255}:
            mutant = golden[:place] + bytes([byte]) + golden[place + 1 :]
            try:
                report = decode_report(mutant)
            except Malformed:
                continue
            assert encode_report(report) == mutant


def test_decode_report__every_truncation_and_padding__is_refused() -> None:
    golden = encode_report(make_report())
    for cut in range(len(golden)):
        with pytest.raises(Malformed):
            decode_report(golden[:cut])
    for byte in range(256):
        with pytest.raises(Malformed):
            decode_report(golden + bytes([byte]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x00",
        b"\x01\x00\x00",  # the form before this one
        b"\x03\x00\x00",
        b"\x02\x80\x00\x00",  # zero in two bytes
        b"\x02\x41\x00",  # 65 feeds
        b"\x02\x00\x11",  # 17 surfaces
        b"\x02" + b"\xff" * 9,
        b"\x02" + b"\xff" * 9 + b"\x01",
        bytes(EXTENSION_BYTES_MAX + 1),
        b"\x02" * (EXTENSION_BYTES_MAX + 1),
        b"\x02\x01\x00\x00\x01\x05\x00\x00",  # a price of zero
    ],
)
def test_decode_report__planted_faults__are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_report(data)


@pytest.mark.parametrize(
    "report",
    [
        Report((FeedReport(1, 1, 0, 3, 0), FeedReport(1, 1, 0, 3, 0)), ()),
        Report((FeedReport(2, 1, 0, 3, 0), FeedReport(1, 1, 0, 3, 0)), ()),
        Report((FeedReport(0, 0, 0, 3, 0),), ()),
        Report((FeedReport(0, -1, 0, 3, 0),), ()),
        Report((FeedReport(0, PRICE_E8_MAX + 1, 0, 3, 0),), ()),
        Report((FeedReport(0, 1, 0, 256, 0),), ()),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 1, 1, 10**6 + 1, 1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 1, 1, 0, -1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 1, 1, 0, 1, 10**8 + 1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 1, 1, 0, 1, 0, -1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS + 1, 1, 1, 0, 1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 0, 1, 0, 1),)),)),
        Report((), (SurfaceReport(1, (SliceReport(MINUTE_MS, 1, 1, 0, 1), SliceReport(MINUTE_MS, 1, 1, 0, 1))),)),
        Report((), (SurfaceReport(2, ()), SurfaceReport(1, ()))),
    ],
)
def test_encode_report__out_of_bounds_or_order__is_refused(report: Report) -> None:
    with pytest.raises(Malformed):
        encode_report(report)


def make_commit(indices: tuple[int, ...], extension: bytes = b"x") -> OracleCommit:
    return OracleCommit(0, tuple(OracleVote(index, extension, bytes(64)) for index in indices))


def test_oracle_commit__of_128_full_extensions__round_trips() -> None:
    commit = make_commit(tuple(range(128)), bytes(EXTENSION_BYTES_MAX))
    assert decode_oracle_commit(encode_oracle_commit(commit)) == commit
    assert decode_oracle_commit(encode_oracle_commit(OracleCommit(3, ()))) == OracleCommit(3, ())


@pytest.mark.parametrize(
    "commit",
    [
        make_commit((1, 0)),
        make_commit((1, 1)),
        make_commit(tuple(range(129))),
        make_commit((0,), bytes(EXTENSION_BYTES_MAX + 1)),
        OracleCommit(0, (OracleVote(0, b"", bytes(63)),)),
    ],
)
def test_decode_oracle_commit__faulty__is_refused(commit: OracleCommit) -> None:
    with pytest.raises(Malformed):
        decode_oracle_commit(codec.encode(commit))


def test_encode_oracle_commit__out_of_order__halts() -> None:
    with pytest.raises(BrokenInvariantError):
        encode_oracle_commit(make_commit((1, 0)))


@given(st.binary(max_size=100))
def test_decode_oracle_commit__any_bytes__are_canonical_or_refused(data: bytes) -> None:
    try:
        commit = decode_oracle_commit(data)
    except Malformed:
        return
    assert encode_oracle_commit(commit) == data
