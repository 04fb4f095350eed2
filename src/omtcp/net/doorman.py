"""Who is let in when more knock than can be served: SYNs wait until those inside had their turn.

While handshakes are few every SYN is answered. In a crowd (see `Endpoint.crowded`) an answer is a
cookie that costs no memory, but it does cost time, and a flood would take all there is from the
transfers under way. So answers get a part of the time, and more of what nobody else needs; what
knocks beyond that is dropped unread, which costs a tenth, and whoever is real will knock again.
"""

from __future__ import annotations

import time

from omtcp.wire.buffer import Buffer
from omtcp.wire.ip import PROTOCOL_TCP
from omtcp.wire.tcp import ACK, FIN, RST, SYN

SHARE = 30
"""One part in so many of the time is for strangers, however busy we are."""
IDLE_SHARE = 4
"""And one in so many of that in which we have nothing to do; they are not all that needs it."""
SAVED_MOST_NS = 5_000_000
"""How much of it can be saved up for a burst."""

_V4_PLAIN = 0x45
"""First octet of an IPv4 header without options."""
_V4_FLAGS, _V4_PROTOCOL, _V4_LEAST = 33, 9, 40
_V6_FLAGS, _V6_PROTOCOL, _V6_LEAST = 53, 6, 60
_KIND = SYN | ACK | RST | FIN


def is_syn(packet: Buffer) -> bool:
    """Whether a packet asks for a connection, as far as a glance tells.

    IPv4 with options, or IPv6 with extension headers, takes a closer look: False.
    """
    size = len(packet)
    if size < _V4_LEAST:
        return False
    if packet[0] == _V4_PLAIN:
        return packet[_V4_FLAGS] & _KIND == SYN and packet[_V4_PROTOCOL] == PROTOCOL_TCP
    if size < _V6_LEAST or packet[0] >> 4 != 6:
        return False
    return packet[_V6_FLAGS] & _KIND == SYN and packet[_V6_PROTOCOL] == PROTOCOL_TCP


class Doorman:
    """How much time is left for strangers, in ns."""

    __slots__ = ("_busy_at", "_left", "_looked_at", "shed")

    def __init__(self) -> None:
        self._left = SAVED_MOST_NS
        self._looked_at = 0
        self._busy_at = 0
        self.shed = 0
        """SYNs that were dropped."""

    def busy_ns(self) -> int:
        """Processor time that this thread has had."""
        return time.thread_time_ns()

    def look(self, now: int) -> bool:
        """Whether there is time for strangers at `now`, on the driver's clock."""
        elapsed, self._looked_at = now - self._looked_at, now
        busy_at = self.busy_ns()
        busy, self._busy_at = busy_at - self._busy_at, busy_at
        earned = elapsed // SHARE + max(elapsed - busy, 0) // IDLE_SHARE
        self._left = min(self._left + earned, SAVED_MOST_NS)
        return self._left > 0

    def spend(self, elapsed_ns: int) -> bool:
        """Strangers took so much time; whether there is more for them."""
        self._left -= elapsed_ns
        return self._left > 0
