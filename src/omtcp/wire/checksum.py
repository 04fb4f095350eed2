"""The Internet checksum (RFC 1071), its incremental update (RFC 1624) and pseudo-headers.

2**16 is 1 modulo 0xFFFF, so the big integer that a buffer spells is congruent to the sum of its
16-bit words, and one division replaces the loop that RFC 1071 describes. The ones'-complement sum
and the remainder differ in one case: a sum of words that are not all zero never comes to 0, it
is 0xFFFF ("minus zero") where the remainder is 0.
"""

from omtcp.errors import LocalError
from omtcp.wire.buffer import Buffer

_ALL_ONES = 0xFFFF


def word_sum(data: Buffer) -> int:
    """A number congruent modulo 0xFFFF to the sum of the 16-bit words of `data`.

    It is 0 only if every octet is 0. An odd buffer is padded with a zero octet (RFC 1071).
    """
    total = int.from_bytes(data, "big")
    return total << 8 if len(data) & 1 else total


def fold(total: int) -> int:
    """The ones'-complement sum, 0..0xFFFF, of words whose ordinary sum is `total`."""
    return total % _ALL_ONES or (_ALL_ONES if total else 0)


def internet_checksum(data: Buffer, initial: int = 0) -> int:
    """The checksum field for `data`, whose own field is zero; `initial` is a sum to start from."""
    return _ALL_ONES - fold(initial + word_sum(data))


def is_valid(data: Buffer, initial: int = 0) -> bool:
    """Whether `data` with its checksum field, and `initial`, sum up to all ones (RFC 1071)."""
    total = initial + word_sum(data)
    return total != 0 and total % _ALL_ONES == 0


def update(checksum: int, old: int, new: int) -> int:
    """The checksum after a 16-bit word changes from `old` to `new`: RFC 1624 equation 3.

    Unlike equation 2 of RFC 1141 this never turns a checksum of 0 into 0xFFFF or back.
    """
    return _ALL_ONES - fold((_ALL_ONES - checksum) + (_ALL_ONES - old) + new)


def pseudo_header_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The unfolded sum of the pseudo-header, IPv4 (RFC 9293) or IPv6 (RFC 8200 section 8.1).

    Addresses are 4 or 16 octets; `length` is that of the upper-layer header and data. The two
    layouts differ, their sums do not. LocalError if the addresses are not of one family.
    """
    if len(source) != len(destination) or len(source) not in (4, 16):
        raise LocalError("addresses must both be 4 octets or both be 16")
    return int.from_bytes(source + destination, "big") + protocol + length


def partial_checksum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """What the checksum field holds while the device has yet to sum the segment.

    The folded pseudo-header sum, *not* complemented: what Linux calls CHECKSUM_PARTIAL and
    virtio VIRTIO_NET_HDR_F_NEEDS_CSUM. Whoever completes it sums from the transport header on,
    this field included, and stores the complement.
    """
    return fold(pseudo_header_sum(source, destination, protocol, length))
