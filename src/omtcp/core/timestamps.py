"""TCP timestamps (RFC 7323) that survive several paths.

A receiver discards a segment whose TSval is older than the one that last filled its left edge
(PAWS, RFC 7323 section 5). With a TSval per transmission, a retransmission over a fast path makes
everything that is still under way on a slower one look old, and it is thrown away on arrival. So
the value rises in *sequence order* instead: each byte keeps the TSval of its first transmission,
and a retransmission repeats it.
"""

from bisect import bisect_right

_TICK_NS = 1_000_000
_MODULUS = 1 << 32
_COARSE = 128
"""Ticks for which the value may stand still; RFC 7323 section 5.4 allows a second."""


class OrderedTimestamps:
    """TSval as a non-decreasing function of the stream offset, in ticks of 1 ms."""

    __slots__ = ("_base", "_offsets", "_values", "recent")

    def __init__(self, base: int) -> None:
        """`base` is a 32-bit offset of the clock, drawn at random per connection."""
        self._base = base
        self._offsets: list[int] = [-1]
        self._values: list[int] = [base % _MODULUS]
        self.recent = 0
        """TS.Recent: what the peer is to be echoed."""

    def rebase(self, base: int, now: int) -> None:
        """Another offset, with which a TSval was sent before this was made; nothing else was."""
        self._base = base
        self.begin(now)

    def __len__(self) -> int:
        """How many values are remembered."""
        return len(self._values)

    def now(self, now: int) -> int:
        """The clock."""
        return (self._base + now // _TICK_NS) % _MODULUS

    def begin(self, now: int) -> None:
        """The SYN is leaving: its TSval is the clock's, or what follows might look 25 days old."""
        self._values[0] = self.now(now)

    def first(self, now: int, start: int, *, coarse: bool = False) -> int:
        """TSval for what begins at `start`, where new data begins.

        A `coarse` one is that of the data before, if that is not long ago: what may be sent over
        several paths bears the same value for as long as possible, see `alike`.
        """
        value = self.now(now)
        last = self._values[-1]
        if value == last or (coarse and (value - last) % _MODULUS < _COARSE):
            return last
        if self._offsets[-1] == start:  # an ACK bore the value, and no data
            self._values[-1] = value
        else:
            self._offsets.append(start)
            self._values.append(value)
        return value

    def alike(self, start: int) -> int | None:
        """The place where bytes that bear the same TSval as those at `start` end.

        None if that is the end of all that was sent.
        """
        index = bisect_right(self._offsets, start)
        return self._offsets[index] if index < len(self._offsets) else None

    def again(self, start: int) -> int:
        """TSval for data from `start` on that was sent before."""
        return self._values[max(bisect_right(self._offsets, start) - 1, 0)]

    def release(self, offset: int) -> None:
        """Data below `offset` will never be sent again, but for a ping."""
        index = bisect_right(self._offsets, offset) - 1
        if index > 16:
            del self._offsets[:index]
            del self._values[:index]

    def accept(self, value: int, seq_at_left_edge: bool) -> bool:
        """PAWS for what we receive; updates TS.Recent when the segment is at the left edge."""
        if (value - self.recent) % _MODULUS >= 1 << 31:
            return False
        if seq_at_left_edge:
            self.recent = value
        return True
