"""Results for tests: two subjects, goodput as given, a processor cost of 2 and 4."""

from collections.abc import Mapping

from omtcp.bench.case import Case, Ratio, Setting, Subject
from omtcp.bench.result import BenchResult, CaseResult, SubjectResult


def never(setting: Setting) -> Mapping[str, float]:
    """For subjects that are not to be measured."""
    raise AssertionError(setting)


CASE = Case(
    name="bulk",
    about="a test",
    subjects=tuple(Subject(name=name, measure=never) for name in ("ours", "theirs")),
    metrics=("goodput", "cpu_per_gb"),
    ratios=(
        Ratio(metric="goodput", of="ours", to="theirs"),
        Ratio(metric="cpu_per_gb", of="ours", to="theirs"),
    ),
)


def measured(ours: list[float], theirs: list[float]) -> CaseResult:
    """A case's result with these goodputs, round by round."""
    return CaseResult(
        case=CASE,
        subjects=[
            SubjectResult(name="ours", rounds=[{"goodput": v, "cpu_per_gb": 2.0} for v in ours]),
            SubjectResult(
                name="theirs", rounds=[{"goodput": v, "cpu_per_gb": 4.0} for v in theirs]
            ),
        ],
    )


def bench(*cases: CaseResult, quick: bool = False, processor: str = "x") -> BenchResult:
    """A run of these cases."""
    return BenchResult(
        date="2026-01-02T03:04:05+00:00",
        version="1",
        commit="abc",
        machine={"processor": processor, "processors": "2", "kernel": "6", "python": "3"},
        settings={"rounds": 3, "quick": quick},
        cases=list(cases),
    )
