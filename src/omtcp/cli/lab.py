"""`omtcp lab`: measure against real kernels over emulated uplinks."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from omtcp.errors import LocalError
from omtcp.lab import runner
from omtcp.lab.case import Case, Client, parse_sender
from omtcp.lab.cases import CASES, find_case
from omtcp.lab.result import Result
from omtcp.lab.sharing import parse_bottleneck, parse_competitors
from omtcp.lab.table import mbit, notes, summary_table, warnings
from omtcp.link.spec import parse_link, parse_size, parse_time

_DEFAULT_UPLINKS = ("50mbit,10ms", "50mbit,10ms")


@contextmanager
def orderly_exit() -> Iterator[None]:
    """The first SIGINT or SIGTERM unwinds the stack; later ones must not disturb that."""

    def leave(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {each: signal.signal(each, leave) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def progress_bar(case: Case, runs: int, console: Console) -> Iterator[runner.Watcher]:
    """A bar per run on a terminal; nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]:>6} Mbit/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[tuple[str, int], TaskID] = {}

        def watch(progress: runner.Progress) -> None:
            key = (progress.sender, progress.run)
            if key not in tasks:
                for done in tasks.values():
                    bar.stop_task(done)
                label = f"{progress.sender}  {progress.run + 1}/{runs}"
                tasks[key] = bar.add_task(label, total=1.0, rate="")
            done_share = progress.now_ns / case.duration_ns
            if case.size is not None:
                done_share = progress.received / (case.size * case.downloads)
            bar.update(
                tasks[key],
                completed=min(done_share, 1.0),
                rate=mbit(progress.rate_bps),
            )

        yield watch


def show(result: Result, console: Console) -> None:
    """The table, shares, how events were taken, and what makes the numbers doubtful."""
    console.print(summary_table(result))
    for sender in result.senders():
        if lines := notes(result.typical(sender)):
            console.print(f"{sender}:", highlight=False)
            for line in lines:
                console.print(f"  {line}", highlight=False)
    for line in warnings(result):
        console.print(f"! {line}", highlight=False, style="yellow")


def _list_cases(console: Console) -> None:
    table = Table("case", "what", box=None)
    for case in CASES.values():
        table.add_row(case.name, case.about)
    console.print(table)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--case", "name", metavar="NAME", help="A case by name; `list` shows them.")
@click.option(
    "--uplink",
    "uplinks",
    multiple=True,
    metavar="RATE,DELAY[,...]",
    help="An uplink, as 50mbit,10ms[,loss=1%][,queue=1bdp][,jitter=2ms][,mark=30kB]"
    "[,swallow=data]. Repeat.",
)
@click.option(
    "--bottleneck",
    metavar="RATE[,...]",
    help="A link that all uplinks lead into, as 50mbit[,DELAY][,queue=1bdp][,uplinks=0+1].",
)
@click.option(
    "--competitors",
    multiple=True,
    metavar="N[@UPLINK]",
    help="Kernel CUBIC flows through the bottleneck, or through one uplink. Repeat.",
)
@click.option("--fair-from", metavar="TIME", help="Tell shares from this time on too, as 5s.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="TIME:VERB:N[:VALUE]",
    help="4s:cut:0, 8s:restore:0, 5s:rate:0:5mbit, 5s:delay:1:50ms, 5s:loss:0:2%, "
    "5s:return:1, 5s:swallow:0:data, flap:0:3s, random:SEED. Repeat.",
)
@click.option(
    "--sender",
    "senders",
    multiple=True,
    metavar="NAME[:...]",
    help="omtcp[:primary|pooled|single][:reno|cubic][:--OPTION=VALUE], or "
    "kernel[:UPLINK][:reno|cubic|bbr], or mptcp[:reno|cubic|bbr]. Repeat.",
)
@click.option("--duration", metavar="TIME", help="How long each run lasts, as 15s.")
@click.option("--runs", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--size", metavar="SIZE", help="Fetch a file of this size once, as 100MB.")
@click.option("--downloads", type=click.IntRange(1, 1000), help="How many clients at once.")
@click.option("--client-buffer", metavar="SIZE", help="The client's receive buffer, as 64KiB.")
@click.option("--no-sack", is_flag=True, help="A client without SACK.")
@click.option("--no-timestamps", is_flag=True, help="A client without timestamps.")
@click.option("--ecn", is_flag=True, help="A client that asks for ECN.")
@click.option("--client-mtu", type=click.IntRange(576, 9000), help="The client's MTU.")
@click.option("--receiver", type=click.Choice(["sink", "curl"]), help="Who downloads.")
@click.option("--return", "back", type=click.IntRange(0), help="Uplink of the client's packets.")
@click.option("--reference", type=click.IntRange(0), help="Uplink of the kernel sender.")
@click.option("--ipv6", is_flag=True, help="Serve over IPv6.")
@click.option("--direct", is_flag=True, help="Plain veths with offloads, no emulation.")
@click.option("--seed", type=int, help="Of the links' random losses and jitter.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep logs and traces here."
)
@click.pass_context
def lab(
    context: click.Context,
    /,
    name: str | None,
    runs: int,
    json_file: Path | None,
    html_file: Path | None,
    keep: Path | None,
    **options: Any,
) -> None:
    """Measure senders against an unmodified kernel receiver over emulated uplinks.

    Makes network namespaces, runs each sender in turn, prints what was measured, and removes
    everything again. Needs root.
    """
    if context.invoked_subcommand is not None:
        return
    console = Console()
    if name == "list":
        _list_cases(console)
        return
    case = build_case(name, options)
    _check_writable(json_file, html_file)
    if html_file is not None:
        _plotting("omtcp.lab.report")
    with orderly_exit(), progress_bar(case, runs, Console(stderr=True)) as watch:
        result = runner.run(case, runs=runs, watch=watch, keep=keep)
    show(result, console)
    if json_file is not None:
        runner.write_json(result, json_file)
    if html_file is not None:
        _plotting("omtcp.lab.report").write_report([result], html_file)
        console.print(f"report: {html_file}", highlight=False, soft_wrap=True)
    if not result.ok:
        sys.exit(1)


@lab.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("lab-results"),
    show_default=True,
    help="Directory of the page and the JSON.",
)
def demo(output: Path) -> None:
    """A download of 100 MB by curl that outlives the cut of its better uplink."""
    module = _plotting("omtcp.lab.demo")
    console = Console()
    console.print("Two uplinks, 80 Mbit/s and 40 Mbit/s; the faster one is cut halfway.")
    with orderly_exit(), progress_bar(module.DEMO, 1, Console(stderr=True)) as watch:
        result, page = module.run_demo(output, watch)
    show(result, console)
    for line in module.story(result):
        console.print(line, highlight=False)
    console.print(f"page: {page.resolve()}", highlight=False, soft_wrap=True)
    ours = result.runs[0]
    if not (ours.ok and ours.complete):
        sys.exit(1)


