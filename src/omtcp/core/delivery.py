"""What became of one subflow's transmissions, in their own order."""

from __future__ import annotations

from typing import Final

from omtcp.core.ranges import RangeSet


class Episode:
    """What one reduction of the window was made for."""

    __slots__ = ("lost", "reduced")

    def __init__(self) -> None:
        self.lost = 0
        """Bytes taken for lost, less those that arrived after all."""
        self.reduced = False
        """Whether the window was reduced, and not given back."""


class DeliveryOrder:
    """Which positions of one subflow have been delivered, kept only above the first hole (P3)."""

    __slots__ = ("edge", "islands")

    def __init__(self) -> None:
        self.edge = 0
        """Every position below has been delivered or given up."""
        self.islands = RangeSet()

    def deliver(self, start: int, end: int) -> None:
        """Positions [start, end) were acknowledged."""
        if start > self.edge:
            self.islands.add(start, end)
        elif end > self.edge:
            self.advance(end)

    def advance(self, position: int) -> None:
        """Nothing below `position` is waited for any more."""
        self.edge = max(self.edge, position)
        if self.islands:
            self.islands.discard_below(self.edge)
            first = next(iter(self.islands), None)
            if first is not None and first[0] == self.edge:
                self.edge = first[1]
                self.islands.discard_below(self.edge)

    @property
    def top(self) -> int:
        """Start of the highest island; 0 when nothing is out of order."""
        return self.islands.last_start if self.islands else 0

    def lost_below(self, threshold: int) -> int | None:
        """The position below which every hole has more than `threshold` delivered bytes above.

        The paper (III.B) states it for the first hole, RFC 6675 section 4 (IsLost) for each.
        """
        above = 0
        for start, end in reversed(list(self.islands)):
            above += end - start
            if above > threshold:
                return start
        return None


class LossShare:
    """Congestion events per segment, over about the last `SEGMENTS` segments.

    A queue that overflows drops many segments at once and then none for long: one event. A link
    that loses at random has an event in every window, whatever its size.
    """

    __slots__ = ("value",)

    SEGMENTS: Final = 64

    def __init__(self) -> None:
        self.value = 0.0

    def on_event(self) -> None:
        """A window was cut for a loss."""
        self.value += (1.0 - self.value) / self.SEGMENTS

    def on_delivered(self, segments: float) -> None:
        """So many segments were acknowledged."""
        self.value -= self.value * min(segments / self.SEGMENTS, 1.0)
