"""`omtcp bench`: how fast it is, beside what others have."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from omtcp.bench import machine, runner
from omtcp.bench.cases import CASES, find_case
from omtcp.bench.result import BenchResult
from omtcp.bench.table import case_table, ratio_line
from omtcp.cli.lab import orderly_exit
from omtcp.errors import LocalError
from omtcp.link.spec import parse_time

_QUICK_S = 0.4
_QUICK_WARMUP_S = 0.2


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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--case",
    "names",
    multiple=True,
    metavar="NAME",
    help="Measure this case only; repeat for several. `list` shows them.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="A B A B ..."
)
@click.option(
    "--duration", metavar="TIME", help="Of each measurement, as 3s; cases have their own."
)
@click.option("--quick", is_flag=True, help="One short round of each, to see that it works.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the processes' logs here.",
)
def bench(
    names: tuple[str, ...],
    rounds: int,
    duration: str | None,
    quick: bool,
    json_file: Path | None,
    keep: Path | None,
) -> None:
    """Measure omtcp beside the kernel's TCP and other stacks, in turn, on this machine.

    Makes network namespaces, lets each stack serve in them, prints medians with what the rounds
    lay between, and the ratios that matter, and removes everything again. Needs root, and a
    machine that is left alone meanwhile.
    """
    console = Console()
    if "list" in names:
        _list_cases(console)
        return
    cases = [find_case(name) for name in dict.fromkeys(names)] or list(CASES.values())
    options = runner.Options(
        rounds=1 if quick else rounds,
        duration_s=_seconds(duration, quick),
        warmup_s=_QUICK_WARMUP_S if quick else 1.0,
        quick=quick,
        keep=keep,
    )
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise LocalError(f"cannot write {json_file}: no such directory")
    if warning := machine.busy():
        console.print(f"! {warning}", highlight=False, style="yellow")
    with orderly_exit(), progress(Console(stderr=True)) as watch:
        result = runner.run(cases, options, watch)
    show(result, console)
    if json_file is not None:
        json_file.write_text(json.dumps(result.to_json(), indent=1) + "\n")
    if not result.ok:
        sys.exit(1)


def _seconds(duration: str | None, quick: bool) -> float | None:
    if duration is not None:
        return parse_time(duration) / 1e9
    return _QUICK_S if quick else None
