"""`omtcp bench`: how fast it is, beside what others have."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from omtcp.bench import history, machine, microbench, runner
from omtcp.bench.case import Case
from omtcp.bench.cases import CASES, find_case
from omtcp.bench.result import BenchResult
from omtcp.bench.table import case_table, micro_table, ratio_line
from omtcp.cli.lab import orderly_exit
from omtcp.errors import LocalError
from omtcp.link.spec import parse_time

_QUICK_S = 0.4
_QUICK_WARMUP_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a run is written to; page is None where plots cannot be drawn."""

    json: Path
    page: Path | None
    history: Path


def _list_cases(console: Console) -> None:
    table = Table("case", "what", "who", box=None)
    for case in CASES.values():
        table.add_row(case.name, case.about, ", ".join(each.name for each in case.subjects))
    console.print(table)


@contextmanager
def progress(console: Console) -> Iterator[runner.Watcher]:
    """A bar on a terminal; elsewhere a line per measurement."""
    if not console.is_terminal:

        def tell(step: runner.Step) -> None:
            click.echo(_describe(step), err=True)

        yield tell
        return
    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: runner.Step) -> None:
            bar.update(task, description=_describe(step), completed=step.done, total=step.total)

        yield show


def _describe(step: runner.Step) -> str:
    return f"{step.case}  {step.number + 1}/{step.rounds}  {step.subject}"


def show(result: BenchResult, console: Console) -> None:
    """Tables, ratios and doubts."""
    for case in result.cases:
        console.print(case_table(case))
        for ratio in case.ratios():
            console.print(f"  {ratio_line(ratio)}", highlight=False)
        for line in case.warnings():
            console.print(f"! {line}", highlight=False, style="yellow")
        console.print()
    if result.micro:
        console.print(micro_table(result.micro))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--case",
    "names",
    multiple=True,
    metavar="NAME",
    help="Measure this case only; repeat for several. `list` shows them.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How often each is measured; the subjects of a case take turns.",
)
@click.option("--duration", metavar="TIME", help="Of each measurement, as 3s.")
@click.option("--quick", is_flag=True, help="One short round of each, to see that it works.")
@click.option("--micro", is_flag=True, help="Only the micro-benchmarks of single functions.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench-results"),
    show_default=True,
    help="Directory of bench.json, bench.html and history.jsonl.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="All figures, to this file instead.",
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page, to this file instead.",
)
@click.option(
    "--history",
    "history_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The runs to add this one to and compare it with, in this file instead.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep logs here.",
)
def bench(
    names: tuple[str, ...],
    rounds: int,
    duration: str | None,
    quick: bool,
    micro: bool,
    output: Path,
    json_file: Path | None,
    html_file: Path | None,
    history_file: Path | None,
    keep: Path | None,
) -> None:
    """Measure omtcp beside the kernel's TCP and other stacks, in turn, on this machine.

    Makes network namespaces, lets each stack serve in them, prints medians with what the rounds
    lay between and the ratios that matter, tells which ratios fell since earlier runs, and removes
    everything again. Needs root, and a machine that is left alone meanwhile: seven minutes or so.
    """
    console = Console()
    if "list" in names:
        _list_cases(console)
        return
    if micro and names:
        raise LocalError("--micro measures functions, --case measures cases: one or the other")
    cases = [find_case(name) for name in dict.fromkeys(names)] or list(CASES.values())
    options = runner.Options(
        rounds=1 if quick else rounds,
        duration_s=_seconds(duration, quick),
        warmup_s=_QUICK_WARMUP_S if quick else 1.0,
        quick=quick,
        keep=keep,
    )
    files = _files(output, json_file, html_file, history_file, console)
    past = history.read(files.history)
    if warning := machine.busy():
        console.print(f"! {warning}", highlight=False, style="yellow")
    with orderly_exit():
        result = _measure([] if micro else cases, options)
    show(result, console)
    if result.cases or result.micro:
        _keep(result, past, files, console)
    if not result.ok:
        sys.exit(1)


def _measure(cases: list[Case], options: runner.Options) -> BenchResult:
    """The cases, or when there are none the micro-benchmarks."""
    if cases:
        with progress(Console(stderr=True)) as watch:
            return runner.run(cases, options, watch)
    click.echo("micro-benchmarks: a minute or so", err=True)
    result = runner.blank(options)
    result.micro = microbench.run(quick=options.quick)
    return result


def _keep(result: BenchResult, past: list[history.Entry], files: Files, console: Console) -> None:
    """Writes the files, and tells what fell."""
    entry = history.entry_of(result)
    falls = history.falls(entry, past)
    for fall in falls:
        console.print(f"! worse than before: {fall}", highlight=False, style="red")
    files.json.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    history.append(files.history, entry)
    if files.page is not None:
        comparable = [each for each in past if entry.comparable(each)]
        report = _plotting()
        report.write_report(result, files.page, history=[*comparable, entry], falls=falls)
        console.print(f"page: {files.page}", highlight=False, soft_wrap=True)


def _files(
    output: Path,
    json_file: Path | None,
    page: Path | None,
    history_file: Path | None,
    console: Console,
) -> Files:
    """Where things go; a wrong path, or a missing package, is better told now than in minutes."""
    given = [file for file in (json_file, page, history_file) if file is not None]
    for file in given:
        if not file.resolve().parent.is_dir():
            raise LocalError(f"cannot write {file}: no such directory")
    if len(given) < 3:
        output.mkdir(parents=True, exist_ok=True)
    try:
        _plotting()
    except LocalError as error:
        if page is not None:
            raise
        console.print(f"! no page: {error}", highlight=False, style="yellow")
        drawn = None
    else:
        drawn = page or output / "bench.html"
    return Files(
        json=json_file or output / "bench.json",
        page=drawn,
        history=history_file or output / "history.jsonl",
    )


def _plotting() -> ModuleType:
    """The report: slow to import, and its packages are an extra."""
    try:
        return import_module("omtcp.bench.report")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("omtcp"):
            raise
        raise LocalError(f"the page needs the Python package {error.name}: omtcp[lab]") from None


def _seconds(duration: str | None, quick: bool) -> float | None:
    if duration is not None:
        return parse_time(duration) / 1e9
    return _QUICK_S if quick else None
