"""A run as tables for a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from omtcp.bench.metrics import METRICS
from omtcp.bench.microbench import Micro
from omtcp.bench.result import CaseResult, RatioResult, SubjectResult
from omtcp.bench.spread import Spread


def number(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    for bound, digits in ((100, 0), (10, 1), (0.1, 2)):
        if size >= bound:
            return f"{value:.{digits}f}"
    return f"{value:.2g}" if value else "0"


def with_spread(spread: Spread | None) -> str:
    """The median, and what the rounds lay between."""
    if spread is None:
        return "-"
    if spread.count == 1:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} – {number(spread.high)})"


def case_table(result: CaseResult) -> Table:
    """One row per subject, one column per metric; medians, and the spread of the first metric."""
    case = result.case
    table = Table(
        title=f"{case.name}: {case.about}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
    )
    table.add_column("")
    for metric in case.metrics:
        table.add_column(METRICS[metric].heading, justify="right")
    for subject in result.subjects:
        table.add_row(*cells(result, subject))
    return table


def micro_table(results: Sequence[Micro]) -> Table:
    """One row per function."""
    table = Table(title="micro: nanoseconds per call", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    table.add_column("ns", justify="right")
    for micro in results:
        table.add_row(micro.name, with_spread(micro.ns))
    return table


def cells(result: CaseResult, subject: SubjectResult) -> list[str]:
    """A subject's row."""
    if subject.absent is not None:
        return [subject.name, f"absent: {subject.absent}"]
    first, *rest = result.case.metrics
    row = [subject.name, with_spread(subject.spread(first))]
    for metric in rest:
        spread = subject.spread(metric)
        row.append("-" if spread is None else number(spread.median))
    return row


def ratio_line(ratio: RatioResult) -> str:
    """A ratio, with its spread."""
    return f"{ratio.label}: {with_spread(ratio.spread)}"
