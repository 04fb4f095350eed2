"""What a run of the bench showed: values that can be written as JSON and compared."""

from dataclasses import asdict, dataclass, field
from typing import Any

from omtcp.bench.case import Case, Figures, Ratio
from omtcp.bench.metrics import METRICS
from omtcp.bench.microbench import Micro
from omtcp.bench.spread import Spread, quotients

_DISTURBED = 0.2
"""Processors that others may use without a word about it."""


@dataclass(slots=True, kw_only=True)
class SubjectResult:
    """One subject's rounds, None for one that failed; absent tells why there are none."""

    name: str
    rounds: list[Figures | None] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    absent: str | None = None

    def values(self, metric: str) -> list[float | None]:
        """Per round; None where the round does not tell."""
        return [None if figures is None else figures.get(metric) for figures in self.rounds]

    def spread(self, metric: str) -> Spread | None:
        """Over the rounds; None if none tells."""
        return Spread.of(value for value in self.values(metric) if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioResult:
    """A ratio of a case and what it came to; above 1 means that `of` is better."""

    case: str
    ratio: Ratio
    spread: Spread

    @property
    def key(self) -> str:
        """What it is called in a history."""
        ratio = self.ratio
        return f"{self.case}: {ratio.metric}: {ratio.of} / {ratio.to}"

    @property
    def label(self) -> str:
        """For people, within its case."""
        metric = METRICS[self.ratio.metric]
        above, below = self.ratio.of, self.ratio.to
        if metric.lower:
            above, below = below, above
        return f"{metric.heading}, {above} over {below}"


@dataclass(slots=True, kw_only=True)
class CaseResult:
    """All rounds of a case."""

    case: Case
    subjects: list[SubjectResult]

    def subject(self, name: str) -> SubjectResult:
        return next(subject for subject in self.subjects if subject.name == name)

    def ratios(self) -> list[RatioResult]:
        """Those of the case's ratios whose both sides were measured."""
        found = []
        for ratio in self.case.ratios:
            above = self.subject(ratio.of).values(ratio.metric)
            below = self.subject(ratio.to).values(ratio.metric)
            if METRICS[ratio.metric].lower:
                above, below = below, above
            spread = Spread.of(quotients(above, below))
            if spread is not None:
                found.append(RatioResult(case=self.case.name, ratio=ratio, spread=spread))
        return found

    def warnings(self) -> list[str]:
        """What makes the figures doubtful."""
        lines = [f"{who.name}: {error}" for who in self.subjects for error in who.errors]
        lines += [
            f"{ratio.label}: {ratio.spread.low:.3g} to {ratio.spread.high:.3g}, which is wide:"
            " measure more rounds, on a machine that is left alone"
            for ratio in self.ratios()
            if ratio.spread.wide
        ]
        others = self.others()
        if others is not None and others.high > _DISTURBED:
            lines.append(
                f"other processes used {others.median:.1f} processors meanwhile,"
                f" {others.high:.1f} at the most: ratios are doubtful, absolute figures useless"
            )
        return lines

    def others(self) -> Spread | None:
        """Processors that others used, over all rounds of all subjects."""
        values = [value for who in self.subjects for value in who.values("others")]
        return Spread.of(value for value in values if value is not None)

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "about": self.case.about,
            "subjects": [
                {
                    "name": who.name,
                    "absent": who.absent,
                    "errors": who.errors,
                    "rounds": who.rounds,
                }
                for who in self.subjects
            ],
            "ratios": {
                ratio.key: {
                    "median": ratio.spread.median,
                    "low": ratio.spread.low,
                    "high": ratio.spread.high,
                    "rounds": ratio.spread.count,
                }
                for ratio in self.ratios()
            },
        }


@dataclass(slots=True, kw_only=True)
class BenchResult:
    """A whole run; `settings` and `machine` are plain values."""

    date: str
    version: str
    commit: str | None
    machine: dict[str, str]
    settings: dict[str, Any]
    cases: list[CaseResult] = field(default_factory=list)
    micro: list[Micro] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether something was measured, and nothing that is there failed."""
        failed = any(who.errors for case in self.cases for who in case.subjects)
        return bool(self.cases or self.micro) and not failed

    def ratios(self) -> list[RatioResult]:
        return [ratio for case in self.cases for ratio in case.ratios()]

    def to_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "version": self.version,
            "commit": self.commit,
            "machine": self.machine,
            "settings": self.settings,
            "metrics": {
                name: {"heading": metric.heading, "about": metric.about, "lower": metric.lower}
                for name, metric in METRICS.items()
            },
            "cases": [case.to_json() for case in self.cases],
            "micro_ns": {micro.name: asdict(micro.ns) for micro in self.micro},
        }
