"""Frames as the emulator sees them: ECN codepoints and marks."""

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.lab.emulator import ecn_of, mark_frame

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
