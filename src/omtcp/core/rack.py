"""RACK: losses found by time, in the order of sending (RFC 8985), one state per subflow.

"Order of sending" is the order of a subflow's positions, so the algorithm works within each path
and never sees the reordering between them. A retransmission has a position of its own, behind
everything sent on its path before it; that is how one that is lost in turn is found.

A transmission is lost when one sent after it on the same path was delivered and the reordering
window has passed since its answer was due. The window adapts: nothing while the path has shown no
reordering and enough has been delivered out of order, otherwise a quarter of the least round trip,
and another quarter for each round trip in which a retransmission proved needless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omtcp.core.subflow import Subflow

DUPLICATE_SEGMENTS = 2
"""More than so many segments out of order are enough (DupThresh of RFC 8985, P3 of the paper)."""
WINDOW_DIVISOR = 4
"""The reordering window grows in steps of min_RTT / 4 (section 6.2, step 4)."""
PERSISTENCE = 16
"""Recoveries without a DSACK after which a window that has grown is reset (section 6.2, step 4)."""


class Rack:
    """What RACK remembers of one subflow. Times in ns, places as positions of the subflow."""

    __slots__ = (
        "_before",
        "_end",
        "_fack",
        "_multiplier",
        "_persist",
        "_round_end",
        "reordering_seen",
        "rtt_ns",
    )

    def __init__(self) -> None:
        self.rtt_ns = 0
        """RACK.rtt: of the transmission sent last of all that were delivered."""
        self.reordering_seen = False
        """RACK.reordering_seen"""
        self._end = 0
        """RACK.end_seq: where that transmission ended."""
        self._fack = 0
        """RACK.fack: the highest position delivered."""
        self._before = 0
        """The same, as of the ACK before: what one ACK tells has no order."""
        self._multiplier = 1
        """RACK.reo_wnd_mult"""
        self._persist = 0
        """RACK.reo_wnd_persist"""
        self._round_end: int | None = None
        """RACK.dsack_round"""

    def on_delivered(
        self, now: int, sent_at: int, start: int, end: int, *, again: bool, min_rtt_ns: int
    ) -> None:
        """Positions [start, end), sent at `sent_at`, arrived (section 6.2, steps 1 to 3).

        `again` marks a retransmission: faster than the path can be, the answer is the first
        copy's. Late arrivals below what an earlier ACK reached show that the path reorders.
        """
        if end <= self._before and not again:
            self.reordering_seen = True
        self._fack = max(self._fack, end)
        rtt_ns = now - sent_at
        if end > self._end and not (again and rtt_ns < min_rtt_ns):
            self._end = end
            self.rtt_ns = rtt_ns

    def end_ack(self) -> None:
        """All that one ACK delivered has been told."""
        self._before = self._fack

    def window_ns(self, subflow: Subflow) -> int:
        """The reordering window (section 6.2, step 4)."""
        if not self.reordering_seen and (
            subflow.in_recovery or subflow.order.islands.total > DUPLICATE_SEGMENTS * subflow.mss
        ):
            return 0
        rtt = subflow.rtt
        least = rtt.recent_min_rtt_ns or rtt.min_rtt_ns
        return min(max(self._multiplier * least // WINDOW_DIVISOR, 1), rtt.srtt_ns)

    def on_dsack(self, subflow: Subflow) -> None:
        """A retransmission of this path's data proved needless (section 6.2, step 4).

        Once per round trip only: what the present window caused must not widen the next.
        """
        if self._round_end is None or subflow.order.edge >= self._round_end:
            self._round_end = subflow.position
            self._multiplier += 1
            self._persist = PERSISTENCE

    def on_recovery_end(self) -> None:
        """A recovery is over: after enough of them without a DSACK the window is reset."""
        self._persist -= 1
        if self._persist <= 0:
            self._multiplier = 1

    def overdue_at(self, subflow: Subflow) -> int | None:
        """When the oldest transmission below one delivered later is lost (section 6.2, step 5)."""
        oldest = subflow.oldest()
        if oldest is None or oldest.position >= subflow.order.top:
            return None
        return oldest.sent_at + self._allowance(subflow)

    def lost_below(self, now: int, subflow: Subflow) -> int:
        """The position below which all that is outstanding is lost; 0 when nothing is.

        All of it at once: were it one transmission at a time, the next would be due already.
        """
        top = subflow.order.top
        below = 0
        sent_before = now - self._allowance(subflow)
        for send in subflow.sends:
            if send.position >= top or send.sent_at > sent_before:
                break
            below = send.position + send.end - send.start
        return min(below, top)

    def _allowance(self, subflow: Subflow) -> int:
        rtt_ns = self.rtt_ns if self._end else subflow.rtt.srtt_ns
        return rtt_ns + self.window_ns(subflow)
