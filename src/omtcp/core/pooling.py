"""All paths at once, but never slower than the best of them: the anchor and the guard.

The *anchor* is the path that would carry most if it were alone, bounded by what the receive window
allows at its distance. It is filled first; the scheduler gives the others what will be there in
time. That is a forecast. The *guard* compares what came of it with what the anchor alone would
have given, and when pooling does not pay it leaves the others out, all but their pings: first for
two seconds, then ever longer. If the anchor alone turns out to be no better, pooling was not to
blame, and the guard is slower to judge the next time.

A path that the scheduler leaves out, as too slow for the window or for what it adds, or that costs
the others more than it brings (`blocking`), is told to the trace as well, and given another chance
from time to time: it may have become better unseen.
"""

from __future__ import annotations

from collections.abc import Callable

from omtcp.core.blocking import Blocking
from omtcp.core.config import MILLISECOND, SECOND
from omtcp.core.scheduler import Refusal, in_order
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event, PoolChanged

LOOK_NS = 10 * MILLISECOND
"""Between two looks at who is the anchor."""
BETTER = 1.1
"""By what factor another path must be better to become the anchor."""

WATCH_NS = 500 * MILLISECOND
WATCH_ROUND_TRIPS = 4
"""How long goodput is measured before it is judged."""
WORSE = 0.9
"""Part of what the anchor alone would carry below which pooling does not pay."""
STRIKES = 2
"""Judgements in a row that end it."""
CONVINCING = 1.03
"""By what factor the anchor alone must be better afterwards, for the guard to have been right."""
ALONE_FIRST_NS = 2 * SECOND
ALONE_MOST_NS = 64 * SECOND

RESTING = "bottleneck"
"""The reason told for a path that is left out as it shares the bottleneck of another."""

CHANCE_FIRST_NS = 10 * SECOND
CHANCE_RAREST_NS = 80 * SECOND
CHANCE_NS = SECOND
CHANCE_ROUND_TRIPS = 5
"""A path that was left out as not worth it is tried again so seldom, and for so long."""


