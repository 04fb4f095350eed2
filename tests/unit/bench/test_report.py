"""The page is whole, loads nothing, and says what must be said."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from omtcp.bench.history import entry_of, falls
from omtcp.bench.microbench import Micro
from omtcp.bench.report import render, write_report
from omtcp.bench.result import SubjectResult
from omtcp.bench.spread import Spread
from omtcp.errors import LocalError

from .results import bench, measured


def test_the_page_has_figures_plots_and_ratios() -> None:
    result = bench(measured([300.0, 310.0, 290.0], [100.0, 100.0, 100.0]))
    result.micro = [Micro(name="a function", ns=Spread(1234.0, 1200.0, 1300.0, 3))]
    page = render(result)
    assert page.count("<svg") == 1
    assert "300 (290 – 310)" in page
    assert "Mbit/s, ours over theirs" in page
    assert "3.00 (2.90 – 3.10)" in page
    assert "1 234" in page
    assert "share this machine" in page


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = render(bench(measured([2.0], [1.0])))
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    assert "@import" not in page


def test_what_is_absent_and_what_failed_is_said() -> None:
    case = measured([2.0], [1.0])
    case.subjects[1] = SubjectResult(name="theirs", absent="not <installed>")
    case.subjects[0].errors.append("round 2: it fell")
    page = render(bench(case))
    assert "theirs: not &lt;installed&gt;" in page
    assert "ours: round 2: it fell" in page


def test_a_case_that_nobody_was_there_for_has_no_plot() -> None:
    case = measured([], [])
    for subject in case.subjects:
        subject.absent = "gone"
    assert "<svg" not in render(bench(case))


def test_a_history_is_drawn_and_its_falls_are_told() -> None:
    before = entry_of(bench(measured([4.0], [1.0])))
    now = bench(measured([2.0], [1.0]))
    entry = entry_of(now)
    page = render(now, history=[before, entry], falls=falls(entry, [before]))
    assert page.count("<svg") == 2
    assert "it was 4" in page
    assert "The last 2 runs" in page


def test_figures_of_very_different_size_can_be_drawn() -> None:
    assert "(logarithmic)" in render(bench(measured([10_000.0], [1.0])))
    assert "<svg" in render(bench(measured([0.0], [1.0])))


def test_a_page_that_cannot_be_written_is_a_local_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot write"):
        write_report(bench(measured([1.0], [1.0])), tmp_path)


def test_settings_are_told() -> None:
    one = replace(bench(measured([1.0], [1.0])), settings={"rounds": 1, "quick": True})
    assert "Medians of 1 round;" in render(one)
