import struct

import pytest

from omtcp.errors import WireError
from omtcp.wire.checksum import internet_checksum, pseudo_header_sum
from omtcp.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Flags, Segment, parse_segment

from .strategies import V4_A, V4_B, V6_A, V6_B

STAMPS = bytes.fromhex("0101080a 00000001 00000002")


def sack(*edges: int) -> bytes:
    return bytes((1, 1, 5, 2 + 4 * len(edges))) + struct.pack(f"!{len(edges)}I", *edges)


def wire(options: bytes = b"", payload: bytes = b"", offset: int | None = None) -> memoryview:
    """A TCP segment from port 1 to port 2 without a checksum."""
    header = 20 + len(options) if offset is None else offset
    fixed = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, header << 2, ACK, 5, 0, 6)
    return memoryview(fixed + options + payload)


def parsed(data: memoryview) -> Segment:
    return parse_segment(data, V4_A, V4_B, checksum_valid=True)


@pytest.mark.parametrize(
    ("options", "timestamps", "blocks"),
    [
        (b"", None, ()),
        (STAMPS, (1, 2), ()),
        (sack(7, 8), None, ((7, 8),)),
        (sack(7, 8, 9, 10), None, ((7, 8), (9, 10))),
        (sack(*range(8)), None, ((0, 1), (2, 3), (4, 5), (6, 7))),
        (STAMPS + sack(7, 8), (1, 2), ((7, 8),)),
        (STAMPS + sack(7, 8, 9, 10), (1, 2), ((7, 8), (9, 10))),
        (STAMPS + sack(*range(6)), (1, 2), ((0, 1), (2, 3), (4, 5))),
        # Layouts that only the general parser knows:
        (STAMPS[2:] + b"\0\0", (1, 2), ()),
        (sack(7, 8) + STAMPS, (1, 2), ((7, 8),)),
        (STAMPS + b"\x01\x01\x01\x01", (1, 2), ()),
        (STAMPS + sack(7, 8)[2:] + b"\x01\x01", (1, 2), ((7, 8),)),
        (STAMPS + sack(7, 8) + b"\x01\x01\x01\x01", (1, 2), ((7, 8),)),
        (b"\x01\x01\x01\x01", None, ()),
    ],
)
def test_layouts_of_options(
    options: bytes, timestamps: tuple[int, int] | None, blocks: tuple[tuple[int, int], ...]
) -> None:
    expected = Segment(1, 2, 3, 4, ACK, 5, timestamps=timestamps, sack=blocks)
    assert parsed(wire(options)) == expected
    expected.payload, expected.length = (memoryview(b"data"),), 4
    assert parsed(wire(options, b"data")) == expected


@pytest.mark.parametrize(
    "options",
    [
        b"\x01\x01\x05\x02",  # SACK without a block
        b"\x01\x01\x05\x06" + bytes(4),  # half a block
        STAMPS + b"\x01\x01\x05\x02",
        STAMPS + b"\x01\x01\x05\x12" + bytes(8),  # one block, and the length of two
        b"\x01\x01\x08\x0a" + bytes(4),  # timestamps cut off by the header's end
    ],
)
def test_malformed_options(options: bytes) -> None:
    with pytest.raises(WireError, match="option"):
        parsed(wire(options, b"payload that is not to be read as options"))


@pytest.mark.parametrize("size", range(20))
def test_truncated_header(size: int) -> None:
    with pytest.raises(WireError, match="truncated"):
        parsed(wire()[:size])


@pytest.mark.parametrize("offset", [0, 4, 16, 24, 60])
def test_data_offset_that_cannot_be(offset: int) -> None:
    with pytest.raises(WireError, match=f"header of {offset} octets in a segment of 20"):
        parsed(wire(offset=offset))


def test_the_payload_is_a_view() -> None:
    buffer = bytearray(wire(STAMPS, b"before"))
    segment = parsed(memoryview(buffer))
    buffer[32:] = b"after!"
    assert bytes(segment.payload[0]) == b"after!"


def test_ecn_comes_from_the_ip_header() -> None:
    assert parse_segment(wire(), V4_A, V4_B, ecn=3, checksum_valid=True).ecn == 3


def test_reserved_bits_are_ignored() -> None:
    data = bytearray(wire(STAMPS))
    data[12] |= 0x0F
    assert parsed(memoryview(data)) == parsed(wire(STAMPS))


@pytest.mark.parametrize(("source", "destination"), [(V4_A, V4_B), (V6_A, V6_B)])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_the_checksum_is_verified(source: bytes, destination: bytes, payload: bytes) -> None:
    data = bytearray(wire(STAMPS, payload))
    pseudo = pseudo_header_sum(source, destination, 6, len(data))
    data[16:18] = internet_checksum(data, pseudo).to_bytes(2, "big")
    assert parse_segment(memoryview(data), source, destination).seq == 3
    for at in range(len(data)):
        data[at] ^= 0x10
        with pytest.raises(WireError):
            parse_segment(memoryview(data), source, destination)
        data[at] ^= 0x10
    with pytest.raises(WireError, match="checksum"):
        parse_segment(memoryview(data), source, source)


def test_flags_have_their_names() -> None:
    assert repr(Flags(SYN | ACK)) == "<Flags.SYN|ACK: 18>"
    assert FIN | SYN | RST | PSH | ACK | URG | ECE | CWR == 0xFF
