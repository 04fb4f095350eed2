"""Packets between processes that serve one address: for those that come to the wrong one.

The kernel gives all packets of a connection to one process, for it goes by their addresses and
ports. ICMP errors about the connection have the address of a router and no ports, and so come to
any of the processes.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress

from omtcp.net.tun import PACKET_SIZE


def mailboxes(count: int) -> list[tuple[socket.socket, socket.socket]]:
    """For each process the end that it reads, and the one that the others write."""
    pairs = [
        socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        for _ in range(count)
    ]
    return [(reading, writing) for reading, writing in pairs]


class Mailbox:
    """One process's view: its own box, and the slots of those of the others."""

    def __init__(self, own: socket.socket, others: Sequence[socket.socket]) -> None:
        self._own = own
        self._others = others

    def post(self, packet: bytes) -> None:
        """Put a packet into the boxes of all the others; what finds no room is lost on the way."""
        for slot in self._others:
            with suppress(OSError):
                slot.send(packet)

    def fileno(self) -> int:
        """Readable while there is something in our box."""
        return self._own.fileno()

    def take(self) -> bytes | None:
        """The next packet in our box, None if there is none."""
        try:
            return self._own.recv(PACKET_SIZE)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Give the descriptors back."""
        for end in (self._own, *self._others):
            end.close()
