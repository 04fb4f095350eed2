"""A link that several paths, and others' connections, have in common."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from omtcp.link import LinkConfig
from omtcp.link.pipe import Pipe
from omtcp.sim.packets import wire_size
from omtcp.wire.tcp import Segment

Deliver = Callable[[int, Segment], None]
"""(now, packet) at the far end."""


class _Parcel(NamedTuple):
    deliver: Deliver
    segment: Segment


class SharedLink:
    """One queue for the packets of many; each knows where it goes at the far end."""

    def __init__(self, config: LinkConfig, *, seed: int = 0) -> None:
        self.pipe = Pipe[_Parcel](config, Random(seed))

    def send(self, now: int, segment: Segment, deliver: Deliver) -> None:
        """A packet arrives at the link."""
        self.pipe.send(now, _Parcel(deliver, segment), wire_size(segment), ect=segment.ecn != 0)

    def next_delivery(self) -> int | None:
        """When the first packet comes out, None if there is none."""
        return self.pipe.next_delivery()

    def deliver(self, now: int) -> None:
        """Hand over everything that is out by `now`."""
        while (parcel := self.pipe.poll_delivery(now)) is not None:
            parcel.deliver(now, parcel.segment)
