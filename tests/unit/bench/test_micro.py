import pytest

from omtcp.bench.micro import BENCHMARKS
from omtcp.bench.microbench import Micro, parse
from omtcp.bench.spread import Spread


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_runs(name: str) -> None:
    assert BENCHMARKS[name](2) > 0


def test_pyperfs_json_is_seconds_per_process() -> None:
    suite = {
        "metadata": {"unit": "second"},
        "benchmarks": [
            {
                "metadata": {"name": "f"},
                "runs": [{"warmups": [[1, 9.0]]}, {"values": [1e-6, 3e-6]}, {"values": [2e-6]}],
            },
            {"metadata": {"name": "calibrated only"}, "runs": [{"warmups": [[1, 9.0]]}]},
        ],
    }
    (found,) = parse(suite)
    assert found.name == "f"
    assert found.ns.median == pytest.approx(2000)
    assert (found.ns.low, found.ns.high) == pytest.approx((1000, 3000))
    assert found.ns.count == 3


def test_the_name_of_a_lone_benchmark_is_the_suites() -> None:
    suite = {"metadata": {"name": "g"}, "benchmarks": [{"runs": [{"values": [1e-9]}]}]}
    (found,) = parse(suite)
    assert found.name == "g"
    assert isinstance(found, Micro)
    assert isinstance(found.ns, Spread)
