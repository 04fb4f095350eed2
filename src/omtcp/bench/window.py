"""A window of time in which a stack serves: counters read at both ends of it, nothing between."""

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic_ns, sleep
from typing import Any

from omtcp.bench.case import Setting
from omtcp.bench.usage import Usage, bystanders, observe
from omtcp.lab.processes import Process

LEAD_NS = 400_000_000
"""From the start of a client's process until it begins: it must be up by then."""
TAIL_NS = 150_000_000
"""Clients go on a little longer than the window."""
_LOOK_S = 0.1
_READING_NS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was used in a window.

    peak: the most private memory that was seen, bytes. others: processors that processes which are
    no part of the bench used meanwhile.
    """

    before: Usage
    after: Usage
    peak: int
    others: float = 0.0

    @property
    def seconds(self) -> float:
        return (self.after.at_ns - self.before.at_ns) / 1e9

    @property
    def cpu_s(self) -> float:
        return self.after.cpu_s - self.before.cpu_s

    def counted(self, bins: Iterable[tuple[int, int]], start_ns: int, width_ns: int) -> float:
        """The sum of what bins hold per second, of those that lie in the window as a whole.

        Bins are (index, amount), counted from `start_ns`.
        """
        first = -(-(self.before.at_ns - start_ns) // width_ns)
        last = (self.after.at_ns - start_ns) // width_ns
        if last <= first:
            return 0.0
        total = sum(amount for index, amount in bins if first <= index < last)
        return total * 1e9 / ((last - first) * width_ns)


def until(at_ns: int) -> None:
    """Sleeps until then."""
    sleep(max(at_ns - monotonic_ns(), 0) / 1e9)


def watch(server: Process, start_ns: int, end_ns: int) -> Window:
    """Waits for the window to open and to close. ProcessLookupError if the server goes."""
    until(start_ns - _READING_NS)
    strangers = bystanders()
    until(start_ns)
    before = observe(server.pid)
    peak = before.memory
    while (left := (end_ns - monotonic_ns()) / 1e9) > 0:
        sleep(min(_LOOK_S, left))
        after = observe(server.pid)
        peak = max(peak, after.memory)
    others = bystanders().cores_since(strangers)
    return Window(before=before, after=after, peak=peak, others=others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a round's client begins, and when its window opens and closes."""

    start_ns: int
    opens_ns: int
    closes_ns: int

    @classmethod
    def of(cls, setting: Setting, lead_ns: int = LEAD_NS) -> "Schedule":
        start = monotonic_ns() + lead_ns
        opens = start + round(setting.warmup_s * 1e9)
        return cls(
            start_ns=start, opens_ns=opens, closes_ns=opens + round(setting.duration_s * 1e9)
        )

    @property
    def client_ns(self) -> int:
        """How long the client is busy."""
        return self.closes_ns - self.start_ns + TAIL_NS


def traffic_figures(window: Window, bytes_per_s: float) -> dict[str, Any]:
    """The figures that every bulk transfer has."""
    moved = bytes_per_s * window.seconds
    before, after = window.before, window.after
    figures = {
        "goodput": bytes_per_s * 8 / 1e6,
        "core": 100 * window.cpu_s / window.seconds,
        "bytes_mb": moved / 1e6,
        "memory_mb": window.peak / 1e6,
        "others": window.others,
    }
    if moved:
        figures |= {
            "cpu_per_gb": window.cpu_s / moved * 1e9,
            "user_per_gb": (after.user_s - before.user_s) / moved * 1e9,
            "acks_per_mb": (after.packets_in - before.packets_in) / moved * 1e6,
            "calls_per_mb": (after.calls - before.calls) / moved * 1e6,
        }
    return figures
