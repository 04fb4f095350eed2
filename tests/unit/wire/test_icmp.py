from typing import Any

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import LocalError, WireError
from omtcp.wire.header import HeaderWriter
from omtcp.wire.icmp import IcmpKind, IcmpMessage, encode_icmp_error, parse_icmp
from omtcp.wire.ip import Datagram, encode_ip_header, parse_datagram
from omtcp.wire.tcp import ACK, Segment

from .strategies import V4_A, V4_B, V6_A, V6_B, u8, u16, u32

PAIRS = [(V4_A, V4_B), (V6_A, V6_B)]
ROUTER_4 = bytes((203, 0, 113, 9))
ROUTER_6 = bytes.fromhex("20010db8000000000000000000000009")
Addresses = tuple[bytes, bytes]


def router(pair: Addresses) -> bytes:
    return ROUTER_4 if len(pair[0]) == 4 else ROUTER_6


def original(pair: Addresses, payload: int = 100, seq: int = 0xCAFE0001) -> bytes:
    segment = Segment(80, 50000, seq, 2, ACK, 3, payload=(bytes(payload),), length=payload)
    return HeaderWriter(*pair, 80, 50000).packet(segment)


def parsed(packet: bytes) -> IcmpMessage | None:
    datagram = parse_datagram(packet)
    return parse_icmp(datagram.payload, datagram.source, datagram.destination, datagram.version)


def rebuilt(datagram: Datagram, payload: bytes) -> IcmpMessage | None:
    """Parse `payload` as ICMP between the addresses of `datagram`."""
    view = memoryview(payload)
    return parse_icmp(view, datagram.source, datagram.destination, datagram.version)


def with_checksum(pair: Addresses, body: bytes) -> bytes:
    """`body` as an ICMP message from the router to the first of `pair`, summed by dpkt."""
    zeroed = body[:2] + bytes(2) + body[4:]
    pseudo = b""
    if len(pair[0]) == 16:
        pseudo = router(pair) + pair[0] + len(body).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    checksum: int = dpkt.in_cksum(pseudo + zeroed)
    return body[:2] + checksum.to_bytes(2, "big") + body[4:]


def error_packet(pair: Addresses, body: bytes) -> bytes:
    protocol = 1 if len(pair[0]) == 4 else 58
    body = with_checksum(pair, body)
    return encode_ip_header(router(pair), pair[0], protocol, len(body)) + body


@given(
    st.sampled_from(PAIRS),
    st.sampled_from(list(IcmpKind)),
    u8,
    u16,
    st.integers(0, 2000),
    u32,
)
def test_round_trip(
    pair: Addresses, kind: IcmpKind, code: int, mtu: int, payload: int, seq: int
) -> None:
    version = 4 if len(pair[0]) == 4 else 6
    if version == 4 and kind is IcmpKind.UNREACHABLE and code == 4:
        code = 1  # which is TOO_BIG by another name
    packet = encode_icmp_error(router(pair), kind, original(pair, payload, seq), code=code, mtu=mtu)
    too_big = kind is IcmpKind.TOO_BIG
    if too_big:
        code = 4 if version == 4 else 0
    assert parsed(packet) == IcmpMessage(
        kind, version, code, mtu if too_big else 0, *pair, 80, 50000, seq
    )


@pytest.mark.parametrize(("pair", "limit"), [(PAIRS[0], 576), (PAIRS[1], 1280)])
def test_as_much_is_quoted_as_the_rfcs_allow(pair: Addresses, limit: int) -> None:
    long, short = original(pair, 2000), original(pair, 50)
    packet = encode_icmp_error(router(pair), IcmpKind.TIME_EXCEEDED, long)
    assert len(packet) == limit
    assert encode_icmp_error(router(pair), IcmpKind.TIME_EXCEEDED, short).endswith(short)


@given(u8, u16)
def test_dpkt_reads_our_ipv4_errors(code: int, mtu: int) -> None:
    packet = encode_icmp_error(ROUTER_4, IcmpKind.TOO_BIG, original(PAIRS[0]), mtu=mtu)
    icmp = dpkt.ip.IP(packet).data
    assert (icmp.type, icmp.code, icmp.data.mtu) == (3, 4, mtu)
    assert icmp.data.data.data.seq == 0xCAFE0001
    packet = encode_icmp_error(
        ROUTER_4, IcmpKind.TIME_EXCEEDED, original(PAIRS[0]), code=code, hop_limit=7
    )
    ip = dpkt.ip.IP(packet)
    assert (ip.ttl, ip.src, ip.dst) == (7, ROUTER_4, V4_A)
    assert (ip.data.type, ip.data.code) == (11, code)
    assert dpkt.in_cksum(packet[20:]) == 0


@given(u8, u32)
def test_dpkt_reads_our_ipv6_errors(code: int, mtu: int) -> None:
    packet = encode_icmp_error(ROUTER_6, IcmpKind.TOO_BIG, original(PAIRS[1]), mtu=mtu)
    ip = dpkt.ip6.IP6(packet)
    assert (ip.nxt, ip.src, ip.dst) == (58, ROUTER_6, V6_A)
    assert (ip.data.type, ip.data.code) == (2, 0)
    assert int.from_bytes(packet[44:48], "big") == mtu
    packet = encode_icmp_error(ROUTER_6, IcmpKind.UNREACHABLE, original(PAIRS[1]), code=code)
    again = dpkt.ip6.IP6(packet)
    assert (again.data.type, again.data.code) == (1, code)
    again.data.sum = 0
    assert bytes(again) == packet


