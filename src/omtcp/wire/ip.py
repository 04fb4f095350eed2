"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers, as far as TCP and ICMP need them.

Fragments are refused: omtcp sets DF on all that it sends, so neither its own packets nor the
pure ACKs that answer them have a reason to arrive in pieces.
"""

from dataclasses import dataclass
from struct import Struct

from omtcp.errors import LocalError, WireError
from omtcp.wire.buffer import Buffer, View
from omtcp.wire.checksum import fold, word_sum

PROTOCOL_ICMP = 1
PROTOCOL_TCP = 6
PROTOCOL_ICMPV6 = 58

IPV4_HEADER = 20
IPV6_HEADER = 40
MAX_LENGTH = 0xFFFF
"""Largest IPv4 total length and largest IPv6 payload length; no jumbograms."""
MOST_UNCUT = 8 * MAX_LENGTH
"""Longest super-segment that any Linux device takes: GSO_MAX_SIZE (BIG TCP)."""

_V4 = Struct("!BBHHHBBH4s4s")
_V6 = Struct("!IHBB16s16s")

_DONT_FRAGMENT = 0x4000
_FRAGMENT = 0x3FFF  # more fragments, or an offset

_HOP_BY_HOP = 0
_ROUTING = 43
_FRAGMENT_HEADER = 44
_DESTINATION_OPTIONS = 60
_SKIPPED = frozenset((_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS))
_MAX_EXTENSIONS = 8
"""RFC 8200 section 4.1 recommends at most five; more than this only wastes our time."""


@dataclass(slots=True)
class Datagram:
    """A parsed IP packet; `payload` is a view into the buffer that was parsed."""

    version: int
    source: bytes
    """4 or 16 octets, as `destination`."""
    destination: bytes
    protocol: int
    """Of `payload`; for IPv6 that which follows the extension headers."""
    ecn: int
    hop_limit: int
    payload: View
    flow_label: int = 0
    """0 for IPv4."""


def parse_datagram(packet: Buffer) -> Datagram:
    """Parse one IP packet; octets after its stated length, such as padding, are ignored.

    Raises WireError if it is truncated, a fragment, of an unknown version, or damaged.
    """
    if not packet:
        raise WireError("empty packet")
    version = packet[0] >> 4
    if version == 4:
        return _parse_ipv4(packet, quoted=False)
    if version == 6:
        return _parse_ipv6(packet, quoted=False)
    raise WireError(f"IP version {version}")


def parse_quoted(packet: Buffer, version: int) -> Datagram:
    """Parse what an ICMP error of IP version `version` quotes: the front of a packet of ours.

    Neither length nor header checksum is verified: routers cut the former short and are known
    to have changed fields under the latter. The payload is what there is of it.
    """
    if not packet or packet[0] >> 4 != version:
        raise WireError("ICMP error quotes a packet of another IP version")
    return (_parse_ipv4 if version == 4 else _parse_ipv6)(packet, quoted=True)


def _parse_ipv4(packet: Buffer, *, quoted: bool) -> Datagram:
    available = len(packet)
    if available < IPV4_HEADER:
        raise WireError("IPv4 header truncated")
    first, service, total, _, fragment, ttl, protocol, _, source, destination = _V4.unpack_from(
        packet
    )
    header = (first & 0x0F) << 2
    end = available if quoted else total
    if not IPV4_HEADER <= header <= end <= available:
        raise WireError(f"IPv4 lengths: header {header}, total {total}, there are {available}")
    if fragment & _FRAGMENT:
        raise WireError("IPv4 fragment")
    # `checksum.is_valid`, inlined for the hot path: an even length, and not all zero.
    if int.from_bytes(packet[:header], "big") % 0xFFFF and not quoted:
        raise WireError("IPv4 header checksum")
    payload = memoryview(packet)[header:end]
    return Datagram(4, source, destination, protocol, service & 3, ttl, payload)


def _parse_ipv6(packet: Buffer, *, quoted: bool) -> Datagram:
    available = len(packet)
    if available < IPV6_HEADER:
        raise WireError("IPv6 header truncated")
    word, length, protocol, hop_limit, source, destination = _V6.unpack_from(packet)
    end = available if quoted else IPV6_HEADER + length
    if end > available:
        raise WireError(f"IPv6 payload of {length} octets, there are {available - IPV6_HEADER}")
    payload = memoryview(packet)[IPV6_HEADER:end]
    if protocol in _SKIPPED or protocol == _FRAGMENT_HEADER:
        protocol, payload = _skip_extensions(protocol, payload, quoted=quoted)
    ecn = word >> 20 & 3
    return Datagram(6, source, destination, protocol, ecn, hop_limit, payload, word & 0xFFFFF)


def _skip_extensions(kind: int, data: memoryview, *, quoted: bool) -> tuple[int, memoryview]:
    """The protocol after the extension headers that `data` starts with, and what it carries."""
    for _ in range(_MAX_EXTENSIONS + 1):
        if kind == _FRAGMENT_HEADER:
            raise WireError("IPv6 fragment")
        if kind not in _SKIPPED:
            return kind, data
        if len(data) < 8:
            raise WireError("IPv6 extension header truncated")
        length = (data[1] + 1) * 8
        if length > len(data):
            raise WireError("IPv6 extension header truncated")
        if kind == _ROUTING and data[3] and not quoted:
            # Segments left: it has further to go, and its final destination is not the header's.
            raise WireError("IPv6 routing header for another destination")
        kind, data = data[0], data[length:]
    raise WireError("too many IPv6 extension headers")


def encode_ip_header(
    source: bytes,
    destination: bytes,
    protocol: int,
    length: int,
    *,
    hop_limit: int = 64,
    ecn: int = 0,
    flow_label: int = 0,
) -> bytes:
    """The IP header for `length` octets of `protocol`; the addresses' size chooses the version.

    IPv4: no options, DF set, identification 0, which RFC 6864 section 4.1 allows for packets that
    are never fragmented. Of a super-segment beyond 64 KiB the total length is 0: Linux goes by the
    buffer's then (BIG TCP, since 6.3). LocalError if the addresses are of different or unknown
    size, or the packet would exceed MOST_UNCUT, with IPv6 64 KiB.
    """
    if len(source) != len(destination):
        raise LocalError("source and destination are of different IP versions")
    if len(source) == 4:
        return _ipv4_header(source, destination, protocol, length + IPV4_HEADER, hop_limit, ecn)
    if len(source) != 16:
        raise LocalError(f"an IP address has 4 or 16 octets, not {len(source)}")
    if length > MAX_LENGTH:
        raise LocalError(f"IPv6 payload of {length} octets")
    word = 6 << 28 | ecn << 20 | flow_label
    return _V6.pack(word, length, protocol, hop_limit, source, destination)


def _ipv4_header(
    source: bytes, destination: bytes, protocol: int, total: int, ttl: int, ecn: int
) -> bytes:
    if total > MAX_LENGTH:
        if total > MOST_UNCUT:
            raise LocalError(f"IPv4 packet of {total} octets")
        total = 0
    words = 0x4500 + ecn + total + _DONT_FRAGMENT + (ttl << 8) + protocol
    checksum = 0xFFFF - fold(words + word_sum(source + destination))
    return _V4.pack(
        0x45, ecn, total, 0, _DONT_FRAGMENT, ttl, protocol, checksum, source, destination
    )
