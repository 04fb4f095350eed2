"""A result as a table for a terminal."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from omtcp.lab.fairness import Share
from omtcp.lab.result import Recovery, Result, RunResult, Summary

_NONE = "-"
_DOUBTFUL_SHARE = 0.01
_AIRY_COLUMNS = 8
_MANY_EVENTS = 24
_WORST_EVENTS = 8


def mbit(bps: float) -> str:
    """Mbit/s with three digits that mean something."""
    value = bps / 1e6
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def milliseconds(ns: int | None) -> str:
    return _NONE if ns is None else f"{ns / 1e6:.0f}"


def kilobytes(size: int | float | None) -> str:
    return _NONE if size is None else f"{size / 1000:.0f}"


def ratio(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the summary: heading, what it says if that needs words, a sender's cell."""

    heading: str
    legend: str
    cell: Callable[[Summary], str]
    words: bool = False


_COLUMNS = {
    "sender": Column("sender", "", lambda s: s.sender, words=True),
    "goodput": Column("Mbit/s", "", lambda s: mbit(s.goodput_bps)),
    "ratio": Column("ratio", "ratio: goodput over the reference's", lambda s: ratio(s.ratio)),
    "mptcp": Column(
        "ratio mptcp", "ratio mptcp: over kernel MPTCP's", lambda s: ratio(s.mptcp_ratio)
    ),
    "silence": Column(
        "silence ms",
        "silence: the longest without a byte",
        lambda s: milliseconds(s.longest_silence_ns),
    ),
    "back": Column(
        "back ms",
        "back: from a cut or fall until 90 % of what the links then carry",
        lambda s: milliseconds(s.back_ns),
    ),
    "resent": Column("resent kB", "", lambda s: kilobytes(s.retransmitted)),
    "share": Column(
        "share",
        "share: goodput over the mean competitor's",
        lambda s: _NONE if s.share is None else f"{s.share:.2f}",
    ),
    "cpu": Column("CPU s", "", lambda s: _NONE if s.cpu_s is None else f"{s.cpu_s:.1f}"),
    "bytes": Column(
        "bytes", "bytes: whether all were right", lambda s: "ok" if s.ok else "FAILED", words=True
    ),
}


def columns(result: Result) -> list[Column]:
    """The columns that say something about this result."""
    absent = set() if result.mptcp else {"mptcp"}
    if not any(run.shares for run in result.runs):
        absent.add("share")
    return [column for name, column in _COLUMNS.items() if name not in absent]


def legend(result: Result) -> str:
    """What the columns mean."""
    words = [column.legend for column in columns(result) if column.legend]
    runs = max((summary.runs for summary in result.summaries()), default=0)
    return f"Medians. {'; '.join(words)}. Runs: {runs}."


def summary_table(result: Result) -> Table:
    """One row per sender: medians of its runs."""
    title = f"{result.case}: {result.about}" if result.about else result.case
    shown = columns(result)
    table = Table(
        title=title,
        title_justify="left",
        caption=legend(result),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1 if len(shown) <= _AIRY_COLUMNS else 0),
        show_edge=False,
    )
    for column in shown:
        # The units go under the names: the table fits a terminal of 80 columns.
        heading = column.heading.replace(" ", "\n")
        table.add_column(heading, justify="left" if column.words else "right", no_wrap=True)
    for summary in result.summaries():
        cells = [column.cell(summary) for column in shown]
        table.add_row(*cells, style=None if summary.ok else "red")
    return table


def recovery_note(recovery: Recovery) -> str:
    """How one event was taken, in words."""
    parts = [f"silence {milliseconds(recovery.silence_ns)} ms"]
    if recovery.target_bps:
        back = recovery.back_ns
        parts.append("not back at 90 %" if back is None else f"back at {milliseconds(back)} ms")
    if recovery.ping_ns is not None:
        parts.append(f"pinged after {milliseconds(recovery.ping_ns)} ms")
    if recovery.data_ns is not None:
        parts.append(f"data after {milliseconds(recovery.data_ns)} ms")
    if recovery.reuse_ns is not None:
        parts.append(f"in use after {milliseconds(recovery.reuse_ns)} ms")
    return ", ".join(parts)


def share_note(share: Share) -> str:
    """How the measured connection stood beside its competitors, in words."""
    since = f"from {share.from_ns / 1e9:g} s on" if share.from_ns else "whole run"
    each = " ".join(mbit(bps) for bps in sorted(share.competitors_bps))
    spread = ""
    if len(share.competitors_bps) > 1 and share.spread is not None:
        spread = " (theirs {:.2f} to {:.2f})".format(*share.spread)
    return (
        f"{since}: {mbit(share.measured_bps)} beside {each} Mbit/s,"
        f" ratio to the mean {ratio(share.ratio)}{spread}, Jain {share.jain:.3f}"
    )


def notes(run: RunResult) -> list[str]:
    """One line per share and per event of a run, for people; of very many events the worst."""
    lines = [share_note(share) for share in run.shares]
    shown = run.recoveries
    if (count := len(shown)) > _MANY_EVENTS:
        worst = sorted(shown, key=lambda recovery: recovery.silence_ns)[-_WORST_EVENTS:]
        shown = [recovery for recovery in run.recoveries if recovery in worst]
        lines.append(f"the {len(shown)} longest silences of {count} events:")
    return lines + [
        f"{recovery.at_ns / 1e9:6.2f} s  {recovery.label}: {recovery_note(recovery)}"
        for recovery in shown
    ]


def warnings(result: Result) -> list[str]:
    """What makes a run doubtful: errors, missing subflows, an emulator that was not left alone."""
    lines = []
    for run in result.runs:
        who = f"{run.sender}, run {run.run + 1}"
        lines += [f"{who}: {error}" for error in run.errors]
        if run.sender == result.mptcp:
            unused = sorted(set(range(len(result.description["uplinks"]))) - run.paths.keys())
            lines += [f"{who}: no subflow on uplink {uplink}" for uplink in unused]
        if run.emulator.get("overruns"):
            lines.append(f"{who}: the emulator lost {run.emulator['overruns']} frames; disregard")
        if (share := run.emulator.get("late_share", 0.0)) > _DOUBTFUL_SHARE:
            worst = milliseconds(run.emulator["worst_lateness_ns"])
            lines.append(
                f"{who}: {share:.1%} of the deliveries were over 1 ms late, the worst {worst} ms:"
                " this host was too busy"
            )
    return lines