@pytest.mark.parametrize(
    ("number", "code", "word", "kind", "mtu"),
    [
        (3, 0, 0, IcmpKind.UNREACHABLE, 0),
        (3, 3, 0, IcmpKind.UNREACHABLE, 0),
        (3, 4, 1400, IcmpKind.TOO_BIG, 1400),
        (3, 4, 0, IcmpKind.TOO_BIG, 0),  # a router from before RFC 1191
        (3, 4, 0x0010_0500, IcmpKind.TOO_BIG, 1280),  # RFC 4884 keeps a length beside it
        (11, 0, 0x0020_0000, IcmpKind.TIME_EXCEEDED, 0),
    ],
)
def test_ipv4_errors(number: int, code: int, word: int, kind: IcmpKind, mtu: int) -> None:
    quote = original(PAIRS[0])[:28]
    body = bytes((number, code, 0, 0)) + word.to_bytes(4, "big") + quote
    message = parsed(error_packet(PAIRS[0], body))
    assert message == IcmpMessage(kind, 4, code, mtu, V4_A, V4_B, 80, 50000, 0xCAFE0001)


@pytest.mark.parametrize(
    ("number", "word", "kind", "mtu"),
    [
        (1, 1280, IcmpKind.UNREACHABLE, 0),
        (2, 1280, IcmpKind.TOO_BIG, 1280),
        (2, 70000, IcmpKind.TOO_BIG, 70000),
        (3, 1280, IcmpKind.TIME_EXCEEDED, 0),
    ],
)
def test_ipv6_errors(number: int, word: int, kind: IcmpKind, mtu: int) -> None:
    quote = original(PAIRS[1])[:48]
    body = bytes((number, 0, 0, 0)) + word.to_bytes(4, "big") + quote
    message = parsed(error_packet(PAIRS[1], body))
    assert message == IcmpMessage(kind, 6, 0, mtu, V6_A, V6_B, 80, 50000, 0xCAFE0001)


@pytest.mark.parametrize(
    ("pair", "number"),
    [(PAIRS[0], number) for number in (0, 4, 5, 8, 12, 13)]
    + [(PAIRS[1], number) for number in (0, 4, 128, 129, 135)],
)
def test_other_messages_are_not_ours(pair: Addresses, number: int) -> None:
    body = bytes((number, 0, 0, 0)) + bytes(4) + original(pair)
    assert parsed(error_packet(pair, body)) is None


@pytest.mark.parametrize("pair", PAIRS)
def test_an_error_about_another_protocol(pair: Addresses) -> None:
    udp = encode_ip_header(*pair, 17, 8) + bytes(8)
    packet = encode_icmp_error(router(pair), IcmpKind.UNREACHABLE, udp)
    assert parsed(packet) is None


@pytest.mark.parametrize("pair", PAIRS)
def test_too_little_is_quoted(pair: Addresses) -> None:
    packet = encode_icmp_error(router(pair), IcmpKind.UNREACHABLE, original(pair))
    body = parse_datagram(packet).payload
    enough = 8 + (28 if len(pair[0]) == 4 else 48)
    assert parsed(error_packet(pair, bytes(body[:enough]))) is not None
    for size in range(8, enough):
        with pytest.raises(WireError):
            parsed(error_packet(pair, bytes(body[:size])))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("size", range(8))
def test_truncated_header(pair: Addresses, size: int) -> None:
    with pytest.raises(WireError, match="header truncated"):
        parse_icmp(memoryview(bytes(size)), *pair, 4 if len(pair[0]) == 4 else 6)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_checksum_is_verified(pair: Addresses) -> None:
    packet = encode_icmp_error(router(pair), IcmpKind.UNREACHABLE, original(pair))
    datagram = parse_datagram(packet)
    body = bytearray(datagram.payload)
    for at in range(len(body)):
        body[at] ^= 0x40
        with pytest.raises(WireError, match="checksum"):
            rebuilt(datagram, bytes(body))
        body[at] ^= 0x40
    assert rebuilt(datagram, bytes(body)) is not None


@pytest.mark.parametrize(("source", "about"), [(ROUTER_4, PAIRS[1]), (ROUTER_6, PAIRS[0])])
def test_an_error_across_ip_versions_cannot_be_built(source: bytes, about: Addresses) -> None:
    with pytest.raises(LocalError):
        encode_icmp_error(source, IcmpKind.UNREACHABLE, original(about))


@pytest.mark.parametrize(("source", "size"), [(ROUTER_4, 19), (ROUTER_6, 39), (ROUTER_4, 0)])
def test_an_error_about_no_packet_cannot_be_built(source: bytes, size: int) -> None:
    about: Any = original(PAIRS[0] if len(source) == 4 else PAIRS[1])
    with pytest.raises(LocalError):
        encode_icmp_error(source, IcmpKind.UNREACHABLE, about[:size])
