from random import Random
from typing import cast

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import WireError
from omtcp.wire.options import encode_options, parse_options, parse_usual_syn
from omtcp.wire.tcp import ACK, SYN, Segment

from .strategies import segments, u16, u32

TIMESTAMPS = bytes.fromhex("080a 00000001 00000002")
SACK_ONE = bytes.fromhex("050a 00000003 00000004")


def blank(flags: int = ACK) -> Segment:
    return Segment(0, 0, 0, 0, flags, 0)


def parsed(data: bytes) -> Segment:
    segment = blank()
    parse_options(data, segment)
    return segment


def options_only(segment: Segment) -> Segment:
    return Segment(
        0, 0, 0, 0, segment.flags, 0,
        segment.mss, segment.window_scale, segment.sack_permitted,
        segment.sack, segment.timestamps, segment.user_timeout,
    )  # fmt: skip


def as_dpkt_lists_them(segment: Segment) -> dict[int, bytes]:
    """The options of `segment` as {kind: value}, spelt by hand."""
    spelt: dict[int, bytes] = {}
    if segment.mss is not None:
        spelt[2] = segment.mss.to_bytes(2, "big")
    if segment.window_scale is not None:
        spelt[3] = bytes([segment.window_scale])
    if segment.sack_permitted:
        spelt[4] = b""
    if segment.sack:
        spelt[5] = b"".join(edge.to_bytes(4, "big") for block in segment.sack for edge in block)
    if segment.timestamps is not None:
        spelt[8] = b"".join(value.to_bytes(4, "big") for value in segment.timestamps)
    if segment.user_timeout is not None:
        spelt[28] = segment.user_timeout.to_bytes(2, "big")
    return spelt


def dpkt_options(data: bytes) -> dict[int, bytes]:
    pairs = cast("list[tuple[int, bytes]]", dpkt.tcp.parse_opts(data))
    return {kind: bytes(value) for kind, value in pairs if kind > 1}


@given(segments())
def test_round_trip(segment: Segment) -> None:
    data = encode_options(segment, syn=bool(segment.flags & SYN))
    again = blank(segment.flags)
    parse_options(data, again)
    assert again == options_only(segment)
    assert len(data) % 4 == 0
    assert len(data) <= 40


@given(u16, st.integers(0, 14), u32, u32)
def test_the_usual_syn_is_nothing_special(mss: int, scale: int, value: int, echo: int) -> None:
    """It has a reader and a writer of its own, which do as the general ones."""
    segment = Segment(
        1, 2, 3, 0, SYN, 4,
        mss=mss, window_scale=scale, sack_permitted=True, timestamps=(value, echo),
    )  # fmt: skip
    data = encode_options(segment, syn=True)
    assert data == (
        b"\x02\x04%b\x04\x02\x08\x0a%b%b\x01\x03\x03%b"
        % (mss.to_bytes(2), value.to_bytes(4), echo.to_bytes(4), scale.to_bytes(1))
    )
    quick, general = blank(SYN), blank(SYN)
    assert parse_usual_syn(data, 0, quick)
    parse_options(data, general)
    assert quick == general == options_only(segment)


@given(st.integers(0, 19), st.integers(1, 255))
def test_what_looks_otherwise_is_no_usual_syn(at: int, change: int) -> None:
    segment = Segment(
        1, 2, 3, 0, SYN, 4, mss=1460, window_scale=7, sack_permitted=True, timestamps=(5, 6)
    )
    data = bytearray(encode_options(segment, syn=True))
    data[at] ^= change
    quick, general = blank(SYN), blank(SYN)
    if parse_usual_syn(data, 0, quick):
        parse_options(data, general)
        assert quick == general
    else:
        assert quick == blank(SYN)


@given(segments())
def test_dpkt_reads_what_we_write(segment: Segment) -> None:
    data = encode_options(segment, syn=bool(segment.flags & SYN))
    assert dpkt_options(data) == as_dpkt_lists_them(segment)


@given(segments(), st.randoms(use_true_random=False), st.lists(st.integers(0, 3), max_size=9))
def test_order_and_padding_do_not_matter(
    segment: Segment, shuffler: Random, padding: list[int]
) -> None:
    spelt = [
        bytes((kind, len(value) + 2)) + value for kind, value in as_dpkt_lists_them(segment).items()
    ]
    shuffler.shuffle(spelt)
    data = b"".join(
        option + b"\x01" * (padding[at] if at < len(padding) else 0)
        for at, option in enumerate(spelt)
    )
    again = blank(segment.flags)
    parse_options(data, again)
    assert again == options_only(segment)


