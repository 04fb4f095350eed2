import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.net import vnet
from omtcp.net.vnet import VnetHeader

u8 = st.integers(0, 255)
u16 = st.integers(0, 65535)


@given(st.builds(VnetHeader, u8, u8, u16, u16, u16, u16))
def test_round_trip(header: VnetHeader) -> None:
    assert vnet.unpack(vnet.pack(header)) == header


def test_layout_is_that_of_struct_virtio_net_hdr() -> None:
    """linux/virtio_net.h: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset."""
    packed = vnet.pack(VnetHeader(1, 4, 0x0102, 0x0304, 0x0506, 0x0708))
    assert packed[:2] == b"\x01\x04"
    words = [int.from_bytes(packed[at : at + 2], sys.byteorder) for at in range(2, 10, 2)]
    assert words == [0x0102, 0x0304, 0x0506, 0x0708]


@pytest.mark.parametrize(
    ("version", "ecn", "gso_type"), [(4, False, 1), (6, False, 4), (4, True, 0x81), (6, True, 0x84)]
)
def test_super_segment(version: int, ecn: bool, gso_type: int) -> None:
    ip = 20 if version == 4 else 40
    packed = vnet.tcp_header(
        version=version, ip_header_length=ip, header_length=ip + 32, segment_size=1448, ecn=ecn
    )
    assert struct.unpack("=BBHHHH", packed) == (1, gso_type, ip + 32, 1448, ip, 16)


def test_single_segment_only_needs_its_checksum() -> None:
    packed = vnet.tcp_header(
        version=4, ip_header_length=20, header_length=40, segment_size=0, ecn=True
    )
    assert vnet.unpack(packed) == VnetHeader(vnet.NEEDS_CHECKSUM, vnet.GSO_NONE, 40, 0, 20, 16)


def test_complete_packet() -> None:
    assert vnet.unpack(vnet.COMPLETE) == VnetHeader(0, 0, 0, 0, 0, 0)
