"""Runs cases: round after round, the subjects in turn, everything taken down after each."""

import contextlib
import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from omtcp.bench import machine
from omtcp.bench.case import Case, Setting, Subject
from omtcp.bench.result import BenchResult, CaseResult, SubjectResult
from omtcp.bench.stacks import BIG, SMALL
from omtcp.errors import OmtcpError
from omtcp.lab.netns import remove_leftovers, require_host, temporary_directory

_BIG_BYTES = 256 << 20
_SMALL_BYTES = 1 << 10
_BLOCK = 1 << 24
_FILES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """rounds: how many at most. duration_s: of all windows, None for each case's own."""

    rounds: int = 3
    duration_s: float | None = None
    warmup_s: float = 1.0
    quick: bool = False
    keep: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is being measured now: round `number` of `rounds`, `done` of `total` in all."""

    case: str
    subject: str
    number: int
    rounds: int
    done: int
    total: int


Watcher = Callable[[Step], None]


def run(cases: Sequence[Case], options: Options, watch: Watcher | None = None) -> BenchResult:
    """Measures the cases, one after the other.

    A subject that fails in a round has an error in the result and its next round all the same.
    SetupError if the host cannot run the bench.
    """
    require_host()
    remove_leftovers()
    _allow_many_files()
    result = blank(options)
    with temporary_directory() as temporary:
        bench = _Bench(options, Path(temporary), plan(cases, options), watch)
        for case in cases:
            result.cases.append(bench.measure(case))
    return result


def blank(options: Options) -> BenchResult:
    """The result before anything was measured."""
    return BenchResult(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        version=machine.product_version(),
        commit=machine.commit(),
        machine=machine.describe(),
        settings={
            "rounds": options.rounds,
            "duration_s": options.duration_s,
            "warmup_s": options.warmup_s,
            "quick": options.quick,
        },
    )


def rounds_of(case: Case, options: Options) -> int:
    return min(options.rounds, case.rounds or options.rounds)


def plan(cases: Sequence[Case], options: Options) -> int:
    """How many measurements a run has, those of absent subjects included."""
    return sum(rounds_of(case, options) * len(case.subjects) for case in cases)


class _Bench:
    def __init__(
        self, options: Options, directory: Path, total: int, watch: Watcher | None
    ) -> None:
        self._options = options
        self._directory = directory
        self._total = total
        self._done = 0
        self._watch = watch
        self._root = directory / "files"
        _fill(self._root)

    def measure(self, case: Case) -> CaseResult:
        """All rounds of a case: A B, A B, ..."""
        subjects = {
            subject: SubjectResult(name=subject.name, absent=subject.absent())
            for subject in case.subjects
        }
        for number in range(rounds_of(case, self._options)):
            for subject, result in subjects.items():
                self._tell(case, subject, number)
                if result.absent is None:
                    self._round(case, subject, number, result)
                self._done += 1
        return CaseResult(case=case, subjects=list(subjects.values()))

    def _tell(self, case: Case, subject: Subject, number: int) -> None:
        if self._watch is not None:
            step = Step(
                case=case.name,
                subject=subject.name,
                number=number,
                rounds=rounds_of(case, self._options),
                done=self._done,
                total=self._total,
            )
            self._watch(step)

    def _round(self, case: Case, subject: Subject, number: int, result: SubjectResult) -> None:
        base = self._options.keep or self._directory
        directory = base / case.name / f"{number}-{subject.name.replace(' ', '-')}"
        directory.mkdir(parents=True, exist_ok=True)
        duration = self._options.duration_s
        setting = Setting(
            directory=directory,
            root=self._root,
            duration_s=case.duration_s if duration is None else duration,
            warmup_s=self._options.warmup_s,
            quick=self._options.quick,
        )
        try:
            result.rounds.append(subject.measure(setting))
        except (OmtcpError, ProcessLookupError) as error:
            result.rounds.append(None)
            result.errors.append(f"round {number + 1}: {error}")


def _fill(root: Path) -> None:
    """The files that are served. Their content does not matter, but no page of them is shared."""
    root.mkdir()
    (root / SMALL).write_bytes(os.urandom(_SMALL_BYTES))
    with (root / BIG).open("wb") as file:
        for _ in range(0, _BIG_BYTES, _BLOCK):
            file.write(os.urandom(_BLOCK))


def _allow_many_files() -> None:
    """The children of this process may hold a descriptor per connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(hard, _FILES)))
