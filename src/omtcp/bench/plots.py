"""The page's plots: a case's subjects side by side, and its ratios over the runs of a history."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omtcp.bench.history import Entry
from omtcp.bench.metrics import METRICS
from omtcp.bench.result import CaseResult, RatioResult
from omtcp.bench.spread import Spread
from omtcp.bench.table import number
from omtcp.lab.svg import INK, KERNEL, MUTED, SENDERS, STYLE, WIDTH, svg

_ROW = 0.34
_LOG_RANGE = 30
"""Values further apart than this are drawn on a logarithmic axis."""
_SHOWN = 2
"""Metrics of a case that are drawn; the table has the others."""


def colour(subject: str) -> str:
    """Ours stand out, whatever they are compared with is drawn back."""
    return SENDERS[0] if subject.startswith("omtcp") else KERNEL


def case_plot(result: CaseResult) -> str:
    """Bars for the first metrics of a case: medians, and a line from the least to the greatest."""
    names = [subject.name for subject in result.subjects if subject.absent is None]
    metrics = result.case.metrics[:_SHOWN]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.75 + _ROW * len(names)), layout="constrained")
        axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            spreads = [result.subject(name).spread(metric) for name in names]
            _bars(axis, names, spreads)
            heading = METRICS[metric].heading
            if axis.get_xscale() == "log":
                heading += " (logarithmic)"
            axis.set_title(heading, loc="left", fontsize=9, color=MUTED)
    return svg(figure, f"{result.case.name}: subjects side by side")


def _bars(axis: Axes, names: Sequence[str], spreads: Sequence[Spread | None]) -> None:
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_yticks(range(len(names)), names, color=INK)
    axis.set_ylim(len(names) - 0.5, -0.5)
    known = [spread for spread in spreads if spread is not None and spread.median > 0]
    least = min((spread.median for spread in known), default=1.0)
    most = max((spread.high for spread in known), default=1.0)
    if most > _LOG_RANGE * least:
        axis.set_xscale("log")
        axis.set_xlim(least / 3, most * (most / least) ** 0.25)
    else:
        axis.set_xlim(0, most * 1.25)
    axis.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    for row, (name, spread) in enumerate(zip(names, spreads, strict=True)):
        if spread is None:
            continue
        axis.barh(row, spread.median, height=0.62, color=colour(name))
        axis.plot([spread.low, spread.high], [row, row], color=INK, linewidth=1.1)
        end = max(spread.high, spread.median)
        axis.annotate(
            number(spread.median),
            (end, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
        )


def history_plot(ratios: Sequence[RatioResult], entries: Sequence[Entry]) -> str:
    """A strip per ratio: its median in each run, with its spread, the newest at the right."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.5 + 0.95 * len(ratios)), layout="constrained")
        axes = [row[0] for row in figure.subplots(len(ratios), 1, sharex=True, squeeze=False)]
        for axis, ratio in zip(axes, ratios, strict=True):
            _strip(axis, ratio.key, entries)
            axis.set_title(ratio.label, loc="left", fontsize=9, color=MUTED)
        axes[-1].set_xticks(range(len(entries)), [_when(entry) for entry in entries], fontsize=7.5)
        axes[-1].set_xlim(-0.5, len(entries) - 0.5)
    return svg(figure, "Ratios over runs")


def _strip(axis: Axes, key: str, entries: Sequence[Entry]) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    known = [(at, entry.ratios[key]) for at, entry in enumerate(entries) if key in entry.ratios]
    for at, spread in known:
        axis.plot([at, at], [spread.low, spread.high], color=MUTED, linewidth=1.1)
    xs = [at for at, _ in known]
    ys = [spread.median for _, spread in known]
    axis.plot(xs, ys, color=SENDERS[0], linewidth=1.4, marker="o", markersize=3.5)
    axis.set_ylim(bottom=0, top=1.15 * max((spread.high for _, spread in known), default=1.0))
    axis.locator_params(axis="y", nbins=3)


def _when(entry: Entry) -> str:
    return f"{entry.date[5:10]}\n{entry.commit or entry.version}"
