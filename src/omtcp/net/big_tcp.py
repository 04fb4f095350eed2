"""How long a super-segment a device takes in one piece: beyond 64 KiB if it is told to (BIG TCP).

What is longer the kernel cuts into frames before the device sees it, which costs many times as
much. So nobody but the operator, who knows what is behind a device, raises the limit: `ip link set
DEV gso_ipv4_max_size BYTES`, since Linux 6.3, or where ip(8) does not know that yet,

    python -m omtcp.net.big_tcp DEV BYTES
"""

import os
import socket
import sys
from collections.abc import Iterator
from struct import Struct

from omtcp.errors import SetupError

USUAL = 65_536
"""The limit of a device that nobody told anything: longer ones do not exist for most programs."""

_HEADER = Struct("=IHHII")
_LINK = Struct("=BxHiII")
_ATTRIBUTE = Struct("=HH")
_NUMBER = Struct("=I")
_ERROR = Struct("=i")

_NLMSG_ERROR = 2
_RTM_NEWLINK = 16
_RTM_GETLINK = 18
_NLM_F_REQUEST = 1
_NLM_F_ACK = 4
_IFLA_GSO_MAX_SIZE = 41
_IFLA_GSO_IPV4_MAX_SIZE = 63
_ANSWER = 32_768


def longest_packet(index: int) -> int:
    """Octets of the longest IPv4 packet, link header included, that the device takes uncut.

    USUAL where the kernel does not say.
    """
    attributes = dict(_attributes(_ask(_RTM_GETLINK, index)))
    for kind in (_IFLA_GSO_IPV4_MAX_SIZE, _IFLA_GSO_MAX_SIZE):
        if kind in attributes:
            return _NUMBER.unpack_from(attributes[kind])[0]  # type: ignore[no-any-return]  # struct
    return USUAL


def allow_packets(index: int, size: int) -> None:
    """Have the device take IPv4 packets of up to `size` octets; SetupError if it cannot."""
    _ask(_RTM_NEWLINK, index, _ATTRIBUTE.pack(8, _IFLA_GSO_IPV4_MAX_SIZE) + _NUMBER.pack(size))


def _ask(kind: int, index: int, attributes: bytes = b"") -> bytes:
    """What the kernel answers, without the message's header; SetupError if it is an error."""
    body = _LINK.pack(0, 0, index, 0, 0) + attributes
    flags = _NLM_F_REQUEST | (_NLM_F_ACK if kind == _RTM_NEWLINK else 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        answer = kernel.recv(_ANSWER)
    body = answer[_HEADER.size :]
    if _HEADER.unpack_from(answer)[1] == _NLMSG_ERROR:
        code = -_ERROR.unpack_from(body)[0]
        if code:
            raise SetupError(os.strerror(code))
    return body


def main(device: str, size: str) -> None:
    """Set the limit of a device that is named."""
    try:
        allow_packets(socket.if_nametoindex(device), int(size))
    except (OSError, SetupError, ValueError) as error:
        sys.exit(f"{device}: {error}")


def _attributes(link: bytes) -> Iterator[tuple[int, bytes]]:
    at = _LINK.size
    while at + _ATTRIBUTE.size <= len(link):
        length, kind = _ATTRIBUTE.unpack_from(link, at)
        yield kind, link[at + _ATTRIBUTE.size : at + length]
        at += max(length + 3 & ~3, _ATTRIBUTE.size)


if __name__ == "__main__":
    main(*sys.argv[1:])
