"""How fast a path delivers, measured from its acknowledgments.

A sample is what was delivered between the last delivery before a transmission and that
transmission's own, over the time between the two (Cheng et al., "Delivery Rate Estimation",
draft-cheng-iccrg-delivery-rate-estimation). A path that is never filled shows less than it could
do, so the largest sample of the last few round trips counts.
"""

from __future__ import annotations

from omtcp.core.config import MILLISECOND, SECOND

WINDOW_ROUND_TRIPS = 5
WINDOW_LEAST_NS = 200 * MILLISECOND


class DeliveryRate:
    """The largest sample of one to two windows of time, in bytes per second."""

    __slots__ = ("_before", "_best", "_turned_at", "delivered_at")

    def __init__(self) -> None:
        self._best = 0
        self._before = 0
        self._turned_at = 0
        self.delivered_at = 0
        """When something was last delivered; or sent, if nothing was under way."""

    @property
    def value(self) -> int:
        """Bytes per second; 0 before any sample."""
        return max(self._best, self._before)

    def on_sample(self, now: int, delivered: int, elapsed_ns: int, srtt_ns: int) -> None:
        """`delivered` bytes arrived within `elapsed_ns`."""
        rate = delivered * SECOND // max(elapsed_ns, 1)
        if now - self._turned_at > max(WINDOW_ROUND_TRIPS * srtt_ns, WINDOW_LEAST_NS):
            self._before, self._best = self._best, 0
            self._turned_at = now
        self._best = max(self._best, rate)
