"""An answer that comes before its path could have given it: whose it is, and what it says."""

from __future__ import annotations

from .sending import MS, SECOND, Bench

A, B = 0, 1


def test_after_an_outage_it_measures_no_round_trip() -> None:
    """The paths' queues are empty then, and the first answers faster than any before."""
    bench = Bench(30, 30)
    bench.send(A, 4)
    bench.wait(3000)
    bench.silence.suspect(bench.now, bench.subflows[A])
    bench.resend(B)
    bench.wait(1)
    bench.ack(4)
    assert bench.subflows[A].rtt.srtt_ns == 30 * MS
    assert bench.subflows[A].rtt.rto_ns < SECOND
