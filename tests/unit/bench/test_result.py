import json

import pytest

from omtcp.bench.spread import Spread
from omtcp.bench.table import case_table, cells, number, ratio_line, with_spread

from .results import bench, measured


def test_above_one_is_better_whichever_way_the_metric_goes() -> None:
    goodput, cost = measured([300, 100, 200], [100, 100, 100]).ratios()
    assert goodput.spread == Spread(2.0, 1.0, 3.0, 3)
    assert cost.spread.median == 2.0
    assert goodput.key == "bulk: goodput: ours / theirs"
    assert goodput.label == "Mbit/s, ours over theirs"
    assert cost.label == "CPU s/GB, theirs over ours"
    assert "2.00 (1.00 – 3.00)" in ratio_line(goodput)


def test_an_absent_subject_has_no_ratio_and_is_no_failure() -> None:
    result = measured([1.0], [])
    result.subjects[1].absent = "not installed"
    assert result.ratios() == []
    assert cells(result, result.subjects[1]) == ["theirs", "absent: not installed"]
    assert bench(result).ok


def test_a_failed_round_is_told_and_the_others_count() -> None:
    result = measured([2.0, 2.0], [1.0, 1.0])
    result.subjects[0].rounds.append(None)
    result.subjects[0].errors.append("round 3: it fell")
    assert result.ratios()[0].spread.count == 2
    assert result.warnings() == ["ours: round 3: it fell"]
    assert not bench(result).ok


def test_rounds_that_disagree_are_doubtful() -> None:
    assert measured([1.0, 1.1, 1.2], [1.0, 1.0, 1.0]).warnings() == []
    (line,) = measured([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]).warnings()
    assert "wide" in line


def test_others_at_work_make_figures_doubtful() -> None:
    result = measured([1.0, 1.0], [1.0, 1.0])
    result.subjects[0].rounds = [{"goodput": 1.0, "others": used} for used in (0.1, 0.9)]
    (line,) = result.warnings()
    assert "used 0.5 processors" in line
    assert "0.9 at the most" in line
    result.subjects[0].rounds = [{"goodput": 1.0, "others": 0.1}]
    assert result.warnings() == []


def test_nothing_measured_is_not_ok() -> None:
    assert not bench().ok


def test_json_has_every_round_and_the_ratios() -> None:
    text = json.dumps(bench(measured([2.0], [1.0])).to_json())
    (case,) = json.loads(text)["cases"]
    assert case["subjects"][0]["rounds"] == [{"goodput": 2.0, "cpu_per_gb": 2.0}]
    assert case["ratios"]["bulk: goodput: ours / theirs"]["median"] == 2.0


def test_a_table_has_a_column_per_metric() -> None:
    result = measured([2.0], [1.0])
    assert len(case_table(result).columns) == 3
    assert cells(result, result.subjects[0]) == ["ours", "2.00", "2.00"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (0.5, "0.50"), (9.96, "9.96"), (54.32, "54.3"), (123.4, "123"),
     (44437.2, "44 437")],
)  # fmt: skip
def test_numbers_show_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_single_round_has_no_spread() -> None:
    assert with_spread(Spread(2.0, 2.0, 2.0, 1)) == "2.00"
    assert with_spread(None) == "-"
