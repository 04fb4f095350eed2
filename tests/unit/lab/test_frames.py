"""Frames as the emulator sees them: ECN codepoints and marks, addresses and segments."""

from collections.abc import Callable

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.lab.frames import destination_of, ecn_of, is_data, mark_frame, source_of, tcp_of

ETHERNET = bytes(12)


def ipv4(tos: int, identification: int = 7) -> bytes:
    packet = dpkt.ip.IP(
        src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", tos=tos, id=identification, p=6, data=b"x" * 20
    )
    return ETHERNET + b"\x08\x00" + bytes(packet)


def ipv6(traffic_class: int) -> bytes:
    packet = dpkt.ip6.IP6(src=bytes(16), dst=bytes(16), nxt=6, hlim=64, plen=4, data=b"data")
    packet.fc = traffic_class
    return ETHERNET + b"\x86\xdd" + bytes(packet)


@pytest.mark.parametrize("ecn", range(4))
def test_the_codepoint_is_read_from_either_family(ecn: int) -> None:
    assert ecn_of(ipv4(0xB8 | ecn)) == ecn
    assert ecn_of(ipv6(0xB8 | ecn)) == ecn
    assert ecn_of(ETHERNET + b"\x08\x06" + bytes(28)) == 0


@given(tos=st.integers(0, 255), identification=st.integers(0, 65535))
def test_a_marked_ipv4_packet_has_a_right_checksum(tos: int, identification: int) -> None:
    frame = ipv4(tos, identification)
    marked = mark_frame(frame)
    header = marked[14:34]
    words = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    assert words % 0xFFFF == 0
    assert words != 0
    assert marked[15] == tos | 3
    assert marked[:15] + marked[16:24] == frame[:15] + frame[16:24]
    assert marked[26:] == frame[26:]


@given(traffic_class=st.integers(0, 255))
def test_a_marked_ipv6_packet_differs_in_two_bits_only(traffic_class: int) -> None:
    frame = ipv6(traffic_class)
    marked = mark_frame(frame)
    assert dpkt.ip6.IP6(marked[14:]).fc == traffic_class | 3
    assert marked[:15] + marked[16:] == frame[:15] + frame[16:]


def segment(flags: int, data: bytes = b"") -> dpkt.tcp.TCP:
    found = dpkt.tcp.TCP(sport=80, dport=443, seq=7, ack=9, flags=flags, data=data, opts=bytes(12))
    found.off = 8
    return found


def tcp4(flags: int, data: bytes = b"") -> bytes:
    packet = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=6, data=segment(flags, data))
    packet.len = len(packet)
    padding = bytes(max(46 - len(packet), 0))  # as short frames have
    return ETHERNET + b"\x08\x00" + bytes(packet) + padding


def tcp6(flags: int, data: bytes = b"") -> bytes:
    inner = bytes(segment(flags, data))
    packet = dpkt.ip6.IP6(
        src=bytes(15) + b"\1", dst=bytes(15) + b"\2", nxt=6, hlim=64, plen=len(inner), data=inner
    )
    return ETHERNET + b"\x86\xdd" + bytes(packet)


@pytest.mark.parametrize("make", [tcp4, tcp6])
def test_what_a_segment_shows(make: Callable[..., bytes]) -> None:
    view = tcp_of(make(dpkt.tcp.TH_ACK, b"twelve bytes"))
    assert view is not None
    assert (view.sequence, view.acknowledgment, view.payload, view.syn) == (7, 9, 12, False)
    assert view.source[-2:] == b"\0\x50"
    assert view.destination[-2:] == b"\1\xbb"
    assert view.source[:-2] == source_of(make(0))
    assert view.destination[:-2] == destination_of(make(0))
    empty = tcp_of(make(dpkt.tcp.TH_SYN))
    assert empty is not None
    assert (empty.payload, empty.syn) == (0, True)


@pytest.mark.parametrize("make", [tcp4, tcp6])
def test_a_middlebox_for_data_lets_handshakes_pass(make: Callable[..., bytes]) -> None:
    assert not is_data(make(dpkt.tcp.TH_SYN))
    assert not is_data(make(dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK))
    assert is_data(make(dpkt.tcp.TH_ACK))
    assert is_data(make(dpkt.tcp.TH_ACK, b"data"))
    assert not is_data(ipv4(0)[:30])


def test_frames_that_are_no_tcp() -> None:
    arp = ETHERNET + b"\x08\x06" + bytes(28)
    udp = ETHERNET + b"\x08\x00" + bytes(dpkt.ip.IP(p=17, data=bytes(30)))
    assert tcp_of(arp) is None
    assert tcp_of(udp) is None
    assert source_of(arp) == destination_of(arp) == b""