def test_a_syn_as_linux_sends_it() -> None:
    captured = bytes.fromhex("020405b4 0402 080a a1b2c3d4 00000000 01 030307")
    segment = parsed(captured)
    assert segment == Segment(
        0, 0, 0, 0, ACK, 0,
        mss=1460, sack_permitted=True, timestamps=(0xA1B2C3D4, 0), window_scale=7,
    )  # fmt: skip
    assert encode_options(segment, syn=True) == captured


def test_a_syn_without_timestamps() -> None:
    segment = Segment(0, 0, 0, 0, SYN, 0, mss=1380, sack_permitted=True, window_scale=0)
    assert encode_options(segment, syn=True).hex(" ", 4) == "02040564 01010402 01030300"


def test_options_of_a_syn_are_left_out_of_other_segments() -> None:
    segment = Segment(
        0, 0, 0, 0, ACK, 0, mss=1460, window_scale=7, sack_permitted=True, timestamps=(1, 2)
    )
    assert encode_options(segment, syn=False) == b"\x01\x01" + TIMESTAMPS


@pytest.mark.parametrize(
    ("with_timestamps", "user_timeout", "blocks"),
    [(False, None, 4), (True, None, 3), (True, 5, 2), (False, 5, 4)],
)
def test_as_many_sack_blocks_as_there_is_room_for(
    with_timestamps: bool, user_timeout: int | None, blocks: int
) -> None:
    sack = tuple((at, at + 1) for at in range(0, 60, 10))
    stamps = (1, 2) if with_timestamps else None
    segment = Segment(
        0, 0, 0, 0, ACK, 0, sack=sack, timestamps=stamps, user_timeout=user_timeout
    )  # fmt: skip
    data = encode_options(segment, syn=False)
    assert parsed(data).sack == sack[:blocks]
    assert len(data) <= 40


def test_a_full_syn_leaves_out_sack_rather_than_overflow() -> None:
    segment = Segment(
        0, 0, 0, 0, SYN, 0,
        mss=1, window_scale=1, sack_permitted=True, timestamps=(1, 2), user_timeout=1,
        sack=((1, 2), (3, 4)),
    )  # fmt: skip
    data = encode_options(segment, syn=True)
    assert len(data) == 24 + 12
    assert parsed(data).sack == ((1, 2),)


def test_nothing_to_say() -> None:
    assert encode_options(blank(), syn=True) == b""


@given(u32, u32, st.integers(30, 253), st.binary(max_size=10))
def test_unknown_options_are_skipped(value: int, echo: int, kind: int, body: bytes) -> None:
    unknown = bytes((kind, len(body) + 2)) + body
    stamps = b"\x08\x0a" + value.to_bytes(4, "big") + echo.to_bytes(4, "big")
    assert parsed(unknown + stamps + unknown).timestamps == (value, echo)


@given(u16)
def test_nothing_counts_after_the_end(mss: int) -> None:
    assert parsed(b"\x01\x00\x02\x04" + mss.to_bytes(2, "big")) == blank()


def test_of_an_option_twice_the_last_counts() -> None:
    assert parsed(bytes.fromhex("02040001 02040002")).mss == 2


@pytest.mark.parametrize("shift", [15, 255])
def test_window_scale_beyond_14_is_14(shift: int) -> None:
    assert parsed(bytes((3, 3, shift))).window_scale == 14


@pytest.mark.parametrize(
    "data",
    [
        "02",  # no length at all
        "0200",
        "0201",
        "0203 05",
        "0204 05",  # beyond the header
        "0205 05b4 00",
        "0302",
        "0304 0707",
        "0403 00",
        "0502",
        "0506 00000001",
        "050b 00000001 00000002 03",
        "0808 00000001 0000",
        "080c 00000001 00000002 0000",
        "1c03 00",
        "fe00",
        "fe01",
        "fe05 0000",
        "01 01 01 fe",
    ],
)
def test_bad_lengths(data: str) -> None:
    with pytest.raises(WireError):
        parsed(bytes.fromhex(data))


@pytest.mark.parametrize("valid", [TIMESTAMPS, SACK_ONE, bytes.fromhex("020405b4 1c040001")])
def test_truncation_is_noticed_unless_between_options(valid: bytes) -> None:
    boundaries = {0, len(valid)} | ({4} if len(valid) == 8 else set())
    for size in range(len(valid) + 1):
        if size in boundaries:
            parsed(valid[:size])
        else:
            with pytest.raises(WireError):
                parsed(valid[:size])
