from pathlib import Path

import pytest

from omtcp.bench.history import Entry, append, entry_of, falls, read
from omtcp.bench.microbench import Micro
from omtcp.bench.spread import Spread
from omtcp.errors import LocalError

from .results import bench, measured

KEY = "bulk: goodput: ours / theirs"


def entry(*goodputs: float, quick: bool = False, processor: str = "x") -> Entry:
    """A run whose goodput ratios were these, round by round."""
    result = measured(list(goodputs), [1.0] * len(goodputs))
    return entry_of(bench(result, quick=quick, processor=processor))


def test_an_entry_survives_its_file(tmp_path: Path) -> None:
    result = bench(measured([2.0, 3.0], [1.0, 1.0]))
    result.micro = [Micro(name="f", ns=Spread(5.0, 4.0, 6.0, 3))]
    written = entry_of(result)
    file = tmp_path / "history.jsonl"
    append(file, written)
    append(file, written)
    assert read(file) == [written, written]
    assert written.ratios[KEY] == Spread(2.5, 2.0, 3.0, 2)
    assert written.figures["bulk"]["theirs"] == {"goodput": 1.0, "cpu_per_gb": 4.0}
    assert written.micro_ns == {"f": 5.0}


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"date": 1}', '{"ratios": 3}', "\udcff"])
def test_what_is_no_history_is_not_overwritten(tmp_path: Path, text: str) -> None:
    file = tmp_path / "history"
    file.write_bytes(text.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(LocalError, match="history"):
        read(file)


def test_the_first_run_has_nothing_to_fall_from() -> None:
    assert falls(entry(1.0), []) == []


def test_a_fall_beyond_the_spread_is_told() -> None:
    (fall,) = falls(entry(1.0, 1.05, 1.1), [entry(2.0, 2.05, 2.1)])
    assert (fall.key, fall.before, fall.now) == (KEY, 2.05, 1.05)
    assert str(fall) == f"{KEY}: 1.05, it was 2.05 (49% less)"


def test_a_fall_within_the_spread_of_either_run_is_noise() -> None:
    steady, noisy = entry(1.8, 1.8, 1.8), entry(1.5, 2.0, 2.5)
    assert falls(steady, [noisy]) == []
    assert falls(entry(1.2, 1.8, 2.2), [entry(2.0, 2.0, 2.0)]) == []


def test_one_steady_round_is_not_believed_to_the_last_digit() -> None:
    assert falls(entry(1.96), [entry(2.0)]) == []
    assert falls(entry(1.86), [entry(2.0)]) != []


def test_a_rise_is_no_fall() -> None:
    assert falls(entry(4.0), [entry(2.0)]) == []


def test_the_last_five_runs_are_what_counts() -> None:
    old, recent = [entry(9.0)] * 20, [entry(2.0)] * 5
    assert falls(entry(2.0), [*old, *recent]) == []


def test_a_slow_slide_is_seen_against_the_median() -> None:
    slide = [entry(value) for value in (2.0, 2.0, 2.0, 1.95, 1.9)]
    assert falls(entry(1.88), slide) != []


@pytest.mark.parametrize("other", [entry(9.0, quick=True), entry(9.0, processor="y")])
def test_other_machines_and_quick_runs_are_not_compared(other: Entry) -> None:
    assert falls(entry(1.0), [other]) == []


@pytest.mark.parametrize("before", [{"omtcp": "pure Python"}, {}])
def test_compiled_and_not_are_not_compared(before: dict[str, str]) -> None:
    """Entries that do not say which they were are older than the choice."""
    old = entry(9.0)
    old.machine.update(before)
    new = entry(1.0)
    new.machine["omtcp"] = "pure Python"
    assert falls(new, [old]) != []
    new.machine["omtcp"] = "compiled"
    assert falls(new, [old]) == []


def test_a_ratio_that_is_new_has_not_fallen() -> None:
    before = entry(9.0)
    before.ratios.clear()
    assert falls(entry(1.0), [before]) == []
