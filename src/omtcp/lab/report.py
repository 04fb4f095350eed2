"""Results as one self-contained HTML page: numbers, plots, and the links behind them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from omtcp.errors import LocalError
from omtcp.lab.plots import goodput_plot, paths_plot
from omtcp.lab.result import Result, RunResult
from omtcp.lab.table import (
    columns,
    legend,
    mbit,
    milliseconds,
    recovery_note,
    share_note,
    warnings,
)


def write_report(results: Sequence[Result], path: Path, *, title: str = "", lead: str = "") -> None:
    """Writes the page; LocalError if it cannot be written."""
    page = render(results, title=title, lead=lead)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from None


def render(results: Sequence[Result], *, title: str = "", lead: str = "") -> str:
    """The page's text. Nothing in it is loaded from elsewhere."""
    environment = Environment(
        loader=PackageLoader("omtcp.lab", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        title=title or f"omtcp lab: {results[0].case}",
        lead=lead,
        sections=[_section(result) for result in results],
        environment=results[0].environment,
    )


def _section(result: Result) -> dict[str, Any]:
    return {
        "name": result.case,
        "about": result.about,
        "figures": _figures(result),
        "warnings": warnings(result),
        # Our own SVG, in which matplotlib has escaped every text.
        "goodput": Markup(goodput_plot(result)),
        "columns": [(column.heading, column.words) for column in columns(result)],
        "rows": [[column.cell(s) for column in columns(result)] for s in result.summaries()],
        "legend": legend(result),
        "insides": [_inside(result, result.typical(sender)) for sender in result.senders()],
        "links": _links(result.description),
        "client": _client(result.description),
        "competitors": _competitors(result.description),
    }


def _figures(result: Result) -> list[dict[str, str]]:
    """The numbers that the first sender is judged by."""
    summary = result.summaries()[0]
    figures = [{"name": summary.sender, "value": mbit(summary.goodput_bps), "unit": "Mbit/s"}]
    if summary.ratio is not None:
        figures.append(
            {"name": f"over {result.reference}", "value": f"{summary.ratio:.2f}", "unit": "times"}
        )
    silence = milliseconds(summary.longest_silence_ns)
    figures.append({"name": "longest silence", "value": silence, "unit": "ms"})
    if summary.back_ns is not None:
        back = milliseconds(summary.back_ns)
        figures.append({"name": "back at 90 % after", "value": back, "unit": "ms"})
    return figures


def _inside(result: Result, run: RunResult) -> dict[str, Any]:
    """One sender's typical run; the kernel's has no inside worth a plot of its own."""
    beside = None
    if result.reference and result.reference != run.sender:
        beside = result.typical(result.reference)
    inside = run.paths and not run.sender.startswith("kernel")
    return {
        "sender": run.sender,
        "shares": [share_note(share) for share in run.shares],
        "events": [
            {
                "at": f"{recovery.at_ns / 1e9:g} s",
                "label": recovery.label,
                "note": recovery_note(recovery),
            }
            for recovery in run.recoveries
        ],
        "plot": Markup(paths_plot(result, run, beside)) if inside else "",
    }


def _links(description: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = [_link(f"uplink {index}", link) for index, link in enumerate(description["links"])]
    for row, swallow in zip(rows, description["swallow"], strict=False):
        if swallow != "none":
            row["loss"] = f"swallows {swallow}"
    if shared := description["bottleneck"]:
        behind = ", ".join(map(str, shared["uplinks"]))
        rows.append(_link(f"bottleneck of uplinks {behind}", shared))
    if rows:
        back = description["return"]
        rows.append(_link(f"return, by uplink {back['uplink']}", back))
    return rows


def _competitors(description: Mapping[str, Any]) -> str:
    """Who else sends to the client, in words."""
    return ", ".join(
        f"{group['count']} kernel CUBIC "
        + ("at the bottleneck" if group["uplink"] is None else f"on uplink {group['uplink']}")
        for group in description["competitors"]
    )


def _link(name: str, link: Mapping[str, Any]) -> dict[str, str]:
    rate, queue = link["rate_bps"], link["queue_bytes"]
    return {
        "name": name,
        "rate": "unlimited" if rate is None else f"{mbit(rate)} Mbit/s",
        "delay": f"{link['delay_ns'] / 1e6:g} ms",
        "queue": "unlimited" if queue is None else f"{queue / 1000:.0f} kB",
        "loss": link["loss"] or "none",
    }


def _client(description: Mapping[str, Any]) -> str:
    client = description["client"]
    words = [
        client["program"],
        f"{client['buffer'] // 1024} KiB buffer" if client["buffer"] else "kernel's own buffer",
        "SACK" if client["sack"] else "no SACK",
        "timestamps" if client["timestamps"] else "no timestamps",
        "asks for ECN" if client["ecn"] else "no ECN",
        f"MTU {client['mtu']}",
        f"IPv{description['family']}",
    ]
    return ", ".join(words)
