"""Turns, failures and options, with subjects that measure nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from omtcp.bench import machine, runner
from omtcp.bench.case import Case, Figures, Ratio, Setting, Subject
from omtcp.bench.cases import CASES, find_case
from omtcp.bench.metrics import METRICS
from omtcp.bench.runner import Options, Step, run
from omtcp.cli.bench import bench
from omtcp.cli.main import run as run_command
from omtcp.errors import LocalError, SetupError


@pytest.fixture(autouse=True)
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "require_host", lambda: None)
    monkeypatch.setattr(runner, "remove_leftovers", list)
    monkeypatch.setattr(runner, "_allow_many_files", lambda: None)
    monkeypatch.setattr(machine, "busy", lambda: None)
    monkeypatch.setattr(runner, "_BIG_BYTES", 1)
    monkeypatch.setattr(runner, "_BLOCK", 1)


def case(measure: Callable[[str, Setting], Figures], **more: int) -> Case:
    def subject(name: str) -> Subject:
        return Subject(name=name, measure=lambda setting: measure(name, setting))

    return Case(
        name="fake",
        about="",
        subjects=(subject("a"), subject("b")),
        metrics=("goodput",),
        **more,  # type: ignore[arg-type]
    )


def test_subjects_take_turns() -> None:
    turns: list[tuple[str, float]] = []

    def measure(name: str, setting: Setting) -> Figures:
        assert (setting.root / "big").exists()
        assert setting.directory.is_dir()
        turns.append((name, setting.duration_s))
        return {"goodput": 1.0}

    steps: list[Step] = []
    result = run([case(measure)], Options(rounds=2), steps.append)
    assert [name for name, _ in turns] == ["a", "b", "a", "b"]
    assert {duration for _, duration in turns} == {3.0}
    assert [(step.done, step.total) for step in steps] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert result.ok


def test_a_case_may_limit_its_rounds_and_the_user_set_its_time() -> None:
    durations: list[float] = []

    def measure(name: str, setting: Setting) -> Figures:
        durations.append(setting.duration_s)
        return {"goodput": 1.0}

    run([case(measure, rounds=1)], Options(rounds=5, duration_s=0.5))
    assert durations == [0.5, 0.5]


def test_a_failure_spoils_one_round_of_one_subject() -> None:
    def measure(name: str, setting: Setting) -> Figures:
        if name == "a" and setting.directory.name.startswith("0"):
            raise SetupError("it fell")
        return {"goodput": 1.0}

    result = run([case(measure)], Options(rounds=2))
    (measured,) = result.cases
    assert measured.subject("a").rounds == [None, {"goodput": 1.0}]
    assert measured.subject("a").errors == ["round 1: it fell"]
    assert len(measured.subject("b").rounds) == 2
    assert not result.ok


def test_an_absent_subject_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(name: str, setting: Setting) -> Figures:
        raise AssertionError(name)

    gone = Subject(name="a", measure=lambda setting: measure("a", setting), absent=lambda: "gone")
    result = run([Case(name="x", about="", subjects=(gone,), metrics=("goodput",))], Options())
    assert result.cases[0].subjects[0].absent == "gone"
    assert result.cases[0].subjects[0].rounds == []


@pytest.mark.parametrize("name", CASES)
def test_cases_name_metrics_and_subjects_that_exist(name: str) -> None:
    found = find_case(name)
    names = [subject.name for subject in found.subjects]
    assert len(set(names)) == len(names)
    assert set(found.metrics) <= METRICS.keys()
    for ratio in found.ratios:
        assert {ratio.of, ratio.to} <= set(names)
        assert ratio.metric in METRICS


def test_an_unknown_case_is_a_local_error() -> None:
    with pytest.raises(LocalError, match="no such case"):
        find_case("nonsense")


def test_the_list_names_every_case() -> None:
    done = CliRunner().invoke(bench, ["--case", "list"])
    assert done.exit_code == 0
    for name in CASES:
        assert name in done.output


def test_a_run_writes_its_files_and_the_next_one_compares(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goodputs = iter([2.0, 1.0, 1.0, 1.0])
    ratio = Ratio(metric="goodput", of="a", to="b")
    fake = replace(case(lambda name, setting: {"goodput": next(goodputs)}), ratios=(ratio,))
    monkeypatch.setitem(CASES, "fake", fake)
    command = ["bench", "--case=fake", "--rounds=1", f"--output={tmp_path}"]
    assert run_command(command) == 0
    assert "worse" not in capsys.readouterr().out
    assert run_command([*command, f"--json={tmp_path}/other.json"]) == 0
    assert "worse than before: fake: goodput: a / b: 1, it was 2" in capsys.readouterr().out
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    first = json.loads((tmp_path / "bench.json").read_text())
    second = json.loads((tmp_path / "other.json").read_text())
    assert first["cases"][0]["ratios"]["fake: goodput: a / b"]["median"] == 2.0
    assert second["cases"][0]["ratios"]["fake: goodput: a / b"]["median"] == 1.0
    assert "it was 2" in (tmp_path / "bench.html").read_text()


def test_a_run_with_a_failure_says_so_with_its_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(name: str, setting: Setting) -> Figures:
        raise SetupError("it fell")

    monkeypatch.setitem(CASES, "fake", case(measure))
    with pytest.raises(SystemExit) as left:
        run_command(["bench", "--case=fake", "--rounds=1", f"--output={tmp_path}"])
    assert left.value.code == 1
    assert "a: round 1: it fell" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--case=nonsense"],
        ["--json=/nowhere/x.json"],
        ["--history=/nowhere/x"],
        ["--duration=soon"],
        ["--rounds=0"],
        ["--micro", "--case=bulk"],
    ],
    ids=str,
)
def test_bad_input_is_one_line(
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["bench", *arguments]) in (1, 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_without_root_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse() -> None:
        raise SetupError("must be run as root")

    monkeypatch.setattr(runner, "require_host", refuse)
    assert run_command(["bench", "--quick"]) == 1
    assert capsys.readouterr().err == "omtcp: must be run as root\n"


def test_logs_are_kept_where_asked(tmp_path: Path) -> None:
    def measure(name: str, setting: Setting) -> Figures:
        (setting.directory / "log").write_text(name)
        return {"goodput": 1.0}

    run([case(measure)], Options(rounds=1, keep=tmp_path))
    assert (tmp_path / "fake" / "0-a" / "log").read_text() == "a"
