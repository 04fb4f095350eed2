"""The fate of a packet, computed when it arrives.

A drop-tail FIFO needs no events of its own: the time at which the last accepted packet leaves the
queue tells how many bytes wait, whether one more fits, and when it will be out.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from omtcp.link.config import BITS_NS, LinkConfig
from omtcp.link.loss import Rng


class DropReason(StrEnum):
    """Why a packet does not arrive."""

    QUEUE = "queue"
    LOSS = "loss"
    DOWN = "down"
    MTU = "mtu"
    CUT = "cut"  # it was under way when the link went down
    SWALLOWED = "swallowed"  # a middlebox kept it


@dataclass(slots=True)
class Verdict:
    """What becomes of one packet.

    departure_ns: when its last bit leaves the queue; delivery_ns: when it arrives, None if never.
    """

    delivery_ns: int | None
    departure_ns: int
    reason: DropReason | None = None
    marked: bool = False


@dataclass(slots=True)
class Counters:
    """What a link did. `delivered_*` is counted by whoever holds the packets (`Pipe`)."""

    offered_packets: int = 0
    offered_bytes: int = 0
    delivered_packets: int = 0
    delivered_bytes: int = 0
    marked: int = 0
    peak_backlog: int = 0
    dropped: dict[DropReason, int] = field(default_factory=dict)

    def drop(self, reason: DropReason) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a change of configuration does to the packets that are under way."""

    now_ns: int
    old: LinkConfig
    new: LinkConfig
    lose_in_flight: bool

    def remap(self, departure_ns: int, delivery_ns: int) -> tuple[int, int] | None:
        """The new (departure, delivery) of a packet that was promised these; None: it is lost.

        A packet that has left the queue is in flight and keeps its time. One that waits moves in
        proportion to the rates, which is exact for a FIFO, and meets the new delay.
        """
        cut = self.old.up and not self.new.up
        if departure_ns <= self.now_ns:
            return None if cut and self.lose_in_flight else (departure_ns, delivery_ns)
        if cut:
            return None
        if self.old.rate_bps == self.new.rate_bps and self.old.delay_ns == self.new.delay_ns:
            return departure_ns, delivery_ns
        departure_ns = self._departure(departure_ns)
        return departure_ns, departure_ns + self.new.delay_ns

    def _departure(self, departure_ns: int) -> int:
        old, new = self.old.rate_bps, self.new.rate_bps
        if old is None or new is None:
            return self.now_ns
        return self.now_ns + -(-(departure_ns - self.now_ns) * old // new)


class Link:
    """One direction of a link; holds the state that `LinkConfig` does not."""

    __slots__ = ("_busy_until", "_config", "_last_delivery", "_loss", "_rng", "counters")

    def __init__(self, config: LinkConfig, rng: Rng) -> None:
        self._config = config
        self._rng = rng
        self._loss = config.loss.start() if config.loss else None
        self._busy_until = 0
        self._last_delivery = 0
        self.counters = Counters()

    @property
    def config(self) -> LinkConfig:
        return self._config

    def backlog(self, now: int) -> int:
        """Bytes that wait or are being serialised at `now`."""
        rate = self._config.rate_bps
        if rate is None or self._busy_until <= now:
            return 0
        return -(-(self._busy_until - now) * rate // BITS_NS)

    def offer(self, now: int, size: int, ect: bool = False) -> Verdict:
        """A packet of `size` bytes arrives; `ect` says that it may be marked (RFC 3168).

        `now` must not go backwards.
        """
        config, counters = self._config, self.counters
        counters.offered_packets += 1
        counters.offered_bytes += size
        if not config.up:
            return self._drop(now, DropReason.DOWN)
        if config.mtu is not None and size > config.mtu:
            return self._drop(now, DropReason.MTU)
        backlog = self.backlog(now)
        if backlog and config.queue_bytes is not None and backlog + size > config.queue_bytes:
            return self._drop(now, DropReason.QUEUE)
        departure = self._serialise(now, size, backlog)
        if self._loss is not None and self._loss.drops(self._rng):
            return self._drop(departure, DropReason.LOSS)
        marked = ect and config.mark_bytes is not None and backlog + size > config.mark_bytes
        counters.marked += marked
        return Verdict(self._deliver(departure), departure, None, marked)

    def _serialise(self, now: int, size: int, backlog: int) -> int:
        """Takes the packet into the queue; when its last bit leaves."""
        rate = self._config.rate_bps
        if rate is None:
            self._busy_until = max(now, self._busy_until)
            return self._busy_until
        if backlog + size > self.counters.peak_backlog:
            self.counters.peak_backlog = backlog + size
        self._busy_until = max(now, self._busy_until) - (-size * BITS_NS // rate)
        return self._busy_until

    def _deliver(self, departure: int) -> int:
        """When a packet that left at `departure` arrives: never before the one ahead of it."""
        config = self._config
        delivery = departure + config.delay_ns
        if config.jitter_ns:
            delivery += int(self._rng.random() * config.jitter_ns)
        self._last_delivery = max(delivery, self._last_delivery)
        return self._last_delivery

    def _drop(self, departure: int, reason: DropReason) -> Verdict:
        self.counters.drop(reason)
        return Verdict(None, departure, reason)

    def configure(self, now: int, config: LinkConfig, *, lose_in_flight: bool = False) -> Change:
        """The link becomes `config` at `now`; the answer tells what the change did to packets
        that were promised a delivery (`Pipe` applies it).

        A link that goes down loses its queue and, with `lose_in_flight`, what is on the wire.
        A loss model that stays the same keeps its state.
        """
        change = Change(now_ns=now, old=self._config, new=config, lose_in_flight=lose_in_flight)
        if config.loss != self._config.loss:
            self._loss = config.loss.start() if config.loss else None
        if self._config.up and not config.up:
            self._busy_until = now
            if lose_in_flight:
                self._last_delivery = now
        elif self._busy_until > now:
            moved = change.remap(self._busy_until, self._last_delivery)
            assert moved is not None, "only a cut loses packets"
            self._busy_until, self._last_delivery = moved
        self._config = config
        return change
