from dataclasses import replace

import pytest

from omtcp.bench.usage import Usage
from omtcp.bench.window import Window, traffic_figures

S = 1_000_000_000
MS = 1_000_000
START = 5 * S
BEFORE = Usage(
    at_ns=START + 1 * S,
    user_s=1.0,
    system_s=1.0,
    calls=100,
    memory=10_000_000,
    packets_in=50,
    packets_out=70,
)
AFTER = replace(BEFORE, at_ns=START + 3 * S, user_s=1.5, system_s=1.5, calls=300, packets_in=150)
WINDOW = Window(before=BEFORE, after=AFTER, peak=12_000_000)


def test_only_bins_inside_the_window_count() -> None:
    bins = [(99, 1000), (100, 1), (299, 1), (300, 1000)]
    assert WINDOW.counted(bins, START, 10 * MS) == pytest.approx(1.0)


def test_bins_on_the_edges_are_left_out() -> None:
    late = replace(WINDOW, before=replace(BEFORE, at_ns=START + 1 * S + 1))
    assert late.counted([(100, 199), (101, 199)], START, 10 * MS) == pytest.approx(100.0)


def test_a_window_shorter_than_a_bin_counts_nothing() -> None:
    short = replace(WINDOW, after=replace(AFTER, at_ns=START + 1 * S + 5 * MS))
    assert short.counted([(100, 5)], START, 10 * MS) == 0.0


def test_what_traffic_costs() -> None:
    figures = traffic_figures(WINDOW, bytes_per_s=50e6)
    assert figures["goodput"] == pytest.approx(400)
    assert figures["core"] == pytest.approx(50)
    assert figures["cpu_per_gb"] == pytest.approx(10)
    assert figures["user_per_gb"] == pytest.approx(5)
    assert figures["acks_per_mb"] == pytest.approx(1)
    assert figures["calls_per_mb"] == pytest.approx(2)
    assert figures["memory_mb"] == pytest.approx(12)


def test_no_traffic_costs_nothing_that_can_be_told() -> None:
    assert "cpu_per_gb" not in traffic_figures(WINDOW, 0.0)
