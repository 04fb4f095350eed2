"""Which subflow is the primary (P9).

The paper compares MSS·LC/RTT. Taken literally that misleads: a subflow that carries next to
nothing sees next to no loss and an empty queue, so it always looks better than the one at work,
and the primary flips to whatever is idle. The rule `capacity` therefore compares what each path
has been *seen to deliver* while its window, not data or the receive window, was the limit, bounded
by what the receive window allows at the path's unloaded RTT:

    merit_i = min(potential_i, receive window / min RTT_i)

It moves for a merit a fifth better, or for an equal one at a clearly lower RTT, twice in a row; for
less it wants to see the difference longer. After a move that had to be taken back it hesitates
longer. What a standby path could deliver shows in its auditions (see `budget`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omtcp.core import budget
from omtcp.core.config import (
    MILLISECOND,
    SECOND,
    Config,
    LossCorrection,
    Mode,
    PrimaryRule,
)
from omtcp.core.congestion.loss_correction import InverseLoss, cubic_like
from omtcp.core.costs import worth_their_cost
from omtcp.core.subflow import Subflow
from omtcp.trace.events import Event, PathChosen

BETTER = 1.2
"""By how much a merit must exceed the primary's, for a move after two evaluations."""
SLIGHTLY_BETTER = 1.06
"""The same, for a move after many evaluations."""
TRIED = 3
"""Evaluations at work after which a path's delivery speaks for itself."""
PATIENCE = 2
LONG_PATIENCE = 8
DECISIVE = 2.0
"""A merit that ends all hesitation."""
EQUAL = 0.95
"""From what part of the primary's merit on a lower RTT decides."""
NEARER = 0.8
"""A clearly lower RTT, as a part of the primary's."""
DWELL_NS = SECOND
DWELL_AFTER_CHOICE_NS = 5 * SECOND
DWELL_MAX_NS = 30 * SECOND


@dataclass(slots=True)
class Record:
    """What is remembered of one path; its subflow has it, from its first delivery on."""

    loss: InverseLoss | None = None
    """For the rule that asks for it."""
    delivered: int = 0
    rate: float = 0.0
    """Bytes per second delivered since the last evaluation."""
    tried: int = 0
    """Evaluations it was the primary at, with data waiting: what it delivers is known then."""
    potential: float = 0.0
    """Bytes per second it is believed to be able to deliver; 0 when never loaded."""


