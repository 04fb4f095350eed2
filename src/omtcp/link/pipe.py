"""A link together with the packets that are on it."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from omtcp.link.config import LinkConfig
from omtcp.link.link import Counters, DropReason, Link, Verdict
from omtcp.link.loss import Rng

T = TypeVar("T")


class Pipe(Generic[T]):
    """Packets in at one end, out at the other, in order.

    `send` when a packet arrives, `next_delivery` for when to come back, `poll_delivery` until it
    has no more. `mark` makes the congestion-experienced copy of a packet (RFC 3168); without it
    marks are only counted.
    """

    __slots__ = ("_mark", "_packets", "link")

    def __init__(self, config: LinkConfig, rng: Rng, mark: Callable[[T], T] | None = None) -> None:
        self.link = Link(config, rng)
        self._mark = mark
        self._packets: deque[tuple[int, int, int, T]] = deque()

    @property
    def counters(self) -> Counters:
        return self.link.counters

    def __len__(self) -> int:
        """Packets in the queue and in flight."""
        return len(self._packets)

    def send(self, now: int, packet: T, size: int, ect: bool = False) -> Verdict:
        """Offers a packet of `size` bytes to the link."""
        verdict = self.link.offer(now, size, ect)
        if verdict.delivery_ns is not None:
            if verdict.marked and self._mark is not None:
                packet = self._mark(packet)
            self._packets.append((verdict.delivery_ns, verdict.departure_ns, size, packet))
        return verdict

    def next_delivery(self) -> int | None:
        """When the first packet comes out, None if there is none."""
        return self._packets[0][0] if self._packets else None

    def poll_delivery(self, now: int) -> T | None:
        """The next packet that is out by `now`, None if there is none."""
        if not self._packets or self._packets[0][0] > now:
            return None
        _, _, size, packet = self._packets.popleft()
        counters = self.link.counters
        counters.delivered_packets += 1
        counters.delivered_bytes += size
        return packet

    def configure(self, now: int, config: LinkConfig, *, lose_in_flight: bool = False) -> None:
        """Changes the link under the packets; see `Link.configure`."""
        change = self.link.configure(now, config, lose_in_flight=lose_in_flight)
        moved: deque[tuple[int, int, int, T]] = deque()
        latest = 0
        for delivery, departure, size, packet in self._packets:
            times = change.remap(departure, delivery)
            if times is None:
                self.counters.drop(DropReason.CUT)
                continue
            latest = max(latest, times[1])
            moved.append((latest, times[0], size, packet))
        self._packets = moved
