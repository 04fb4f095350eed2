"""What a run showed: values that can be written as JSON and compared."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from omtcp.lab.fairness import Share

Series = list[tuple[float, float]]
"""Points (seconds since the start, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a run took one scripted event.

    back_ns: from the event until the goodput was 90 % of what the links then carry, None if never;
    for a restored uplink, data_ns: until the first data (no ping) came out of it, and reuse_ns:
    until it carried half of its rate again.
    """

    label: str
    at_ns: int
    target_bps: float
    back_ns: int | None
    reuse_ns: int | None = None
    data_ns: int | None = None
    ping_ns: int | None = None
    silence_ns: int = 0


@dataclass(slots=True, kw_only=True)
class PathSeries:
    """One path over time: congestion window (bytes) and smoothed RTT (ms)."""

    cwnd: Series = field(default_factory=list)
    srtt_ms: Series = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class RunResult:
    """One sender, once.

    checksum_ok: every byte that arrived was right; complete: all downloads of a sized case ended.
    uplinks: Mbit/s per link as the emulator delivered it. emulator: its counters and accuracy.
    shares: beside competitors, of the whole run and then from the case's time on.
    """

    sender: str
    run: int
    goodput_bps: float
    received: int
    elapsed_ns: int
    first_byte_ns: int | None
    longest_silence_ns: int
    checksum_ok: bool
    complete: bool
    errors: list[str]
    retransmitted: int | None = None
    primary_moves: int | None = None
    cpu_s: float | None = None
    recoveries: list[Recovery] = field(default_factory=list)
    goodput: Series = field(default_factory=list)
    uplinks: dict[str, Series] = field(default_factory=dict)
    paths: dict[int, PathSeries] = field(default_factory=dict)
    primary: Series = field(default_factory=list)
    event_counts: dict[str, int] = field(default_factory=dict)
    emulator: dict[str, Any] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.checksum_ok and not self.errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The medians of one sender's runs; the ratios are to other senders' goodput.

    ratio: to the reference, the kernel's TCP; mptcp_ratio: to the kernel's Multipath TCP. None
    without such a sender, and for itself. share: the ratio to the mean competitor, of the last of
    `RunResult.shares`.
    """

    sender: str
    runs: int
    goodput_bps: float
    ratio: float | None
    longest_silence_ns: int
    back_ns: int | None
    retransmitted: int | None
    cpu_s: float | None
    ok: bool
    mptcp_ratio: float | None = None
    share: float | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """All runs of a case; `description` is the case in words and numbers, for people and JSON.

    reference and mptcp are the labels of the senders that the ratios refer to, None if not in it.
    """

    case: str
    about: str
    description: dict[str, Any]
    environment: dict[str, str]
    reference: str | None
    events: list[tuple[float, str]]
    runs: list[RunResult] = field(default_factory=list)
    mptcp: str | None = None

    @property
    def ok(self) -> bool:
        return bool(self.runs) and all(run.ok for run in self.runs)

    def of(self, sender: str) -> list[RunResult]:
        return [run for run in self.runs if run.sender == sender]

    def senders(self) -> list[str]:
        return list(dict.fromkeys(run.sender for run in self.runs))

    def summaries(self) -> list[Summary]:
        """One per sender, in the order of their first runs."""
        return [self._summary(sender) for sender in self.senders()]

    def summary(self, sender: str) -> Summary:
        return next(s for s in self.summaries() if s.sender == sender)

    def typical(self, sender: str) -> RunResult:
        """The run whose goodput is the median (the lower one of two)."""
        runs = sorted(self.of(sender), key=lambda run: run.goodput_bps)
        return runs[(len(runs) - 1) // 2]

    def _ratio(self, sender: str, base: str | None) -> float | None:
        """One sender's median goodput over another's."""
        if base is None or sender == base or not self.of(base):
            return None
        return _goodput(self.of(sender)) / (_goodput(self.of(base)) or math.inf)

    def _summary(self, sender: str) -> Summary:
        runs = self.of(sender)
        return Summary(
            sender=sender,
            runs=len(runs),
            goodput_bps=_goodput(runs),
            ratio=self._ratio(sender, self.reference),
            mptcp_ratio=self._ratio(sender, self.mptcp),
            longest_silence_ns=round(statistics.median(r.longest_silence_ns for r in runs)),
            back_ns=_back(runs),
            retransmitted=_median(runs, lambda run: run.retransmitted),
            cpu_s=_median(runs, lambda run: run.cpu_s),
            ok=all(run.ok for run in runs),
            share=_median(runs, lambda run: run.shares[-1].ratio if run.shares else None),
        )

    def to_json(self) -> dict[str, Any]:
        """The result as plain values: description, summaries, runs with their series."""
        return {
            "case": self.case,
            "about": self.about,
            "description": self.description,
            "environment": self.environment,
            "reference": self.reference,
            "mptcp": self.mptcp,
            "events": self.events,
            "summary": [asdict(summary) for summary in self.summaries()],
            "runs": [asdict(run) for run in self.runs],
        }


def _goodput(runs: Sequence[RunResult]) -> float:
    return statistics.median(run.goodput_bps for run in runs)


def _median(runs: Sequence[RunResult], get: Callable[[RunResult], Any]) -> Any:
    values = [value for run in runs if (value := get(run)) is not None]
    return statistics.median(values) if values else None


def _back(runs: Sequence[RunResult]) -> int | None:
    """The median over runs of the slowest recovery from a cut, a fall in rate or losses.

    None if there was no such event, or if half of the runs did not recover.
    """
    slowest = []
    for run in runs:
        falls = [r.back_ns for r in run.recoveries if r.label.startswith(("cut", "rate", "loss"))]
        if falls:
            slowest.append(max(float("inf") if back is None else back for back in falls))
    middle = statistics.median(slowest) if slowest else float("inf")
    return None if middle == float("inf") else round(middle)
