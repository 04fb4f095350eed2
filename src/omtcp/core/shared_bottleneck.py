"""Which paths share a bottleneck, told from how their delays move (in the spirit of RFC 8382).

Packets that pass one queue at one moment wait equally long. All ACKs come back by one way, so what
is left of the difference between two paths' round trips is the difference of their queues. Per
path the shortest round trip of a *base interval* is taken, since an ACK may be delayed but never
hastened, and of that the part e that the last few intervals do not explain. Two paths *agree* by

    1 - Σ (e_i - e_j)² / Σ (e_i² + e_j²)

which is 1 for one queue, about 0 for queues that have nothing to do with each other, and less for
queues in opposition. Unlike a correlation it wants the same milliseconds, not just the same shape.

Equal links that are used alike agree as well, as long as their windows happen to rise and fall in
step. So agreement is a suspicion only. The windows of suspects are then used and grow by turns (see
`turn`): the delays of separate paths part company at once, those of one queue go on agreeing,
whoever fills it.
Only what was seen under that condition makes a verdict. Then one of them carries data and the
others rest, and the pings that go over these show whether its queue is theirs: if their delays no
longer agree, the verdict falls, and another one of the same pair takes twice the evidence. Left out
are slow start, whose delays rise everywhere, and intervals in which both windows were being cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from math import inf, sqrt

from omtcp.core.config import MILLISECOND
from omtcp.core.subflow import Subflow
from omtcp.trace.events import BottlenecksJudged, Event

INTERVAL_LEAST_NS = 25 * MILLISECOND
"""Base interval, at the least; otherwise a part of the round trip, from a half to a quarter."""
SAMPLED_SEGMENTS = 8
"""What the smallest window should send in it: acknowledged two by two that is a few samples, and
the shortest is not one that came late for want of a second segment."""
LARGEST_PART = 2
SMALLEST_PART = 4
INTERVAL_MOST_NS = 200 * MILLISECOND
EXPLAINED = 1 / 8
"""Weight of an interval in the mean that is subtracted; what is slower tells little."""
MEMORY = 119 / 120
"""What an interval's evidence is worth one interval later: some three seconds at the least."""
TURN_INTERVALS = 12
"""Length of a turn of growth."""

SUSPICIOUS = 0.7
SUSPICION_COUNT = 10
AGREEING = 0.8
VERDICT_COUNT = 24
APART = 0.5
REVISION_COUNT = 48
CAUTION_MOST = 5
"""How often at most the evidence for a verdict doubles."""
SIGNAL_NS = 0.6 * MILLISECOND
"""Delays that move less, as a root mean square, tell nothing: timers and batches move as much."""
OUTLIER = 2.0
"""How many times the root mean square a single deviation may count."""
BOUND_COUNT = 5


class Verdict(Enum):
    """What is thought of two paths."""

    APART = "apart"
    SUSPECTED = "suspected"
    SHARED = "shared"


@dataclass(slots=True)
class _Pair:
    """What two paths' delays had in common."""

    means: list[float] | None = None
    """What was expected of each; None where a look begins."""
    turn: bool | None = None
    """Of the first, in the last interval."""
    power: float = 0.0
    """Σ (e_i² + e_j²), old evidence fading."""
    difference: float = 0.0
    """Σ (e_i - e_j)²."""
    count: float = 0.0
    seen: int = 0
    """Intervals since the last verdict, those that are forgotten as well."""
    verdict: Verdict = Verdict.APART
    reason: float = 0.0
    """The agreement that led to the verdict."""
    revisions: int = 0
    """How often it was found to be wrong that they share."""

    @property
    def agreement(self) -> float:
        """From 1 for one queue to -1 for opposition; 0 without evidence."""
        return 1 - self.difference / self.power if self.power else 0.0

    def observe(self, first: float, second: float) -> None:
        """An interval in which the paths' round trips were so long."""
        if self.means is None:
            self.means = [first, second]
            return
        bound = self._bound()
        a = max(-bound, min(first - self.means[0], bound))
        b = max(-bound, min(second - self.means[1], bound))
        self.means[0] += a * EXPLAINED
        self.means[1] += b * EXPLAINED
        self.power = self.power * MEMORY + a * a + b * b
        self.difference = self.difference * MEMORY + (a - b) ** 2
        self.count = self.count * MEMORY + 1
        self.seen += 1

    def _bound(self) -> float:
        """What is beyond counts as this much: the ACK of a lone segment may be 40 ms late."""
        if self.count < BOUND_COUNT:
            return inf
        return OUTLIER * max(sqrt(self.power / (2 * self.count)), SIGNAL_NS)

    def judge(self) -> bool:
        """Whether the verdict changed."""
        if self.verdict is Verdict.APART:
            suspicious = self.count >= SUSPICION_COUNT and self.agreement >= SUSPICIOUS
            return suspicious and self._telling and self._find(Verdict.SUSPECTED)
        if self.verdict is Verdict.SUSPECTED:
            if self.count < VERDICT_COUNT or not self._telling:
                return False
            if self.agreement < APART:
                return self._find(Verdict.APART)
            enough = self.seen >= VERDICT_COUNT << min(self.revisions, CAUTION_MOST)
            return enough and self.agreement >= AGREEING and self._find(Verdict.SHARED)
        if self.count < REVISION_COUNT or self.agreement >= APART or not self._telling:
            return False
        self.revisions += 1
        return self._find(Verdict.APART)

    @property
    def _telling(self) -> bool:
        return self.power > 2 * self.count * SIGNAL_NS**2

    def _find(self, verdict: Verdict) -> bool:
        """Always True; the next verdict wants evidence of its own."""
        self.verdict = verdict
        self.reason = self.agreement
        self.power = self.difference = self.count = 0.0
        self.seen = 0
        return True


