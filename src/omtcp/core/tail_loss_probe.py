"""Tail loss probes (RFC 8985 section 7), per subflow, over another path when there is one.

When the last of what was sent is lost, nothing overtakes it and only a timer can tell. The probe
repeats a segment before the retransmission timer would. Over another path it is a comparison at
the same time: if the answer to it comes, the path that stays silent is at fault (see `silence`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omtcp.core.config import MILLISECOND

if TYPE_CHECKING:
    from omtcp.core.scoreboard import Send
    from omtcp.core.subflow import Subflow


GRACE_NS = 10 * MILLISECOND
"""Beyond two round trips: what a receiver may take, and a late timer of ours."""


def timeout_at(subflow: Subflow) -> int | None:
    """When a probe is due (section 7.2): two round trips without an answer, None for never.

    The answer to a lone segment may be delayed. A probe is no use beside a timeout.
    """
    oldest = subflow.oldest()
    rtt = subflow.rtt
    if oldest is None or subflow.timeouts or not rtt.has_sample:
        return None
    return max(subflow.prompted_at(oldest), subflow.heard_at) + 2 * rtt.srtt_ns + GRACE_NS


class TailLossProbe:
    """One probe, from when it leaves until it is known what it repaired (section 7.4)."""

    __slots__ = ("_answered", "_copy", "_positions")

    def __init__(self, copy: Send | None, start: int, end: int) -> None:
        """`copy` repeats what the subflow has at positions [start, end)."""
        self._copy = copy
        self._positions = start, end
        self._answered = False

    @property
    def pending(self) -> bool:
        """Whether something is to be learnt about a probe."""
        return self._copy is not None

    def on_dsack(self, start: int, end: int) -> None:
        """Both copies of [start, end) arrived: if the probe's, nothing was lost (section 7.4.2)."""
        copy = self._copy
        if copy is not None and start < copy.end and copy.start < end:
            self._copy = None

    def on_credit(self, send: Send) -> tuple[int, int] | None:
        """A byte that `send` carried arrived; if that says what the probe repaired, its positions.

        The probe's bytes may have been the original's. If so, a DSACK names them by the time that
        the probe's path is acknowledged for something newer (section 7.4.2).
        """
        copy = self._copy
        if copy is None:
            return None
        if send is copy:
            self._answered = True
        elif self._answered and send.subflow is copy.subflow and send.position > copy.position:
            self._copy = None
            return self._positions
        return None


NO_PROBE = TailLossProbe(None, 0, 0)
"""Where none was ever needed."""
