"""Windows grow only while they are what limits (RFC 7661), and not on the strength of old use."""

from __future__ import annotations

from .sending import MSS, make_subflow
from .test_sender import WIDE, Rig

A, B = 0, 1


def full(*, written: int = 1000) -> Rig:
    """A single path in congestion avoidance whose window of 20 segments is full."""
    rig = Rig(50, written=written)
    rig.window(A, 20)
    fill(rig)
    return rig


def fill(rig: Rig) -> None:
    """Send what the window admits, as the pacer allows."""
    a = rig.sender.subflows[A]
    rig.poll()
    while a.paced:
        rig.now = a.pacer.ready_at()
        rig.poll()


class TestWhoIsTheLimit:
    def test_the_window(self) -> None:
        rig = full()
        rig.wait(50)
        rig.ack(20)
        assert rig.sender.subflows[A].controller.cwnd > 20 * MSS

    def test_the_application(self) -> None:
        """It was the window before; then the application had no more."""
        rig = full(written=25)
        rig.wait(50)
        rig.ack(20)
        before = rig.sender.subflows[A].controller.cwnd
        for sent in range(25, 200, 5):
            fill(rig)
            rig.wait(50)
            rig.ack(sent)
            rig.sender.write(bytes(5 * MSS))
        assert rig.sender.subflows[A].controller.cwnd == before

    def test_the_receive_window_is_everybody_s(self) -> None:
        rig = Rig(50, 50)
        for path in (A, B):
            rig.window(path, 20)
        rig.poll(1)
        for subflow in rig.sender.subflows:
            subflow.limited = True
        rig.sender.window.right = rig.sender.board.nxt
        rig.poll()
        assert not any(subflow.limited for subflow in rig.sender.subflows)

    def test_a_pacer_that_holds_back_a_full_path(self) -> None:
        rig = Rig(50)
        rig.window(A, 20)
        a = rig.sender.subflows[A]
        a.pace(WIDE)
        rig.poll()
        assert a.paced
        assert a.limited  # more would have gone, and the window follows

    def test_but_not_a_host_that_is_late(self) -> None:
        """Its pacer alone keeps the flight below half of the window."""
        rig = Rig(50)
        rig.window(A, 20)
        a = rig.sender.subflows[A]
        a.pace(WIDE)
        rig.poll()
        flight = a.in_flight
        assert 0 < flight < 10 * MSS
        rig.wait(50)
        rig.ack(flight / MSS)
        assert a.controller.cwnd == 20 * MSS

    def test_a_path_that_is_not_worth_its_round_trip(self) -> None:
        rig = Rig(20, 500, written=30)
        rig.window(A, 20)
        rig.window(B, 20)
        fill(rig)
        assert not rig.sender.subflows[B].limited


class TestAfterALoss:
    def test_what_was_in_flight_counts_not_what_the_window_would_have_admitted(self) -> None:
        """RFC 7661 section 4.4.1."""
        rig = Rig(50, written=10)
        rig.window(A, 100)
        fill(rig)
        rig.wait(50)
        rig.ack(0, (1, 10))
        assert rig.sender.subflows[A].controller.cwnd == 5 * MSS


class TestIdle:
    def test_each_path_by_itself(self) -> None:
        """One that carries nothing for an RTO starts small, however busy the others are."""
        rig = Rig(20, 20)
        for path in (A, B):
            rig.window(path, 40)
        a, b = rig.sender.subflows
        b.sent_at = rig.now - b.rtt.rto_ns - 1
        a.sent_at = rig.now - 1
        rig.poll(1)
        assert (a.controller.cwnd, b.controller.cwnd) == (40 * MSS, 10 * MSS)

    def test_a_path_with_something_under_way_is_not_idle(self) -> None:
        rig = full()
        a = rig.sender.subflows[A]
        a.sent_at = 1
        rig.wait(50)
        rig.ack(1)
        rig.poll()
        assert a.controller.cwnd >= 20 * MSS

    def test_when_it_last_sent_is_known(self) -> None:
        subflow = make_subflow()
        subflow.send(7, 0, MSS)
        assert subflow.sent_at == 7