class PrimaryChooser:
    """Chooses the primary at each evaluation and has the growth budget dealt out accordingly."""

    __slots__ = (
        "_came_from",
        "_config",
        "_dwell_ns",
        "_evaluated_at",
        "_favourite",
        "_moved_at",
        "_random",
        "_report",
        "_streak",
        "_subflows",
        "primary",
    )

    def __init__(
        self,
        config: Config,
        subflows: list[Subflow],
        first: Subflow,
        random: Callable[[], float],
        report: Callable[[Event], None] | None,
    ) -> None:
        self._config = config
        self._subflows = subflows
        self._random = random
        self._report = report
        self.primary = first
        self._evaluated_at: int | None = None
        self._moved_at = 0
        self._came_from: Subflow | None = None
        self._dwell_ns = DWELL_NS
        self._favourite: Subflow | None = None
        self._streak = 0
        """Evaluations in a row that found the favourite better."""

    def add(self, subflow: Subflow) -> None:
        """One more subflow among those to choose from."""

    def on_company(self, window_size: int) -> None:
        """The others joined the first subflow: they grow as they would had they been there."""
        if self._evaluated_at is not None:
            self.grow(self._evaluated_at, window_size)

    def forget(self, subflow: Subflow) -> None:
        """A subflow that is no longer among those to choose from."""
        if self.primary is subflow:  # no other could be used either
            self.primary = self._subflows[0]

    @property
    def _literal_rule(self) -> bool:
        return self._config.primary_rule is PrimaryRule.LITERAL

    @property
    def settled(self) -> bool:
        """Whether the primary has shown what it can do; before, it is a guess."""
        tried = record_of(self.primary).tried
        return tried >= TRIED or (tried >= TRIED - 1 and self.primary.has_met_its_limit)

    def next_interval_ns(self) -> int:
        """Time to the next evaluation, randomised so that connections do not move in step (P9)."""
        return int(self._config.primary_interval_ns * (0.8 + 0.4 * self._random()))

    def on_delivered(self, subflow: Subflow, size: int) -> None:
        """`size` more bytes of `subflow` arrived; for the loss estimate (P8)."""
        if self._literal_rule:
            loss_of(subflow).on_delivered(size)

    def on_loss(self, subflow: Subflow) -> None:
        """A congestion event on `subflow`."""
        if self._literal_rule:
            loss_of(subflow).on_loss()

    def evaluate(self, now: int, *, window_size: int, hungry: bool) -> None:
        """Measure, choose, and set each subflow's share of the growth budget."""
        if self._evaluated_at is None:  # a connection is first evaluated after an interval
            self._evaluated_at = now - self._config.primary_interval_ns
        elapsed = now - self._evaluated_at
        self._evaluated_at = now
        if elapsed <= 0 or not self._delivering():
            return
        for subflow in self._subflows:
            self._measure(subflow, elapsed / SECOND, hungry)
        eligible = self._config.mode is Mode.PRIMARY and len(self._subflows) > 1
        if eligible and (hungry or not self.primary.usable):
            self._choose(now, window_size)
        self.grow(now, window_size)

    def _delivering(self) -> bool:
        """Whether anything arrived since the last evaluation.

        If not, all paths or the way back are cut, which says nothing about who is better.
        """
        return any(subflow.delivered > record_of(subflow).delivered for subflow in self._subflows)

    def _measure(self, subflow: Subflow, seconds: float, hungry: bool) -> None:
        """Learn from what was delivered; `hungry` says that there was always more to send."""
        record = record_of(subflow)
        rate = record.rate = (subflow.delivered - record.delivered) / seconds
        record.delivered = subflow.delivered
        at_work = subflow is self.primary
        if at_work and hungry:
            record.tried += 1
        if rate >= record.potential:
            record.potential = rate
        elif hungry and (at_work or (subflow.limited and subflow.growth > 0)):
            record.potential += (rate - record.potential) / 2

    def merits(self, window_size: int) -> list[float]:
        """The merit of each subflow, in path order; 0 for an unusable one."""
        if self._literal_rule:
            return [self._literal(subflow) for subflow in self._subflows]
        return [self._capacity(subflow, window_size) for subflow in self._subflows]

    def _literal(self, subflow: Subflow) -> float:
        """MSS·LC/RTT (eq. 2)."""
        if not subflow.usable or not subflow.rtt.srtt_ns:
            return 0.0
        return subflow.mss * self._loss_correction(subflow) / subflow.rtt.srtt_ns * SECOND

    def _loss_correction(self, subflow: Subflow) -> float:
        """LC, in segments (P8)."""
        if self._config.loss_correction is LossCorrection.INVERSE_LOSS:
            return loss_of(subflow).segments(subflow.mss)
        controller = subflow.controller
        return cubic_like(cwnd=controller.cwnd, ssthresh=controller.ssthresh, mss=subflow.mss)

    def _capacity(self, subflow: Subflow, window_size: int) -> float:
        if not subflow.usable or not subflow.rtt.has_sample:
            return 0.0
        allowed = window_size * SECOND / self._rtt(subflow)
        record = record_of(subflow)
        if subflow is self.primary or record.tried >= TRIED or subflow.has_met_its_limit:
            return min(record.potential, allowed)
        if not self.settled:
            return min(max(record.potential, record_of(self.primary).potential), allowed)
        return allowed

    @staticmethod
    def _rtt(subflow: Subflow) -> int:
        return max(subflow.rtt.recent_min_rtt_ns or subflow.rtt.srtt_ns, MILLISECOND // 100)

    def _choose(self, now: int, window_size: int) -> None:
        merits = self.merits(window_size)
        merit_of = dict(zip(self._subflows, merits, strict=True))
        literal = self._literal_rule
        known = _nothing if literal else self._known_within(window_size)
        eligible = worth_their_cost(self._subflows, merits, known)
        if not eligible:
            return
        best = max(eligible, key=lambda subflow: merit_of[subflow])
        if literal:
            if best is not self.primary and merit_of[best] > 0:
                self._move(now, best, "merit", merits)
        elif not self.primary.usable:
            self._move(now, best, "unusable", merits)
        elif self.primary not in eligible:
            if now >= self._moved_at + self._dwell_ns:
                self._move(now, best, "cost", merits)
        else:
            self._challenge(now, {subflow: merit_of[subflow] for subflow in eligible}, merits)

    def _challenge(self, now: int, merit_of: dict[Subflow, float], merits: list[float]) -> None:
        """Move to whoever is clearly better than the primary, or long enough."""
        challenger, reason = self._challenger(merit_of)
        self._streak = self._streak + 1 if challenger is self._favourite else 1
        self._favourite = challenger
        if challenger is None:
            return
        merit, current = merit_of[challenger], merit_of[self.primary]
        dearer = challenger.cost > self.primary.cost  # a short weakness is no reason to pay
        if merit > DECISIVE * current and not dearer:
            self._move(now, challenger, reason, merits)
        elif now >= self._moved_at + self._dwell_ns:
            clear = reason == "rtt" or merit > BETTER * current
            if self._streak >= (PATIENCE if clear and not dearer else LONG_PATIENCE):
                self._move(now, challenger, reason, merits)

    def _challenger(self, merit_of: dict[Subflow, float]) -> tuple[Subflow | None, str]:
        """Whoever is better than the primary, and in what."""
        current = merit_of[self.primary]
        best = max(merit_of, key=lambda subflow: merit_of[subflow])
        if merit_of[best] > SLIGHTLY_BETTER * current:
            return best, "capacity"
        nearest = min(
            (
                subflow
                for subflow, merit in merit_of.items()
                if merit >= EQUAL * current > 0 and subflow.cost <= self.primary.cost
            ),
            key=self._rtt,
            default=self.primary,
        )
        if self._rtt(nearest) < NEARER * self._rtt(self.primary):
            return nearest, "rtt"
        return None, ""

    def _known_within(self, window_size: int) -> Callable[[Subflow], float]:
        """What a subflow has been seen to deliver, as far as the receive window allows it."""

        def known(subflow: Subflow) -> float:
            allowed = window_size * SECOND / self._rtt(subflow)
            return min(record_of(subflow).potential, allowed)

        return known

    def on_first_answer(self, now: int, subflow: Subflow, window_size: int) -> None:
        """A path answered for the first time: if it is cheaper or clearly nearer, begin with it.

        Nothing is known yet but round trips, and nothing much is under way.
        """
        if self._config.mode is not Mode.PRIMARY or subflow.cost > self.primary.cost:
            return
        cheaper = subflow.cost < self.primary.cost
        nearer = self._rtt(subflow) < NEARER * self._rtt(self.primary)
        young = record_of(self.primary).potential == 0
        if cheaper or (nearer and young):
            self._move(now, subflow, "cost" if cheaper else "rtt", self.merits(window_size))
            self._moved_at = 0
            self._dwell_ns = DWELL_NS
            self.grow(now, window_size)

    def replace(self, now: int, window_size: int, reason: str) -> None:
        """The primary became unusable: choose another at once, the best of the cheapest."""
        if self.primary.usable:
            return
        merits = self.merits(window_size)
        usable = [
            (subflow, merit)
            for subflow, merit in zip(self._subflows, merits, strict=True)
            if subflow.usable
        ]
        if not usable and self.primary.drained:  # one that may answer is better than that
            usable = [(subflow, 0.0) for subflow in self._subflows if not subflow.drained]
        if usable:
            best, _ = min(usable, key=lambda choice: (choice[0].cost, -choice[1]))
            self._move(now, best, reason, merits)
            self.grow(now, window_size)

    def _move(self, now: int, to: Subflow, reason: str, merits: Sequence[float]) -> None:
        previous = self.primary
        if to is self._came_from and now - self._moved_at < 10 * SECOND and previous.usable:
            self._dwell_ns = min(2 * self._dwell_ns, DWELL_MAX_NS)
        elif now - self._moved_at > DWELL_MAX_NS:
            self._dwell_ns = DWELL_NS
        if reason in ("capacity", "rtt"):
            self._dwell_ns = max(self._dwell_ns, DWELL_AFTER_CHOICE_NS)
        self.primary, self._came_from, self._moved_at = to, previous, now
        self._favourite = None
        if self._report:
            self._report(PathChosen(to.index, previous.index, reason, tuple(merits)))

    def grow(self, now: int, window_size: int) -> None:
        """Deal the growth budget out (P7); when pooling there is none."""
        if self._config.mode is not Mode.POOLED:
            merits = self.merits(window_size)
            budget.deal(now, self._subflows, self.primary, merits, self._config.fair)


def _nothing(subflow: Subflow) -> float:
    """What is known of a subflow by a rule that measures nothing."""
    return 0.0


def record_of(subflow: Subflow) -> Record:
    """What is remembered of a path."""
    record = subflow.record
    if record is None:
        record = subflow.record = Record()
    return record


def loss_of(subflow: Subflow) -> InverseLoss:
    """What is known of its losses; for the rule that asks for it."""
    record = record_of(subflow)
    if record.loss is None:
        record.loss = InverseLoss()
    return record.loss