@dataclass(slots=True)
class SharedBottlenecks:
    """Groups the subflows of one connection; constant memory, little work per round trip."""

    subflows: list[Subflow]
    report: Callable[[Event], None] | None = None
    groups: list[list[Subflow]] = field(default_factory=list)
    """Each subflow in one group, alone if it shares no bottleneck; in path order."""
    _shortest: dict[Subflow, int] = field(default_factory=dict)
    """Of the present interval; those without a sample are missing."""
    _pairs: dict[tuple[Subflow, Subflow], _Pair] = field(default_factory=dict)
    _ends_at: int = 0
    _interval_ns: int = INTERVAL_LEAST_NS
    _suspects: set[Subflow] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.groups = [[subflow] for subflow in self.subflows]

    def on_sample(self, now: int, subflow: Subflow, rtt_ns: int) -> None:
        """A round trip was measured."""
        if now >= self._ends_at:
            self._end_interval(now)
        shortest = self._shortest
        if rtt_ns < shortest.get(subflow, rtt_ns + 1):
            shortest[subflow] = rtt_ns

    def add(self, subflow: Subflow) -> None:
        """One more subflow, about which nothing is known."""
        self.groups.append([subflow])

    def forget(self, subflow: Subflow) -> None:
        """A subflow that is gone."""
        self._pairs = {pair: known for pair, known in self._pairs.items() if subflow not in pair}
        self._shortest.pop(subflow, None)
        self._regroup()

    def turn(self, now: int, subflow: Subflow) -> bool | None:
        """Whether it is the turn of a suspect to grow; None for a path that nobody suspects.

        Paths take turns in patterns of which any two differ half of the time or always.
        """
        if subflow not in self._suspects:
            return None
        slot = now // (TURN_INTERVALS * self._interval_ns)
        carriers = [other for other in self.subflows if other is subflow or not other.resting]
        rank = carriers.index(subflow)
        odd = (slot & (rank // 2 + 1)).bit_count() % 2
        return bool(odd ^ rank % 2)

    def agreement(self, first: Subflow, second: Subflow) -> float:
        """How well two paths agree; 0 for those never compared."""
        pair = self._pairs.get((first, second)) or self._pairs.get((second, first))
        return pair.agreement if pair else 0.0

    def _end_interval(self, now: int) -> None:
        changed = False
        for first, second in combinations(self.subflows, 2):
            pair = self._pairs.get((first, second))
            if pair is None:
                pair = self._pairs[first, second] = _Pair()
            if self._comparable(now, first, second, pair):
                if first in self._shortest and second in self._shortest:
                    pair.observe(self._shortest[first], self._shortest[second])
                    changed |= pair.judge()
            else:
                pair.means = None
        if changed:
            self._regroup()
        self._shortest.clear()
        self._interval_ns = min(max(self._sampling_ns(), INTERVAL_LEAST_NS), INTERVAL_MOST_NS)
        self._ends_at = now + self._interval_ns

    def _sampling_ns(self) -> int:
        """From a quarter to a half of the nearest path's round trip, by the smallest window."""
        nearest = min(flow.rtt.srtt_ns for flow in self.subflows if flow.rtt.has_sample)
        windows = [flow.controller.cwnd // flow.mss for flow in self.subflows if not flow.resting]
        parts = min(max(min(windows) / SAMPLED_SEGMENTS, LARGEST_PART), SMALLEST_PART)
        return int(nearest / parts)

    def _comparable(self, now: int, first: Subflow, second: Subflow, pair: _Pair) -> bool:
        """Whether their delays say something: not while both rise or fall by our own doing."""
        if not (first.usable and second.usable):
            return False
        if first.resting or second.resting:  # those that rest are compared with who carries
            carrier, other = (first, second) if second.resting else (second, first)
            return other.carrier is carrier and not carrier.controller.in_slow_start
        if first.controller.in_slow_start or second.controller.in_slow_start:
            return False
        if first.in_recovery and second.in_recovery:
            return False
        turn = self.turn(now, first)
        same, pair.turn = pair.turn is turn, turn
        if pair.verdict is not Verdict.SUSPECTED:
            return pair.verdict is Verdict.APART
        return same and self.turn(now, second) is not turn

    def _regroup(self) -> None:
        self._suspects = {
            subflow
            for pair, evidence in self._pairs.items()
            if evidence.verdict is Verdict.SUSPECTED
            for subflow in pair
        }
        before = self.groups
        groups: list[list[Subflow]] = []
        for subflow in self.subflows:
            apart = [g for g in groups if not any(self._shared(other, subflow) for other in g)]
            joined = [member for g in groups if g not in apart for member in g]
            groups = [*apart, sorted([*joined, subflow], key=lambda member: member.index)]
        self.groups = sorted(groups, key=lambda group: group[0].index)
        if self.groups != before and self.report:
            self.report(
                BottlenecksJudged(
                    tuple(tuple(subflow.index for subflow in group) for group in self.groups),
                    tuple(self._least_agreement(group) for group in self.groups),
                )
            )

    def _shared(self, first: Subflow, second: Subflow) -> bool:
        pair = self._pairs.get((first, second))
        return pair is not None and pair.verdict is Verdict.SHARED

    def _least_agreement(self, group: Sequence[Subflow]) -> float:
        pairs = [pair for pair in combinations(group, 2) if self._shared(*pair)]
        return min((self._pairs[pair].reason for pair in pairs), default=1.0)
