"""The virtio-net header in front of every packet on a TUN device with IFF_VNET_HDR.

It tells the kernel what it may still do to a packet: finish the TCP checksum, and cut a
super-segment of up to 64 KiB into segments. Layout: virtio 1.2 section 5.1.6, the legacy form of
10 bytes in native byte order (linux/virtio_net.h); the 12 byte form adds a count that TUN ignores.
"""

from struct import Struct
from typing import NamedTuple

HEADER_LENGTH = 10

NEEDS_CHECKSUM = 0x01
CHECKSUM_VALID = 0x02

GSO_NONE = 0
GSO_TCP4 = 1
GSO_TCP6 = 4
GSO_ECN = 0x80
"""Added to a GSO type: CWR is set, and belongs to the first segment only (RFC 3168, 6.1.2)."""

TCP_CHECKSUM_OFFSET = 16

_LAYOUT = Struct("=BBHHHH")
assert _LAYOUT.size == HEADER_LENGTH

COMPLETE = bytes(HEADER_LENGTH)
"""The header of a packet that is finished: checksum filled in, nothing to cut."""


class VnetHeader(NamedTuple):
    """The header's fields; lengths and offsets in bytes from the start of the packet."""

    flags: int
    gso_type: int
    header_length: int
    segment_size: int
    checksum_start: int
    checksum_offset: int


def pack(header: VnetHeader) -> bytes:
    """The ten bytes of `header`."""
    return _LAYOUT.pack(*header)


def unpack(data: bytes | bytearray | memoryview) -> VnetHeader:
    """The fields of the ten bytes at the start of `data`."""
    return VnetHeader(*_LAYOUT.unpack_from(data))


def tcp_header(
    *, version: int, ip_header_length: int, header_length: int, segment_size: int, ecn: bool
) -> bytes:
    """The header of a TCP packet whose checksum field holds the pseudo-header's sum.

    `header_length` counts IP and TCP headers, `segment_size` is the payload of one segment, 0
    when the packet is not to be cut.
    """
    gso_type = GSO_NONE
    if segment_size:
        gso_type = (GSO_TCP4 if version == 4 else GSO_TCP6) | (GSO_ECN if ecn else 0)
    return pack(
        VnetHeader(
            flags=NEEDS_CHECKSUM,
            gso_type=gso_type,
            header_length=header_length,
            segment_size=segment_size,
            checksum_start=ip_header_length,
            checksum_offset=TCP_CHECKSUM_OFFSET,
        )
    )
