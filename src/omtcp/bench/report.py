"""A run as one self-contained HTML page: figures, ratios, and what became of them over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from omtcp.bench.history import Entry, Fall
from omtcp.bench.metrics import METRICS
from omtcp.bench.plots import case_plot, history_plot
from omtcp.bench.result import BenchResult, CaseResult
from omtcp.bench.table import cells, number, with_spread
from omtcp.errors import LocalError

_RUNS_SHOWN = 20


def write_report(
    result: BenchResult, path: Path, *, history: Sequence[Entry] = (), falls: Sequence[Fall] = ()
) -> None:
    """Writes the page; LocalError if it cannot be written."""
    page = render(result, history=history, falls=falls)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from None


def render(
    result: BenchResult, *, history: Sequence[Entry] = (), falls: Sequence[Fall] = ()
) -> str:
    """The page's text, nothing in it is loaded from elsewhere.

    `history` are the runs up to and with this one, oldest first; `falls` are this one's.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("omtcp.bench", "."), PackageLoader("omtcp.lab", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    template = environment.get_template("bench.html.j2")
    shown = list(history)[-_RUNS_SHOWN:]
    return template.render(
        result=result,
        falls=[str(fall) for fall in falls],
        sections=[_section(case, shown) for case in result.cases],
        runs=len(shown),
        micro=[(micro.name, with_spread(micro.ns)) for micro in result.micro],
        absent=sorted(
            {
                f"{subject.name}: {subject.absent}"
                for case in result.cases
                for subject in case.subjects
                if subject.absent is not None
            }
        ),
    )


def _section(case: CaseResult, history: Sequence[Entry]) -> dict[str, Any]:
    ratios = case.ratios()
    rows = [cells(case, subject) for subject in case.subjects if subject.absent is None]
    past = len(history) > 1 and ratios
    return {
        "name": case.case.name,
        "about": case.case.about,
        "headings": [METRICS[metric].heading for metric in case.case.metrics],
        "meanings": [(METRICS[m].heading, METRICS[m].about) for m in case.case.metrics],
        "rows": rows,
        "ratios": [
            {
                "label": ratio.label,
                "median": number(ratio.spread.median),
                "spread": with_spread(ratio.spread),
                "better": ratio.spread.median >= 1,
            }
            for ratio in ratios
        ],
        "warnings": case.warnings(),
        # Our own SVG, in which matplotlib has escaped every text.
        "plot": Markup(case_plot(case)) if rows else "",
        "history": Markup(history_plot(ratios, history)) if past else "",
    }
