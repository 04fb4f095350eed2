"""Medians, ratios, tables and the page."""

import io
import json
import re
from typing import Any

from rich.console import Console

from omtcp.lab.case import Case
from omtcp.lab.fairness import Share
from omtcp.lab.report import render
from omtcp.lab.result import PathSeries, Recovery, Result, RunResult
from omtcp.lab.runner import describe
from omtcp.lab.sharing import Competitors, parse_bottleneck
from omtcp.lab.table import columns, legend, notes, summary_table, warnings
from omtcp.link import parse_link

MS = 1_000_000


def one(sender: str, mbps: float, **more: Any) -> RunResult:
    values: dict[str, Any] = {
        "sender": sender,
        "run": 0,
        "goodput_bps": mbps * 1e6,
        "received": 1000,
        "elapsed_ns": 10_000 * MS,
        "first_byte_ns": 40 * MS,
        "longest_silence_ns": 50 * MS,
        "checksum_ok": True,
        "complete": True,
        "errors": [],
        "goodput": [(0.05, 10.0), (0.15, mbps)],
    }
    return RunResult(**(values | more))


def result(*runs: RunResult, events: tuple[str, ...] = ()) -> Result:
    links = (parse_link("50mbit,10ms"), parse_link("50mbit,15ms,loss=1%"))
    case = Case(uplinks=links, events=events)
    return Result(
        case="trial",
        about="two <uplinks>",
        description=describe(case),
        environment={"kernel": "6", "python": "3", "processors": "2"},
        reference="kernel cubic",
        events=[(step.at_ns / 1e9, step.label) for step in case.script()],
        runs=list(runs),
    )


def test_medians_and_the_ratio_to_the_reference() -> None:
    runs = [one("omtcp", mbps) for mbps in (30, 90, 45)]
    runs += [one("kernel cubic", mbps) for mbps in (50, 10, 60)]
    ours, kernel = result(*runs).summaries()
    assert ours.goodput_bps == 45e6
    assert ours.ratio == 0.9
    assert kernel.ratio is None
    assert ours.runs == 3
    assert result(*runs).typical("omtcp").goodput_bps == 45e6


def test_a_second_ratio_when_mptcp_is_in_the_run() -> None:
    plain = result(one("omtcp", 30), one("kernel cubic", 50))
    assert "ratio mptcp" not in [column.heading for column in columns(plain)]
    both = result(one("omtcp", 30), one("kernel cubic", 50), one("mptcp cubic", 60))
    both.mptcp = "mptcp cubic"
    shown = columns(both)
    place = [column.heading for column in shown].index("ratio mptcp")
    cells = [shown[place].cell(summary) for summary in both.summaries()]
    assert cells == ["0.500", "0.833", "-"]
    assert [summary.ratio for summary in both.summaries()] == [0.6, None, 1.2]
    assert "MPTCP" in legend(both)
    assert "MPTCP" not in legend(plain)
    page = render([both])
    assert "ratio mptcp" in page
    assert both.to_json()["summary"][0]["mptcp_ratio"] == 0.5


def test_a_ratio_to_a_sender_that_sent_nothing() -> None:
    ours, _ = result(one("omtcp", 30), one("kernel cubic", 0)).summaries()
    assert ours.ratio == 0


def test_one_bad_run_fails_the_sender() -> None:
    wrong = result(one("omtcp", 1), one("omtcp", 1, checksum_ok=False))
    assert not wrong.summaries()[0].ok
    assert not wrong.ok
    assert not result().ok
    assert result(one("omtcp", 1)).ok


def fell(back: int | None) -> list[Recovery]:
    return [Recovery(label="cut 0", at_ns=MS, target_bps=1.0, back_ns=back)]


def test_the_way_back_is_a_median_and_never_is_never() -> None:
    backs = [one("omtcp", 1, recoveries=fell(back)) for back in (5, 700, None)]
    assert result(*backs).summaries()[0].back_ns == 700
    lost = [one("omtcp", 1, recoveries=fell(back)) for back in (5, None, None)]
    assert result(*lost).summaries()[0].back_ns is None


def test_the_table_fits_a_terminal() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    runs = (one("omtcp primary cubic", 45.6), one("kernel cubic", 47), one("mptcp cubic", 91))
    full = result(*runs)
    console.print(summary_table(full))
    full.mptcp = "mptcp cubic"
    full.runs[0].shares = shares(1.234)
    console.print(summary_table(full))
    text = console.export_text()
    for number in ("45.6", "0.970", "0.501", "1.23"):
        assert number in text
    assert "…" not in text


def test_doubts_are_told() -> None:
    busy = {"late_share": 0.05, "worst_lateness_ns": 30 * MS, "overruns": 3}
    lines = warnings(result(one("omtcp", 1, emulator=busy, errors=["it broke"])))
    assert len(lines) == 3
    assert any("it broke" in line for line in lines)
    assert warnings(result(one("omtcp", 1))) == []


