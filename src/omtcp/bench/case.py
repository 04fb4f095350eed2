"""A case: who is measured, how, and which quotients of what was measured matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Figures = Mapping[str, float]
"""What one subject showed in one round, by the names of `metrics.METRICS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how long a round measures.

    directory: for logs, of this round alone. root: the files that are served: `big`, `small`.
    warmup_s: traffic runs for this long before the window of duration_s opens. quick: make do
    with fewer connections.
    """

    directory: Path
    root: Path
    duration_s: float
    warmup_s: float
    quick: bool = False


def present() -> str | None:
    """For subjects that are always there."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Somebody who is measured. absent tells, in a line, why there is nothing to measure."""

    name: str
    measure: Callable[[Setting], Figures]
    absent: Callable[[], str | None] = present


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times better `of` is than `to` in a metric: above 1 is better, whatever it is."""

    metric: str
    of: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question, answered by subjects that take turns.

    metrics: what the table shows, in this order. duration_s: of a round's window unless the user
    says otherwise. rounds: at most so many, for cases whose rounds are long and agree.
    """

    name: str
    about: str
    subjects: tuple[Subject, ...]
    metrics: tuple[str, ...]
    ratios: tuple[Ratio, ...] = ()
    duration_s: float = 3.0
    rounds: int | None = None
