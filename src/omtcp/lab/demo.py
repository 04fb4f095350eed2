"""The newcomer's first minute: a download that outlives its better uplink.

Two emulated uplinks, `omtcp serve` on them, an unmodified curl that fetches 100 MB; halfway the
better uplink is cut. Beside it kernel TCP on that uplink, which is what everybody has today.
"""

from dataclasses import replace
from pathlib import Path

from omtcp.lab.case import Case, Client, SenderSpec
from omtcp.lab.report import write_report
from omtcp.lab.result import Result
from omtcp.lab.runner import Watcher, run, write_json
from omtcp.link.spec import parse_link

_SECOND = 1_000_000_000
FILE_BYTES = 100_000_000
CUT_NS = 4 * _SECOND
"""About halfway, whether the sender uses one uplink or both."""

DEMO = Case(
    name="demo",
    about="100 MB to an unmodified curl; the better of two uplinks is cut halfway",
    uplinks=(parse_link("80mbit,10ms"), parse_link("40mbit,15ms")),
    size=FILE_BYTES,
    duration_ns=40 * _SECOND,
    events=(f"{CUT_NS // 1_000_000}ms:cut:0",),
    client=Client(program="curl"),
    senders=(SenderSpec(),),
)
# The kernel's download stands still for good: there is nothing to wait for after a while.
REFERENCE = replace(
    DEMO,
    duration_ns=15 * _SECOND,
    senders=(SenderSpec(kind="kernel"),),
)


def run_demo(directory: Path, watch: Watcher | None = None) -> tuple[Result, Path]:
    """Runs both senders; the result and the page, which lies in `directory` with the JSON."""
    directory.mkdir(parents=True, exist_ok=True)
    result = run(DEMO, watch=watch)
    reference = run(REFERENCE, watch=watch)
    for stalled in reference.runs:
        stalled.errors = [error for error in stalled.errors if "in time" not in error]
    result.runs += reference.runs
    result.reference = reference.reference
    page = directory / "demo.html"
    write_json(result, directory / "demo.json")
    write_report(
        [result],
        page,
        title="One download, two uplinks, one cut",
        lead="An unmodified curl downloads 100 MB over one ordinary TCP connection. Halfway the"
        " faster uplink is cut. omtcp goes on over the other one; kernel TCP, on the faster uplink"
        " alone, has nowhere to go.",
    )
    return result, page


def story(result: Result) -> list[str]:
    """What happened, in sentences for a terminal."""
    ours, kernel = result.runs[0], result.runs[-1]
    seconds = ours.elapsed_ns / 1e9
    cut = next((r for r in ours.recoveries if r.label.startswith("cut")), None)
    lines = [
        f"curl received {ours.received / 1e6:.0f} MB in {seconds:.1f} s"
        f" ({ours.goodput_bps / 1e6:.1f} Mbit/s); "
        + ("the checksum is right." if ours.checksum_ok else "THE CHECKSUM IS WRONG."),
    ]
    if cut is not None:
        lines.append(
            f"The better uplink was cut at {cut.at_ns / 1e9:g} s:"
            f" curl heard nothing for {cut.silence_ns / 1e6:.0f} ms, then went on."
        )
    if kernel is not ours and not kernel.complete:
        lines.append(
            f"Kernel TCP on that uplink stopped at {kernel.received / 1e6:.0f} MB and was given up"
            f" after {kernel.elapsed_ns / 1e9:.0f} s."
        )
    return lines