def test_a_missing_subflow_is_told() -> None:
    found = result(one("mptcp cubic", 1, paths={1: PathSeries()}), one("omtcp", 1))
    found.mptcp = "mptcp cubic"
    assert warnings(found) == ["mptcp cubic, run 1: no subflow on uplink 0"]


def test_events_are_told_in_words() -> None:
    recovery = Recovery(
        label="restore 0", at_ns=8000 * MS, target_bps=1.0, back_ns=120 * MS, reuse_ns=300 * MS,
        ping_ns=90 * MS, silence_ns=20 * MS, data_ns=95 * MS,
    )  # fmt: skip
    (line,) = notes(one("omtcp", 1, recoveries=[recovery]))
    assert "8.00 s  restore 0" in line
    for number in ("20 ms", "120 ms", "90 ms", "95 ms", "300 ms"):
        assert number in line


def test_of_very_many_events_the_longest_silences_are_told() -> None:
    many = [
        Recovery(label=f"cut {at}", at_ns=at * MS, target_bps=0, back_ns=None, silence_ns=at * MS)
        for at in range(100)
    ]
    heading, *lines = notes(one("omtcp", 1, recoveries=many))
    assert heading == "the 8 longest silences of 100 events:"
    assert [f"cut {at}:" in line for at, line in enumerate(lines, 92)] == [True] * 8
    assert len(notes(one("omtcp", 1, recoveries=many[:20]))) == 20


def shares(*ratios: float) -> list[Share]:
    return [
        Share(
            from_ns=index * 5000 * MS, measured_bps=9e6, competitors_bps=[1e7, 8e6], ratio=each,
            jain=0.99,
        )
        for index, each in enumerate(ratios)
    ]  # fmt: skip


def test_shares_are_told_in_words_and_the_last_one_in_the_table() -> None:
    runs = [one("omtcp", 9, shares=shares(1.5, late)) for late in (0.8, 1.2, 1.1)]
    fair = result(*runs)
    whole, late = notes(fair.runs[0])
    assert whole == (
        "whole run: 9.0 beside 8.0 10.0 Mbit/s, ratio to the mean 1.500"
        " (theirs 0.89 to 1.11), Jain 0.990"
    )
    assert late.startswith("from 5 s on: ")
    assert fair.summaries()[0].share == 1.1
    (column,) = [column for column in columns(fair) if column.heading == "share"]
    assert column.cell(fair.summaries()[0]) == "1.10"
    assert "share" not in [column.heading for column in columns(result(one("omtcp", 9)))]
    fair.reference = None
    assert "from 5 s on: 9.0 beside" in render([fair])


def full_result() -> Result:
    paths = {
        0: PathSeries(cwnd=[(0.1, 1e5), (5, 2e5)], srtt_ms=[(0.1, 20), (5, 30)]),
        1: PathSeries(cwnd=[(0.1, 1e5)], srtt_ms=[(0.1, 25)]),
    }
    ours = one(
        "omtcp primary cubic",
        46,
        paths=paths,
        primary=[(0.1, 0), (4.1, 1)],
        uplinks={"0": [(0.1, 40.0)], "1": [(0.1, 3.0)], "return": [(0.1, 1.0)]},
        recoveries=fell(90 * MS),
    )
    return result(ours, one("kernel cubic", 47, paths=paths), events=("4s:cut:0",))


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = render([full_result()])
    assert page.count("<svg") == 2
    assert "two &lt;uplinks&gt;" in page
    assert "cut 0" in page
    assert "Bernoulli" in page
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
    assert "var(--path-0)" in page
    assert not re.search(r"#0[1-9a-c]0[1-9a-c]0[1-9a-c]", page)


def test_the_page_names_what_is_shared_and_what_swallows() -> None:
    case = Case(
        uplinks=(parse_link("50mbit,10ms"), parse_link("50mbit,15ms,swallow=data")),
        bottleneck=parse_bottleneck("40mbit"),
        competitors=(Competitors(count=3), Competitors(count=1, uplink=1)),
    )
    full = full_result()
    full.description = describe(case)
    page = render([full])
    assert "bottleneck of uplinks 0, 1" in page
    assert "swallows data" in page
    assert "3 kernel CUBIC at the bottleneck, 1 kernel CUBIC on uplink 1" in page
    json.dumps(full.to_json())


def test_the_page_of_several_cases_names_each() -> None:
    page = render([full_result(), full_result()], title="Both", lead="side by side")
    assert page.count("<h2>trial</h2>") == 2
    assert "<h1>Both</h1>" in page


def test_a_result_is_json() -> None:
    text = json.dumps(full_result().to_json())
    back = json.loads(text)
    assert back["summary"][0]["ratio"] == 46 / 47
    assert back["runs"][0]["paths"]["1"]["srtt_ms"] == [[0.1, 25]]
    assert back["description"]["links"][1]["rate_bps"] == 50_000_000