def _plotting(name: str) -> ModuleType:
    """A module that plots: slow to import, and its packages are an extra."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("omtcp"):
            raise
        raise LocalError(
            f"the report needs the Python package {error.name}: install omtcp[lab]"
        ) from None


def _check_writable(*files: Path | None) -> None:
    """A wrong path is better told before the runs than after them."""
    for file in files:
        if file is not None and not file.resolve().parent.is_dir():
            raise LocalError(f"cannot write {file}: no such directory")


def build_case(name: str | None, options: dict[str, Any]) -> Case:
    """The named case, or a plain one, with the command line's wishes."""
    changes: dict[str, Any] = {}
    uplinks = options["uplinks"]
    if not uplinks and name is None:
        uplinks = _DEFAULT_UPLINKS
    if uplinks:
        changes["uplinks"] = tuple(parse_link(text) for text in uplinks)
        changes["about"] = " and ".join(uplinks)
    if senders := options["senders"]:
        changes["senders"] = tuple(parse_sender(text) for text in senders)
    if competitors := options["competitors"]:
        changes["competitors"] = tuple(parse_competitors(text) for text in competitors)
    conversions: tuple[tuple[str, str, Callable[[str], object]], ...] = (
        ("duration", "duration_ns", parse_time),
        ("size", "size", parse_size),
        ("bottleneck", "bottleneck", parse_bottleneck),
        ("fair_from", "fair_from_ns", parse_time),
    )
    for option, field, convert in conversions:
        if (text := options[option]) is not None:
            changes[field] = convert(str(text))
    for option, field in (
        ("downloads", "downloads"),
        ("back", "return_uplink"),
        ("reference", "reference"),
        ("seed", "seed"),
        ("events", "events"),
    ):
        if options[option] not in (None, ()):
            changes[field] = options[option]
    if options["ipv6"]:
        changes["family"] = 6
    if options["direct"]:
        changes["direct"] = True
    base = find_case(name) if name else None
    changes["client"] = _client(base.client if base else Client(), options)
    return replace(base, **changes) if base else Case(**changes)


def _client(base: Client, options: dict[str, Any]) -> Client:
    changes: dict[str, Any] = {}
    if options["client_buffer"] is not None:
        changes["buffer"] = parse_size(str(options["client_buffer"]))
    if options["no_sack"]:
        changes["sack"] = False
    if options["no_timestamps"]:
        changes["timestamps"] = False
    if options["ecn"]:
        changes["ecn"] = True
    if options["client_mtu"] is not None:
        changes["mtu"] = options["client_mtu"]
    if options["receiver"] is not None:
        changes["program"] = options["receiver"]
    return replace(base, **changes)
