"""`omtcp lab` before it runs anything: options, cases, and one line when they make no sense."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from omtcp.cli.lab import lab
from omtcp.cli.main import run as run_command
from omtcp.errors import SetupError
from omtcp.lab import Case, Client, Result, SenderSpec, runner
from omtcp.lab.cases import CASES, find_case
from omtcp.lab.netns import require_host
from omtcp.lab.sharing import Competitors


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Case, int]]:
    """The cases that would have been run."""
    cases: list[tuple[Case, int]] = []

    def record(case: Case, *, runs: int, **_: object) -> Result:
        cases.append((case, runs))
        raise SetupError("recorded")

    monkeypatch.setattr(runner, "run", record)
    return cases


def ask(*arguments: str) -> None:
    assert run_command(["lab", *arguments]) == 1


def test_the_plain_case(asked: list[tuple[Case, int]]) -> None:
    ask()
    ((case, runs),) = asked
    assert [uplink.text for uplink in case.uplinks] == ["50mbit,10ms"] * 2
    assert [sender.label for sender in case.senders] == ["omtcp primary cubic", "kernel cubic"]
    assert (case.duration_ns, runs) == (15_000_000_000, 1)


def test_every_option(asked: list[tuple[Case, int]]) -> None:
    ask(
        "--uplink=5mbit,1ms", "--uplink=6mbit,2ms", "--event=1s:cut:0", "--sender=omtcp:pooled",
        "--duration=3s", "--runs=2", "--size=1MB", "--downloads=4", "--client-buffer=64KiB",
        "--no-sack", "--no-timestamps", "--ecn", "--client-mtu=1280", "--receiver=curl",
        "--return=1", "--reference=1", "--ipv6", "--seed=9", "--bottleneck=9mbit,uplinks=1",
        "--competitors=2", "--competitors=1@0", "--fair-from=1s",
    )  # fmt: skip
    ((case, runs),) = asked
    assert runs == 2
    assert case.client == Client(
        buffer=65536, sack=False, timestamps=False, ecn=True, mtu=1280, program="curl"
    )
    assert case.senders == (SenderSpec(mode="pooled"),)
    assert (case.size, case.downloads, case.duration_ns) == (1_000_000, 4, 3_000_000_000)
    assert (case.return_uplink, case.reference, case.family, case.seed) == (1, 1, 6, 9)
    assert case.events == ("1s:cut:0",)
    assert case.behind() == (1,)
    assert case.competitors == (Competitors(count=2), Competitors(count=1, uplink=0))
    assert case.fair_from_ns == 1_000_000_000


def test_a_named_case_keeps_what_is_not_overridden(asked: list[tuple[Case, int]]) -> None:
    ask("--case=uneven-64k", "--duration=5s")
    ((case, _),) = asked
    assert case.client == find_case("uneven-64k").client
    assert case.uplinks == find_case("uneven-64k").uplinks
    assert case.duration_ns == 5_000_000_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--case=nothing"],
        ["--uplink=fast"],
        ["--event=soon:cut:0"],
        ["--event=1s:cut:2"],
        ["--sender=quic"],
        ["--duration=long"],
        ["--client-buffer=big"],
        ["--return=7"],
        ["--json=/nowhere/at/all.json"],
        ["--direct", "--event=1s:cut:0"],
        ["--competitors=2"],
        ["--bottleneck=fast"],
        ["--fair-from=1h"],
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], asked: list[tuple[Case, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["lab", *arguments]) in (1, 2)
    assert asked == []
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("omtcp: ")


def test_the_list_of_cases() -> None:
    output = CliRunner().invoke(lab, ["--case", "list"]).output
    assert all(name in output for name in CASES)


def test_only_root_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="root"):
        require_host()


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="iproute2"):
        require_host()


def test_a_report_without_its_packages_is_refused_before_the_runs(
    asked: list[tuple[Case, int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "omtcp.lab.report", None)
    monkeypatch.delitem(sys.modules, "omtcp.lab.report")
    monkeypatch.delitem(sys.modules, "omtcp.lab.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ask(f"--html={tmp_path / 'page.html'}")
    assert asked == []
    assert "install omtcp[lab]" in capsys.readouterr().err