class Pool:
    """Orders the paths of one connection that uses all of them."""

    def __init__(
        self,
        subflows: list[Subflow],
        first: Subflow,
        board: Scoreboard,
        report: Callable[[Event], None] | None,
    ) -> None:
        """`subflows` may change in place; `first` is the path of the handshake."""
        self._subflows = subflows
        self.blocking = Blocking(board)
        self._report = report
        self._anchor = first
        self._looked_at = 0
        self._members: tuple[int, ...] = ()
        self._candidates: tuple[int, ...] = ()
        # The guard: a measurement under way, and what came of the last ones.
        self._since: int | None = None
        self._una = 0
        self._bound = 0.0
        self._strikes = 0
        self._needed = STRIKES
        self._goodput = 0.0
        """Of pooling, when the guard ended it."""
        self._alone_until: int | None = None
        self._alone_ns = ALONE_FIRST_NS
        self._chances: dict[int, tuple[int, int]] = {}
        """Per path left out: when its next chance begins, and how long it then waits for one."""

    @property
    def anchor(self) -> Subflow:
        """The path that is filled first; another one at once if it was drained or removed."""
        if self._anchor.drained:
            open_ones = [subflow for subflow in self._subflows if not subflow.drained]
            if open_ones:
                self._anchor = max(open_ones, key=lambda subflow: self.alone(subflow, 1 << 40))
            elif self._anchor not in self._subflows:
                self._anchor = self._subflows[0]
        return self._anchor

    @anchor.setter
    def anchor(self, subflow: Subflow) -> None:
        self._anchor = subflow

    @property
    def guarded(self) -> bool:
        """Whether the guard has left everything to the anchor."""
        return self._alone_until is not None

    def paths(self) -> list[Subflow]:
        """The usable paths, the anchor first; the anchor alone while the guard wants it so.

        Those that rest are left out.
        """
        if self.guarded and self.anchor.usable and not self.anchor.timeouts:
            return [self.anchor]
        paths = in_order(self._subflows, self.anchor)
        return [path for path in paths if not path.resting] or paths

    def on_ack(self, now: int, *, una: int, window_size: int, hungry: bool) -> None:
        """Something was acknowledged, up to `una`; `hungry` says that there is more to send."""
        if self.blocking.over:
            self.blocking.settle(now, self.anchor, self.alone(self.anchor, window_size))
        if now - self._looked_at < LOOK_NS:
            return
        self._looked_at = now
        self.blocking.on_window(window_size)
        self._choose(window_size)
        if not hungry or len(self._subflows) < 2:
            self._since = None
            return
        if self._since is None:
            self._begin(now, una)
        self._bound = min(self._bound, self.alone(self.anchor, window_size))
        assert self._since is not None
        if now - self._since >= self._watch_ns():
            self._judge(now, (una - self._una) * SECOND / (now - self._since))
            self._tell(now)
            self._begin(now, una)

    @staticmethod
    def alone(subflow: Subflow, window_size: int) -> float:
        """Bytes per second that a path would carry alone, as far as is known; 0 if unusable."""
        if not subflow.usable or subflow.resting or not subflow.rtt.has_sample:
            return 0.0
        rate = subflow.rate.value or subflow.controller.cwnd * SECOND // subflow.rtt.srtt_ns
        return min(rate, window_size * SECOND / max(subflow.rtt.recent_min_rtt_ns, 1))

    def _choose(self, window_size: int) -> None:
        best = max(self._subflows, key=lambda subflow: self.alone(subflow, window_size))
        current = self.alone(self.anchor, window_size)
        if (
            not self.anchor.usable
            or self.anchor.resting
            or self.alone(best, window_size) > BETTER * current
        ):
            if best is not self.anchor:
                self._since = None
            self.anchor = best

    # The guard

    def _begin(self, now: int, una: int) -> None:
        self._since, self._una, self._bound = now, una, float("inf")

    def _watch_ns(self) -> int:
        slowest = max(subflow.rtt.srtt_ns for subflow in self._subflows)
        return max(WATCH_NS, WATCH_ROUND_TRIPS * slowest)

    def _judge(self, now: int, goodput: float) -> None:
        """Compare `goodput`, bytes per second, with what the anchor alone would have carried."""
        if self._alone_until is not None:
            if now >= self._alone_until:
                self._resume(goodput)
            return
        self._strikes = self._strikes + 1 if goodput < WORSE * self._bound else 0
        if self._strikes >= self._needed and len(self._members) > 1:
            self._strikes = 0
            self._goodput = goodput
            self._alone_until = now + self._alone_ns
            self._alone_ns = min(2 * self._alone_ns, ALONE_MOST_NS)
            self._change((self.anchor.index,), "goodput")

    def _resume(self, goodput: float) -> None:
        self._alone_until = None
        right = goodput > CONVINCING * self._goodput
        self._needed = STRIKES if right else min(2 * self._needed, 16 * STRIKES)
        self._change(tuple(path.index for path in in_order(self._subflows, None)), "retry")

    # Who takes part

    def _tell(self, now: int) -> None:
        """Trace who carries data, when that has been so for two looks, and give chances."""
        if self.guarded:
            return
        members, refusals = [], []
        for subflow in self._subflows:
            if not subflow.usable:
                refusals.append(str(subflow.state))
            elif subflow.resting:
                refusals.append(RESTING)
            elif subflow is not self.anchor and subflow.refusal:
                refusals.append(subflow.refusal)
                if subflow.refusal == Refusal.DELAY:
                    self._give_chance(now, subflow)
            else:
                members.append(subflow.index)
        found = tuple(members)
        if found == self._candidates and found != self._members:
            self._change(found, refusals[0] if refusals else "all")
        self._candidates = found

    def _give_chance(self, now: int, subflow: Subflow) -> None:
        at, wait_ns = self._chances.get(subflow.index, (now + CHANCE_FIRST_NS, CHANCE_FIRST_NS))
        if now >= at:
            lasts_ns = max(CHANCE_NS, CHANCE_ROUND_TRIPS * subflow.rtt.srtt_ns)
            subflow.chance_until = now + lasts_ns
            wait_ns = min(2 * wait_ns, CHANCE_RAREST_NS)
            at = now + lasts_ns + wait_ns
        self._chances[subflow.index] = (at, wait_ns)

    def _change(self, members: tuple[int, ...], reason: str) -> None:
        if members != self._members:
            self._members = members
            if self._report:
                self._report(PoolChanged(members, reason))
