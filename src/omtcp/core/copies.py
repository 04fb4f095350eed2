"""Which copy of a range was answered, when it was sent more than once.

Nothing in an acknowledgment says so. What tells is time: an answer that came faster than its path
can be is that of a copy before (the idea of RFC 3522, without timestamps).

How fast a path can be is only what was seen of it. A path that was measured once, while the host
was late, and that since then has carried nothing but repetitions, would never be measured again
(Karn's rule, RFC 6298 section 3), and all that it delivers would be credited to the path whose data
it repeats, be that dead. So after a few answers in a row that came too early, each to something
sent after the one before and all after about the same time, it is the measurement that is not
believed any more. Answers to earlier copies come at any time; those to this one take its path's.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from omtcp.core.losses import Kind
from omtcp.core.scoreboard import Send

ROUNDS = 3
"""Early answers in a row that are taken for those of earlier copies."""
ALIKE = 1.5
"""By what factor their round trips may differ to be those of one path."""


class Streak(NamedTuple):
    """Early answers in a row, and how long after their copies they came, ns."""

    rounds: int
    last_at: int
    shortest: int
    longest: int

    def joined_by(self, now: int, rtt_ns: int) -> Streak:
        """Another one came; it begins a new streak if it is not like the others."""
        shortest, longest = min(self.shortest, rtt_ns), max(self.longest, rtt_ns)
        if longest > ALIKE * shortest:
            return Streak(1, now, rtt_ns, rtt_ns)
        return Streak(self.rounds + 1, now, shortest, longest)


_NOTHING: Final[dict[int, Streak]] = {}
"""What most remember for all their life; nothing is ever put into it."""


class Copies:
    """Attributes answers to copies; remembers of each path how often they came too early."""

    __slots__ = ("_early",)

    def __init__(self) -> None:
        self._early = _NOTHING

    def carrier(self, now: int, send: Send, end: int) -> Send:
        """Which of the copies of a range that ends at `end` was answered, the last being `send`.

        Where a range was sent again without being lost, it is that of the copy for which the
        answer came most timely.
        """
        carrier = send
        while (origin := send.origin) is not None and end <= origin.end:
            if carrier is send and self._is_early(now, send):
                carrier = origin
            elif origin.lost_by != Kind.REINJECTED:
                break
            elif _untimely(now, origin) < _untimely(now, carrier):
                carrier = origin
            send = origin
        return carrier

    def _is_early(self, now: int, send: Send) -> bool:
        """Whether an answer that comes now is too early for `send`, as far as its path is known."""
        subflow = send.subflow
        rtt_ns = now - send.sent_at
        if rtt_ns >= subflow.rtt.min_rtt_ns * 3 // 4:
            self._early.pop(subflow.index, None)
            return False
        streak = self._early.get(subflow.index)
        if streak is not None and send.sent_at < streak.last_at:
            return True
        origin = send.origin
        if origin is None or origin.subflow is subflow:
            return True  # whichever was answered, the path is alive
        if origin.lost_by == Kind.REINJECTED:
            return True  # that one was never lost, and may well arrive
        streak = streak.joined_by(now, rtt_ns) if streak else Streak(1, now, rtt_ns, rtt_ns)
        if streak.rounds <= ROUNDS:
            self._early = {**self._early, subflow.index: streak}
            return True
        del self._early[subflow.index]
        subflow.rtt.on_sample(now, rtt_ns)
        return False


def _untimely(now: int, send: Send) -> int:
    """How far an answer that comes now is from what `send` could expect, ns."""
    return abs(now - send.sent_at - send.subflow.rtt.srtt_ns)
