"""Pacing: a window leaves over its round trip, not at the moment its ACKs are read.

A program that shares its processor reads ACKs in lumps; without pacing each lump becomes a burst,
and a shallow queue drops the end of it. The pacer is a bucket that fills at a rate somewhat above
cwnd/SRTT, so in the long run the window decides and not the pacer. It is meant for timers of about
a millisecond: what a late one missed is made up, within bounds. On a host so busy that all timers
are late it learns by how much, and deals in larger portions: held to the small ones, all
connections together could never use the little time there is.
"""

from __future__ import annotations

from omtcp.core.config import MILLISECOND, SECOND

SLOW_START_GAIN = (2, 1)
AVOIDANCE_GAIN = (6, 5)
"""Rate over cwnd/SRTT; the window doubles per round trip in slow start. Linux uses the same."""
RESUMING_GAIN = (1, 1)
"""A window that lay fallow is filled within a round trip, and not a segment too early."""

BUCKET_PART = 24
BUCKET_LEAST_NS = MILLISECOND
BUCKET_MOST_NS = 3 * MILLISECOND
"""How much sending time can be saved up: a part of the round trip, as queues are, within bounds."""
BURST = 6_000
"""Bytes that may always leave together: four full segments, which harm no queue."""
TICK_NS = MILLISECOND
"""What a timer can be expected to resolve."""
LATE_MOST_NS = 20 * MILLISECOND
LATE_PART = 8
"""Of how many late timers an average is made."""

UNPACED_RATE = 250_000_000
"""Bytes per second above which a tick's worth of data is a burst anyway."""


class Pacer:
    """The bucket of one subflow; sizes in bytes, times in ns."""

    __slots__ = ("_bucket_ns", "_filled_at", "_late_ns", "_rate", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0
        self._rate = 0
        self._bucket_ns = BUCKET_LEAST_NS
        self._filled_at = 0
        self._late_ns = 0

    @property
    def tick_ns(self) -> int:
        """From one burst to the next, as far as timers can tell them apart."""
        return TICK_NS + self._late_ns

    @property
    def tokens(self) -> int:
        """Bytes saved up: bursts may leave until none is left. None, or less, is left then."""
        return self._tokens

    @property
    def unpaced(self) -> bool:
        """Whether the rate is known to be so high that bursts may follow one another at once."""
        return self._rate >= UNPACED_RATE

    def update(self, *, cwnd: int, srtt_ns: int, gain: tuple[int, int]) -> None:
        """The window or the round trip changed; `gain` is one of the above."""
        if not srtt_ns:
            return
        numerator, denominator = gain
        self._rate = cwnd * SECOND * numerator // (srtt_ns * denominator)
        bucket_ns = min(max(srtt_ns // BUCKET_PART, BUCKET_LEAST_NS), BUCKET_MOST_NS)
        self._bucket_ns = max(bucket_ns, 2 * self._late_ns)

    def ready(self, now: int, quantum: int) -> bool:
        """Whether a burst of up to `quantum` bytes may leave now."""
        rate = self._rate
        if rate == 0 or rate >= UNPACED_RATE:
            self._tokens = BURST  # what leaves unpaced is no debt for later
            self._filled_at = now
            return True
        self._fill(now, quantum)
        return self._tokens > 0

    def ready_at(self) -> int:
        """When `ready` will say yes; to be asked after it said no."""
        missing = 1 - self._tokens
        wait = -(-missing * SECOND // max(self._rate, 1))
        return self._filled_at + max(wait, TICK_NS)

    def on_resumed(self, now: int) -> None:
        """For the first time since `ready` said no it is to be asked again."""
        late_ns = now - self.ready_at()
        if late_ns >= 0:  # else it is an ACK that came, and no timer
            self._late_ns += (min(late_ns, LATE_MOST_NS) - self._late_ns) // LATE_PART

    def on_sent(self, size: int) -> None:
        """A burst left."""
        if 0 < self._rate < UNPACED_RATE:
            self._tokens -= size

    def _fill(self, now: int, quantum: int) -> None:
        capacity = max(self._rate * self._bucket_ns // SECOND, quantum, BURST)
        earned = self._rate * (now - self._filled_at) // SECOND
        if earned:
            self._tokens = min(self._tokens + earned, capacity)
            self._filled_at = now
