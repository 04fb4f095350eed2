"""A history of runs as JSON lines, so that a ratio that falls is seen.

Ratios are kept, not absolute figures: what disturbs a machine disturbs both sides of a ratio. Only
runs of one kind of machine, with the same length of rounds, are compared.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omtcp.bench.result import BenchResult
from omtcp.bench.spread import Spread
from omtcp.build import PURE
from omtcp.errors import LocalError

LOOK_BACK = 5
"""Runs that the newest one is compared with."""
LEAST_FALL = 0.05
"""A ratio that fell by less than this share of itself is not told, however steady it was."""
_SAME = {"processor": "", "processors": "", "omtcp": PURE}
"""What of a machine must be the same, and what is meant where an old entry says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run: when, of what, where, and its ratios by their keys.

    figures: medians of everything that was measured, as case, subject, metric. micro_ns: of the
    micro-benchmarks, nanoseconds.
    """

    date: str
    version: str
    commit: str | None
    machine: dict[str, str]
    quick: bool
    ratios: dict[str, Spread]
    figures: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    micro_ns: dict[str, float] = field(default_factory=dict)

    def comparable(self, other: "Entry") -> bool:
        """Whether a difference between the two is one of the code."""
        return self.quick == other.quick and all(
            self.machine.get(part, unsaid) == other.machine.get(part, unsaid)
            for part, unsaid in _SAME.items()
        )

    def to_line(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A ratio that is worse than it was by more than its spread."""

    key: str
    before: float
    now: float

    def __str__(self) -> str:
        lost = 1 - self.now / self.before
        return f"{self.key}: {self.now:.3g}, it was {self.before:.3g} ({lost:.0%} less)"


def entry_of(result: BenchResult) -> Entry:
    """What a history keeps of a run."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for case in result.cases:
        subjects = figures.setdefault(case.case.name, {})
        for subject in case.subjects:
            spreads = {metric: subject.spread(metric) for metric in case.case.metrics}
            subjects[subject.name] = {
                metric: spread.median for metric, spread in spreads.items() if spread is not None
            }
    return Entry(
        date=result.date,
        version=result.version,
        commit=result.commit,
        machine=result.machine,
        quick=bool(result.settings.get("quick")),
        ratios={ratio.key: ratio.spread for ratio in result.ratios()},
        figures=figures,
        micro_ns={micro.name: micro.ns.median for micro in result.micro},
    )


def parse(line: str) -> Entry:
    """ValueError, KeyError or TypeError if the line is no entry."""
    values: dict[str, Any] = json.loads(line)
    values["ratios"] = {key: Spread(**spread) for key, spread in values["ratios"].items()}
    return Entry(**values)


def read(path: Path) -> list[Entry]:
    """The entries of a file, oldest first, none if there is no file. LocalError if it is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"cannot read the history {path}: {error}") from None
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                entries.append(parse(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LocalError(f"{path}, line {number}: this is no entry of a history") from None
    return entries


def append(path: Path, entry: Entry) -> None:
    """Adds a run; LocalError if that fails."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(entry.to_line() + "\n")
    except OSError as error:
        raise LocalError(f"cannot write the history {path}: {error.strerror}") from None


def falls(entry: Entry, before: Iterable[Entry]) -> list[Fall]:
    """Ratios that fell below what they were in the last runs by more than they spread.

    What a ratio was is the median of up to five earlier runs; what it spreads is the greater of
    its own rounds' width and the median of theirs.
    """
    past = [each for each in before if entry.comparable(each)]
    found = []
    for key, spread in entry.ratios.items():
        known = [each.ratios[key] for each in past if key in each.ratios][-LOOK_BACK:]
        if known and (fall := _fall(key, spread, known)) is not None:
            found.append(fall)
    return found


def _fall(key: str, spread: Spread, known: Sequence[Spread]) -> Fall | None:
    was = statistics.median(each.median for each in known)
    width = max(spread.width, statistics.median(each.width for each in known), LEAST_FALL * was)
    if was - spread.median <= width:
        return None
    return Fall(key=key, before=was, now=spread.median)
