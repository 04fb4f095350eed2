"""A result as a table for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from omtcp.lab.result import Recovery, Result, RunResult, Summary

_NONE = "-"
_DOUBTFUL_SHARE = 0.01


def mbit(bps: float) -> str:
    """Mbit/s with three digits that mean something."""
    value = bps / 1e6
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def milliseconds(ns: int | None) -> str:
    return _NONE if ns is None else f"{ns / 1e6:.0f}"


def kilobytes(size: int | float | None) -> str:
    return _NONE if size is None else f"{size / 1000:.0f}"


def summary_cells(summary: Summary) -> list[str]:
    """The cells of one row, in the order of `SUMMARY_HEADINGS`."""
    return [
        summary.sender,
        mbit(summary.goodput_bps),
        _NONE if summary.ratio is None else f"{summary.ratio:.3f}",
        milliseconds(summary.longest_silence_ns),
        milliseconds(summary.back_ns),
        kilobytes(summary.retransmitted),
        _NONE if summary.cpu_s is None else f"{summary.cpu_s:.1f}",
        "ok" if summary.ok else "FAILED",
    ]


SUMMARY_HEADINGS = (
    "sender",
    "Mbit/s",
    "ratio",
    "silence ms",
    "back ms",
    "resent kB",
    "CPU s",
    "bytes",
)
SUMMARY_LEGEND = (
    "Medians. ratio: goodput over the reference's; silence: the longest without a byte; back: from"
    " a cut or fall until 90 % of what the links then carry; bytes: whether all were right."
)


def summary_table(result: Result) -> Table:
    """One row per sender: medians of its runs."""
    title = f"{result.case}: {result.about}" if result.about else result.case
    runs = max((summary.runs for summary in result.summaries()), default=0)
    caption = f"{SUMMARY_LEGEND} Runs: {runs}."
    table = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    for heading in SUMMARY_HEADINGS:
        words = heading in ("sender", "bytes")
        # The units go under the names: the table fits a terminal of 80 columns.
        table.add_column(
            heading.replace(" ", "\n"), justify="left" if words else "right", no_wrap=True
        )
    for summary in result.summaries():
        table.add_row(*summary_cells(summary), style=None if summary.ok else "red")
    return table


def recovery_note(recovery: Recovery) -> str:
    """How one event was taken, in words."""
    parts = [f"silence {milliseconds(recovery.silence_ns)} ms"]
    if recovery.target_bps:
        back = recovery.back_ns
        parts.append("not back at 90 %" if back is None else f"back at {milliseconds(back)} ms")
    if recovery.ping_ns is not None:
        parts.append(f"pinged after {milliseconds(recovery.ping_ns)} ms")
    if recovery.reuse_ns is not None:
        parts.append(f"in use after {milliseconds(recovery.reuse_ns)} ms")
    return ", ".join(parts)


def event_lines(run: RunResult) -> list[str]:
    """One line per event of a run, for people."""
    return [
        f"{recovery.at_ns / 1e9:6.2f} s  {recovery.label}: {recovery_note(recovery)}"
        for recovery in run.recoveries
    ]


def warnings(result: Result) -> list[str]:
    """What makes a run doubtful: errors, and an emulator that was not left alone."""
    lines = []
    for run in result.runs:
        who = f"{run.sender}, run {run.run + 1}"
        lines += [f"{who}: {error}" for error in run.errors]
        if run.emulator.get("overruns"):
            lines.append(f"{who}: the emulator lost {run.emulator['overruns']} frames; disregard")
        if (share := run.emulator.get("late_share", 0.0)) > _DOUBTFUL_SHARE:
            worst = milliseconds(run.emulator["worst_lateness_ns"])
            lines.append(
                f"{who}: {share:.1%} of the deliveries were over 1 ms late, the worst {worst} ms:"
                " this host was too busy"
            )
    return lines
