"""The report's plots."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from omtcp.lab.result import Result, RunResult, Series
from omtcp.lab.svg import EVENT, INK, KERNEL, MUTED, PATHS, SENDERS, STYLE, WIDTH, svg

_MAX_LABELS = 12


def _axes(count: int, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=heights)
    flat = [axis for row in axes for axis in row]
    for axis in flat:
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.grid(axis="y")
        axis.set_axisbelow(True)
    return figure, flat


def _line(axis: Axes, series: Series, colour: str, label: str = "", **style: Any) -> None:
    if series:
        xs, ys = zip(*series, strict=True)
        axis.plot(xs, ys, color=colour, label=label, **{"linewidth": 1.3, **style})


def _events(axes: Sequence[Axes], events: Sequence[tuple[float, str]]) -> None:
    """A dashed line per scripted event through all plots, named above the first."""
    for second, _ in events:
        for axis in axes:
            axis.axvline(second, color=EVENT, linewidth=0.9, linestyle=(0, (3, 3)))
    if len(events) > _MAX_LABELS:
        return
    for second, label in events:
        axes[0].annotate(
            label,
            (second, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
            color=EVENT,
        )


def _finish(axis: Axes, label: str, *, legend: bool = True) -> None:
    axis.set_title(label, loc="left", fontsize=9, color=MUTED, pad=16)
    axis.set_ylim(bottom=0)
    handles, _ = axis.get_legend_handles_labels()
    if legend and len(handles) > 1:
        figure = axis.get_figure(root=True)
        assert figure is not None
        above_events = ScaledTranslation(0, 13 / 72, figure.dpi_scale_trans)
        axis.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            bbox_transform=axis.transAxes + above_events,
            ncols=4,
            frameon=False,
            fontsize=8.5,
            borderaxespad=0,
            handlelength=1.4,
            labelcolor=INK,
        )


def sender_colour(result: Result, sender: str) -> str:
    """The reference is drawn back, the senders under test in colours of their own."""
    if sender.startswith("kernel"):
        return KERNEL
    others = [name for name in result.senders() if not name.startswith("kernel")]
    return SENDERS[others.index(sender) % len(SENDERS)]


def goodput_plot(result: Result) -> str:
    """Goodput at the receiver: the typical run of each sender, its other runs faint."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(1, [2.7])
        for sender in result.senders():
            colour, typical = sender_colour(result, sender), result.typical(sender)
            for run in result.of(sender):
                if run is not typical:
                    _line(axes[0], run.goodput, colour, linewidth=0.7, alpha=0.35)
            _line(axes[0], typical.goodput, colour, sender, linewidth=1.6)
        _events(axes, result.events)
        _finish(axes[0], "Goodput at the receiver, Mbit/s")
        axes[0].set_xlabel("seconds")
        _limit(axes[0], [run for sender in result.senders() for run in result.of(sender)])
    return svg(figure, "Goodput over time")


def _limit(axis: Axes, runs: Sequence[RunResult]) -> None:
    end = max((run.elapsed_ns / 1e9 for run in runs), default=1.0)
    axis.set_xlim(0, max(end, 0.001))


def _path_name(number: int) -> str:
    return f"uplink {number}"


def paths_plot(result: Result, run: RunResult, beside: RunResult | None) -> str:
    """One run from the inside: what each uplink carried, the primary, windows and RTTs.

    The reference, if given, is drawn beside in the plots of window and RTT.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _axes(4, [1.8, 0.62, 1.8, 1.8])
        load, primary, window, rtt = axes
        for name, series in run.uplinks.items():
            if name.isdecimal():
                _line(load, series, PATHS[int(name) % 4], _path_name(int(name)))
        _primary(primary, run)
        if beside is not None:
            for reference in beside.paths.values():
                _line(window, _kilobytes(reference.cwnd), KERNEL, beside.sender, linewidth=1.0)
                _line(rtt, reference.srtt_ms, KERNEL, beside.sender, linewidth=1.0)
        for number, path in sorted(run.paths.items()):
            colour = PATHS[number % 4]
            _line(window, _kilobytes(path.cwnd), colour, _path_name(number))
            _line(rtt, path.srtt_ms, colour, _path_name(number))
        _events(axes, result.events)
        _finish(load, "Carried by each uplink, Mbit/s")
        _finish(window, "Congestion window, kB")
        _finish(rtt, "Smoothed round trip, ms")
        rtt.set_xlabel("seconds")
        _limit(rtt, [run])
    return svg(figure, f"{run.sender}: uplinks, primary, windows and round trips over time")


def _kilobytes(series: Series) -> Series:
    return [(second, value / 1000) for second, value in series]


def _primary(axis: Axes, run: RunResult) -> None:
    """A strip in the colour of the uplink that is the primary."""
    end = run.elapsed_ns / 1e9
    points = [(max(second, 0.0), int(path)) for second, path in run.primary if second < end]
    if not points:  # a sender without such a thing
        axis.set_visible(False)
        return
    ends = [*(second for second, _ in points[1:]), end]
    for (start, path), stop in zip(points, ends, strict=True):
        axis.axvspan(start, stop, ymin=0.15, ymax=0.85, color=PATHS[path % 4], linewidth=0)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.set_title("Primary", loc="left", fontsize=9, color=MUTED, pad=4)
