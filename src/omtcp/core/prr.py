"""Proportional rate reduction (RFC 9937): how fast to send while a loss is being repaired.

Without it a sender falls silent until half a window has drained and then bursts. With it each
ACK releases a share of what it acknowledged, so that the window arrives at its new size just when
the recovery ends.
"""

from __future__ import annotations


class ProportionalRateReduction:
    """One recovery of one subflow; all sizes in bytes."""

    __slots__ = ("_delivered", "_flight", "_mss", "_out", "_target", "window")

    def __init__(self, *, flight: int, target: int, mss: int) -> None:
        """`flight` was in flight when the loss was found, `target` is the window to end with."""
        self._flight = max(flight, 1)
        self._target = target
        self._mss = mss
        self._delivered = 0
        self._out = 0
        self.window = 0
        """What in_flight may be now."""

    def on_ack(self, *, delivered: int, in_flight: int, safe: bool) -> None:
        """Some ACKs came; `safe` says that they advanced and showed no further loss (section 5)."""
        self._delivered += delivered
        if in_flight > self._target:
            allowed = -(-self._delivered * self._target // self._flight) - self._out
        else:
            allowed = max(self._delivered - self._out, delivered)
            if safe:
                allowed += self._mss
            allowed = min(self._target - in_flight, allowed)
        if self._out == 0:
            allowed = max(allowed, self._mss)  # the fast retransmit itself
        self.window = in_flight + max(allowed, 0)

    def on_sent(self, size: int) -> None:
        """`size` bytes left on this subflow."""
        self._out += size
