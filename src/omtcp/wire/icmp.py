"""ICMP (RFC 792) and ICMPv6 (RFC 4443) errors about segments of ours.

Only errors are parsed, and only those about TCP; all other messages are somebody else's. What a
TCP should make of them is in RFC 5927: the sequence number that the error quotes is part of the
value, so that the connection can tell whether it ever sent it.
"""

from dataclasses import dataclass
from enum import Enum
from struct import Struct

from omtcp.errors import LocalError, WireError
from omtcp.wire.buffer import Buffer
from omtcp.wire.checksum import internet_checksum, is_valid, pseudo_header_sum
from omtcp.wire.ip import (
    IPV4_HEADER,
    IPV6_HEADER,
    PROTOCOL_ICMP,
    PROTOCOL_ICMPV6,
    PROTOCOL_TCP,
    encode_ip_header,
    parse_quoted,
)


class IcmpKind(Enum):
    """What the error says, whichever IP version it says it in."""

    UNREACHABLE = "destination unreachable"
    TOO_BIG = "packet too big"
    """Also IPv4's destination unreachable, fragmentation needed and DF set."""
    TIME_EXCEEDED = "time exceeded"


@dataclass(slots=True)
class IcmpMessage:
    """An ICMP error, and as much of the quoted segment as tells whose it was."""

    kind: IcmpKind
    version: int
    """IP version, 4 or 6; `code` means different things in each."""
    code: int
    mtu: int
    """Next-hop MTU of TOO_BIG (RFC 1191, RFC 8201), 0 if the router did not say; else 0."""
    source: bytes
    """Of the quoted packet: our address."""
    destination: bytes
    source_port: int
    destination_port: int
    seq: int


_HEADER = Struct("!BBHI")  # type, code, checksum, and a word whose meaning the type decides
_QUOTED = Struct("!HHI")

_FRAGMENTATION_NEEDED = 4
_KINDS_V4 = {3: IcmpKind.UNREACHABLE, 11: IcmpKind.TIME_EXCEEDED}
_KINDS_V6 = {1: IcmpKind.UNREACHABLE, 2: IcmpKind.TOO_BIG, 3: IcmpKind.TIME_EXCEEDED}

_TYPES_V4 = {IcmpKind.UNREACHABLE: 3, IcmpKind.TOO_BIG: 3, IcmpKind.TIME_EXCEEDED: 11}
_TYPES_V6 = {kind: number for number, kind in _KINDS_V6.items()}

_MAX_ERROR_V4 = 576
"""Octets of an error at most: RFC 1812 section 4.3.2.3."""
_MAX_ERROR_V6 = 1280
"""The same: RFC 4443 section 2.4 (c)."""


def parse_icmp(
    data: memoryview, source: bytes, destination: bytes, version: int
) -> IcmpMessage | None:
    """Parse the ICMP message that is the payload of an IP packet between these addresses.

    None if it is no error, or one that is not about TCP. Raises WireError.
    """
    if len(data) < _HEADER.size:
        raise WireError("ICMP header truncated")
    initial = 0
    if version == 6:
        initial = pseudo_header_sum(source, destination, PROTOCOL_ICMPV6, len(data))
    if not is_valid(data, initial):
        raise WireError("ICMP checksum")
    number, code, _, word = _HEADER.unpack_from(data)
    kind = (_KINDS_V4 if version == 4 else _KINDS_V6).get(number)
    if kind is None:
        return None
    mtu = 0
    if version == 4 and number == 3 and code == _FRAGMENTATION_NEEDED:
        kind, mtu = IcmpKind.TOO_BIG, word & 0xFFFF
    elif kind is IcmpKind.TOO_BIG:
        mtu = word
    return _with_quoted(kind, version, code, mtu, data[_HEADER.size :])


def _with_quoted(
    kind: IcmpKind, version: int, code: int, mtu: int, quoted: memoryview
) -> IcmpMessage | None:
    original = parse_quoted(quoted, version)
    if original.protocol != PROTOCOL_TCP:
        return None
    if len(original.payload) < _QUOTED.size:
        raise WireError("ICMP error quotes too little of the TCP header")
    source_port, destination_port, seq = _QUOTED.unpack_from(original.payload)
    return IcmpMessage(
        kind,
        version,
        code,
        mtu,
        original.source,
        original.destination,
        source_port,
        destination_port,
        seq,
    )


def encode_icmp_error(
    source: bytes,
    kind: IcmpKind,
    original: Buffer,
    *,
    code: int = 0,
    mtu: int = 0,
    hop_limit: int = 64,
) -> bytes:
    """The packet by which a router with address `source` reports an error about `original`.

    `original` is a whole IP packet; the error goes to its source and quotes as much of it as
    the RFCs allow. `code` is ignored for TOO_BIG, `mtu` counts for nothing else. LocalError if
    `original` is no IP packet of the version that `source` is of.
    """
    version = 4 if len(source) == 4 else 6
    if (
        len(original) < (IPV4_HEADER if version == 4 else IPV6_HEADER)
        or original[0] >> 4 != version
    ):
        raise LocalError(f"an IPv{version} error is about an IPv{version} packet")
    if version == 4:
        return _error_v4(source, kind, original, code, mtu, hop_limit)
    return _error_v6(source, kind, original, code, mtu, hop_limit)


def _error_v4(
    source: bytes, kind: IcmpKind, original: Buffer, code: int, mtu: int, hop_limit: int
) -> bytes:
    too_big = kind is IcmpKind.TOO_BIG
    number, code = _TYPES_V4[kind], _FRAGMENTATION_NEEDED if too_big else code
    word = mtu if too_big else 0
    quote = bytes(original[: _MAX_ERROR_V4 - IPV4_HEADER - _HEADER.size])
    checksum = internet_checksum(_HEADER.pack(number, code, 0, word) + quote)
    body = _HEADER.pack(number, code, checksum, word) + quote
    to = bytes(original[12:16])
    return encode_ip_header(source, to, PROTOCOL_ICMP, len(body), hop_limit=hop_limit) + body


def _error_v6(
    source: bytes, kind: IcmpKind, original: Buffer, code: int, mtu: int, hop_limit: int
) -> bytes:
    too_big = kind is IcmpKind.TOO_BIG
    number, code = _TYPES_V6[kind], 0 if too_big else code
    word = mtu if too_big else 0
    quote = bytes(original[: _MAX_ERROR_V6 - IPV6_HEADER - _HEADER.size])
    to = bytes(original[8:24])
    pseudo = pseudo_header_sum(source, to, PROTOCOL_ICMPV6, _HEADER.size + len(quote))
    checksum = internet_checksum(_HEADER.pack(number, code, 0, word) + quote, pseudo)
    body = _HEADER.pack(number, code, checksum, word) + quote
    return encode_ip_header(source, to, PROTOCOL_ICMPV6, len(body), hop_limit=hop_limit) + body
