"""What is taken back from a path, to the byte."""

from __future__ import annotations

from .sending import MSS, Bench


def test_the_first_segment_ends_where_it_ends() -> None:
    bench = Bench(50)
    bench.send(0, 2.5)
    subflow = bench.subflows[0]
    assert bench.recovery.losses.first_segment(subflow) == MSS
    bench.ack(1)
    assert bench.recovery.losses.first_segment(subflow) == 2 * MSS


def test_a_short_one_ends_where_the_path_has_got_to() -> None:
    """Else what is sent next would count as delivered before it is sent."""
    bench = Bench(50)
    bench.send(0, 0.5)
    subflow = bench.subflows[0]
    assert bench.recovery.losses.first_segment(subflow) == subflow.position == MSS // 2
