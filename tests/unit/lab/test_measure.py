"""From notes to numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omtcp.lab.case import Case
from omtcp.lab.measure import (
    Trace,
    best_after,
    evaluate,
    goodput_series,
    link_series,
    read_events,
    time_back,
)
from omtcp.lab.sharing import Competitors, parse_bottleneck
from omtcp.link import parse_link

MS = 1_000_000
S = 1_000_000_000
BIN = 125_000  # bytes in 10 ms at 100 Mbit/s


def steady(first: int, last: int, size: int = BIN) -> list[tuple[int, int]]:
    return [(index, size) for index in range(first, last)]


def test_goodput_is_a_mean_over_whole_intervals() -> None:
    middles, rates = zip(*goodput_series(steady(0, 15), 250 * MS), strict=True)
    assert middles == pytest.approx((0.05, 0.15))
    assert rates == pytest.approx((100, 50))


def test_the_way_back_is_the_first_moment_that_keeps_it_up() -> None:
    bins = steady(0, 100) + steady(130, 200)
    assert time_back(bins, 1 * S, 2 * S, 100e6) == 280 * MS  # 90 % of 200 ms is 18 bins
    assert time_back(bins, 0, 2 * S, 100e6) == 0
    assert time_back(bins, 1 * S, 2 * S, 150e6) is None
    assert time_back(bins, 1 * S, 1 * S + 100 * MS, 1.0) is None


def case(*events: str) -> Case:
    links = (parse_link("50mbit,10ms"), parse_link("20mbit,15ms"))
    return Case(uplinks=links, events=events, duration_ns=10 * S)


def test_what_is_left_after_an_event() -> None:
    script = case("1s:cut:0", "3s:restore:0", "5s:rate:0:5mbit", "7s:cut:return")
    assert best_after(script, 0) == pytest.approx(47.8e6, rel=0.01)
    assert best_after(script, 1 * S) == pytest.approx(19.1e6, rel=0.01)
    assert best_after(script, 3 * S) == pytest.approx(47.8e6, rel=0.01)
    assert best_after(script, 5 * S) == pytest.approx(19.1e6, rel=0.01)
    assert best_after(script, 7 * S) == 0


def test_the_emulators_samples_become_rates() -> None:
    report = {
        "links": ["0", "return"],
        "samples": [
            (S, [[0, 0, 0], [0, 0, 0]]),
            (S + 50 * MS, [[312_500, 0, 0], [1250, 0, 0]]),
        ],
    }
    assert link_series(report, S) == {
        "0": [(0.05, pytest.approx(50))],
        "return": [(0.05, pytest.approx(0.2))],
    }
    assert link_series({}, 0) == {}


def line(name: str, time_ns: int, connection: int = 1, **data: object) -> dict[str, Any]:
    return {"name": name, "time_ns": time_ns, "connection": connection, "data": data}


def metrics(at: int, path: int, primary: bool, connection: int = 1) -> dict[str, Any]:
    return line(
        "metrics_updated", at, connection, path=path, cwnd=10_000, srtt_ns=20 * MS, primary=primary
    )


def test_a_trace_tells_windows_primary_and_what_was_sent_again() -> None:
    trace = Trace(
        [
            {"format": "omtcp-events"},
            metrics(S, 0, True),
            metrics(S, 1, False),
            metrics(S, 1, True, connection=2),
            line("retransmission", S, start=100, end=300),
            line("path_chosen", 2 * S, path=1, previous=0),
            metrics(2 * S, 1, True),
            line("ping_sent", 3 * S, path=0),
        ],
        S,
    )
    assert trace.primary == [(0.0, 0), (1.0, 1)]
    assert trace.moves == 1
    assert trace.retransmitted == 200
    assert trace.pings == [(0, 3 * S)]
    assert trace.paths[0].cwnd == [(0.0, 10_000)]
    assert trace.paths[1].srtt_ms == [(0.0, 20), (1.0, 20)]


def test_the_kernels_trace_counts_for_each_connection() -> None:
    def kernel(connection: int, resent: int) -> dict[str, Any]:
        found = metrics(S, 0, True, connection)
        found["data"]["retransmitted"] = resent
        return found

    assert Trace([kernel(1, 5), kernel(1, 7), kernel(2, 10)], 0).retransmitted == 17
    assert Trace([], 0).retransmitted is None


def test_a_trace_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert list(read_events(path)) == []
    path.write_text('{"a": 1}\n{"b": ')
    assert list(read_events(path)) == [{"a": 1}]


def test_what_is_left_of_a_shared_link() -> None:
    shared = replace(
        case(),
        bottleneck=parse_bottleneck("40mbit"),
        competitors=(Competitors(count=1),),
        events=("1s:rate:bottleneck:10mbit", "2s:cut:bottleneck"),
    )
    assert best_after(shared, 0) == pytest.approx(19.1e6, rel=0.01)
    assert best_after(shared, 1 * S) == pytest.approx(4.8e6, rel=0.01)
    assert best_after(shared, 2 * S) == 0


def test_shares_of_the_whole_run_and_of_its_end() -> None:
    sink = {
        "start_ns": 0, "end_ns": 10 * S, "first_byte_ns": 0, "bytes": 1, "silences": [],
        "bins": steady(0, 500, 3000) + steady(500, 1000, 1000),
    }  # fmt: skip
    shared = replace(case(), competitors=(Competitors(count=1, uplink=0),), fair_from_ns=5 * S)
    trace = Trace([], 0)
    run = evaluate(shared, "x", 0, sink, trace, {}, [steady(0, 1000, 1000)])
    assert [(share.from_ns, share.ratio) for share in run.shares] == [(0, 2.0), (5 * S, 1.0)]
    whole = evaluate(replace(shared, fair_from_ns=0), "x", 0, sink, trace, {}, [steady(0, 9)])
    assert [share.from_ns for share in whole.shares] == [0]
    short = evaluate(shared, "x", 0, sink | {"end_ns": S}, trace, {}, [steady(0, 1000)])
    assert [share.from_ns for share in short.shares] == [0]
    assert evaluate(shared, "x", 0, sink, trace, {}).shares == []


def test_a_run_with_a_cut_and_a_restored_uplink() -> None:
    start = 100 * S
    sink = {
        "start_ns": start,
        "end_ns": start + 10 * S,
        "first_byte_ns": start + 40 * MS,
        "bytes": 50_000_000,
        "bins": steady(4, 400, 62_500) + steady(420, 600, 25_000) + steady(600, 1000, 62_500),
        "silences": [(200 * MS, start + 4 * S), (30 * MS, start + 6 * S)],
    }
    report = {
        "links": ["0", "1", "return"],
        "samples": [
            (start + at * 50 * MS, [[0 if at < 125 else at * 300_000, 0, 0]] + [[0, 0, 0]] * 2)
            for at in range(200)
        ],
        "revived": [("0", start + 6 * S + MS, start + 6 * S + 121 * MS), ("1", start, start + S)],
    }
    trace = Trace([line("ping_sent", start + 6 * S + 80 * MS, path=0)], start)
    run = evaluate(case("4s:cut:0", "6s:restore:0"), "x", 0, sink, trace, report)
    assert run.goodput_bps == 40_000_000
    assert run.longest_silence_ns == 200 * MS
    assert run.first_byte_ns == 40 * MS
    cut, restore = run.recoveries
    assert cut.silence_ns == 200 * MS
    assert cut.back_ns is not None
    assert 0 < cut.back_ns <= 200 * MS
    assert restore.silence_ns == 30 * MS
    assert restore.back_ns == 0
    assert restore.ping_ns == 80 * MS
    assert restore.reuse_ns == 250 * MS
    assert restore.data_ns == 120 * MS
    assert cut.data_ns is None
