"""Traffic of others on a simulated link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omtcp.link.config import BITS_NS
from omtcp.link.pipe import Pipe
from omtcp.wire.tcp import Segment


@dataclass(slots=True)
class ConstantRate:
    """A stream of packets that takes its part of a link and pays attention to nobody.

    Its packets pass through the link's queue like all others and vanish at the end.
    """

    pipe: Pipe[Segment]
    rate_bps: int
    until_ns: int
    schedule: Callable[[int, Callable[[int], None]], None]
    packet_size: int = 1500
    offered: int = 0
    lost: int = 0

    def __call__(self, now: int) -> None:
        """Offer one packet and schedule the next."""
        if now >= self.until_ns:
            return
        self.offered += 1
        self.lost += self.pipe.link.offer(now, self.packet_size).delivery_ns is None
        self.schedule(now + self.packet_size * BITS_NS // self.rate_bps, self)
