"""The front door: one buffer from a device in, one value out."""

from dataclasses import dataclass

from omtcp.wire.buffer import Buffer
from omtcp.wire.icmp import IcmpMessage, parse_icmp
from omtcp.wire.ip import PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, parse_datagram
from omtcp.wire.tcp import Segment, parse_segment

_ICMP_OF_VERSION = {4: PROTOCOL_ICMP, 6: PROTOCOL_ICMPV6}


@dataclass(slots=True)
class TcpPacket:
    """A TCP segment and the addresses (4 or 16 octets) that it came from and went to."""

    source: bytes
    destination: bytes
    segment: Segment


@dataclass(slots=True)
class IcmpPacket:
    """An ICMP error and the addresses of the packet that brought it, not of the one it quotes."""

    source: bytes
    destination: bytes
    message: IcmpMessage


def parse_packet(packet: Buffer, *, checksum_valid: bool) -> TcpPacket | IcmpPacket | None:
    """Parse an IP packet that carries TCP, or an ICMP error about TCP; None for anything else.

    The segment's payload is a view into `packet`, which must therefore not be reused while the
    segment lives. `checksum_valid` is the device's word about the TCP checksum (virtio's
    DATA_VALID or NEEDS_CSUM); those of IPv4 and ICMP headers are verified all the same. Raises
    WireError, and nothing else, on whatever octets.
    """
    datagram = parse_datagram(packet)
    source, destination = datagram.source, datagram.destination
    if datagram.protocol == PROTOCOL_TCP:
        segment = parse_segment(
            datagram.payload,
            source,
            destination,
            ecn=datagram.ecn,
            checksum_valid=checksum_valid,
        )
        return TcpPacket(source, destination, segment)
    if datagram.protocol == _ICMP_OF_VERSION[datagram.version]:
        message = parse_icmp(datagram.payload, source, destination, datagram.version)
        return None if message is None else IcmpPacket(source, destination, message)
    return None
