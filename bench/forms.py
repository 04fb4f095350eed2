"""Forms of omtcp in turn on one machine: what compiling it is worth.

    make wheel && pip install --no-deps --target build/wheel dist/omtcp-*.whl
    python bench/forms.py handshakes pure=src compiled=build/wheel     # as root

Runs a case of `omtcp bench` with one subject per NAME=DIRECTORY, the omtcp that is found there
(the first on PYTHONPATH), and with the kernel's for comparison. The load generators and what
measures are the same for all. Ratios are those of each form to the first, round by round.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from omtcp.bench.case import Case, Figures, Ratio, Setting, Subject
from omtcp.bench.cases import find_case
from omtcp.bench.runner import Options, run
from omtcp.bench.stacks import ASYNCIO, KERNEL, OMTCP
from omtcp.bench.table import case_table, ratio_line

ROUNDS = 3


@contextmanager
def preferring(directory: str) -> Iterator[None]:
    """Programs that are started meanwhile import from `directory` first."""
    os.environ["PYTHONPATH"] = directory
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]


def form(subject: Subject, name: str, directory: str) -> Subject:
    """The same subject, of the omtcp in `directory`."""

    def measure(setting: Setting) -> Figures:
        with preferring(directory):
            return subject.measure(setting)

    return replace(subject, name=name, measure=measure)


def compared(case: Case, forms: dict[str, str]) -> Case:
    """The case with a subject for each form."""
    (ours,) = (subject for subject in case.subjects if subject.name == OMTCP)
    kernels = [subject for subject in case.subjects if subject.name in (KERNEL, ASYNCIO)]
    first, *others = forms
    return replace(
        case,
        subjects=(*(form(ours, name, place) for name, place in forms.items()), *kernels),
        ratios=tuple(
            Ratio(metric=metric, of=other, to=first) for metric in case.metrics for other in others
        ),
    )


def main(name: str, *forms: str) -> None:
    places = {each.partition("=")[0]: str(Path(each.partition("=")[2]).resolve()) for each in forms}
    result = run([compared(find_case(name), places)], Options(rounds=ROUNDS))
    console = Console(width=160)
    for case in result.cases:
        console.print(case_table(case))
        for ratio in case.ratios():
            console.print(ratio_line(ratio), highlight=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
