"""What the host knows about its links, and the path that a segment came by."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from omtcp.core.config import Config, Mode
from omtcp.core.endpoint import Endpoint
from omtcp.core.subflow import PathState
from omtcp.link import LinkConfig
from omtcp.sim.pair import Pair
from omtcp.trace.events import (
    Event,
    PathChosen,
    PathRestored,
    PathSuspect,
    PingSent,
    Retransmission,
)
from omtcp.wire.seq import seq_add
from omtcp.wire.tcp import ACK, SYN, Segment

MS = 1_000_000
SECOND = 1000 * MS
LINK = LinkConfig(rate_bps=20_000_000, delay_ns=20 * MS, queue_bytes=100_000)
DATA = Random(7).randbytes(4_000_000)
HERE, THERE = bytes([192, 0, 2, 1]), bytes([203, 0, 113, 9])


class Run:
    """A download over two links, of which the server's host tells as they go and come."""

    def __init__(
        self, mode: Mode = Mode.POOLED, *, sack: bool = True, hints: bool = True, links: int = 2
    ) -> None:
        self.events: list[tuple[int, Event]] = []
        self.pair = Pair(
            [LINK] * links,
            back=LinkConfig(delay_ns=20 * MS),
            config=Config(mode=mode),
            client_config=Config(sack=sack),
            seed=3,
            sink=lambda now, _, event: self.events.append((now - self.start, event)),
        )
        self.start = self.pair.now
        self.hints = hints
        self.pair.connect()
        self.pair.serve(DATA)

    def set_link(self, at_ms: int, path: int, *, up: bool) -> None:
        """At `at_ms` the link goes down or comes up, and the host says so."""

        def action() -> None:
            self.pair.configure(path, replace(LINK, up=up))
            if self.hints:
                self.pair.server.handle_path(self.pair.now, path, up)

        self.pair.at(at_ms * MS, action)

    def look(self) -> None:
        """Have the server ask its connection what is to be done, though nothing has happened."""
        connection = self.pair.accepted
        assert connection is not None
        self.pair.server.touch(connection)

    def finish(self) -> None:
        assert self.pair.run(lambda: self.pair.client.ended, seconds=30)
        assert bytes(self.pair.client.data) == DATA

    def of(self, kind: type[Event], path: int) -> list[int]:
        """When, in ms, the events of one kind happened on `path`."""
        return [
            now // MS
            for now, event in self.events
            if isinstance(event, kind) and getattr(event, "path", None) == path
        ]

    def longest_silence(self) -> int:
        """In ms, between two arrivals at the client."""
        times = [arrival.now for arrival in self.pair.client.arrivals]
        return max(b - a for a, b in pairwise(times)) // MS


class TestDown:
    def test_what_it_owes_goes_to_the_others_at_once(self) -> None:
        run = Run()
        run.set_link(500, 0, up=False)
        run.finish()
        assert run.of(PathSuspect, 0)[0] == 500
        moved = [
            now // MS
            for now, event in run.events
            if isinstance(event, Retransmission) and event.from_path == 0 and now >= 500 * MS
        ]
        assert 500 <= moved[0] <= 501  # the pacer of the other path has a tick of 1 ms
        assert run.of(PathRestored, 0) == []

    def test_it_spares_the_time_that_silence_takes(self) -> None:
        told, untold = Run(), Run(hints=False)
        for run in (told, untold):
            run.set_link(500, 0, up=False)
            run.finish()
        assert told.of(PathSuspect, 0)[0] == 500
        assert untold.of(PathSuspect, 0)[0] > 530

    def test_what_arrived_before_does_not_speak_for_it(self) -> None:
        """ACKs of what it carried come in for another round trip."""
        run = Run()
        run.set_link(500, 0, up=False)
        run.pair.run(lambda: run.pair.elapsed >= 560 * MS, seconds=1)
        connection = run.pair.accepted
        assert connection is not None
        assert connection.sender is not None
        lost, other = connection.sender.subflows
        assert lost.heard_at > 500 * MS + run.start
        assert lost.state is PathState.SUSPECT
        assert other.usable
        run.finish()

    def test_an_answer_to_a_later_question_does(self) -> None:
        """The hint was wrong: the link works. A ping finds out."""
        run = Run()
        run.pair.at(500 * MS, lambda: run.pair.server.handle_path(run.pair.now, 0, False))
        run.finish()
        restored = run.of(PathRestored, 0)
        assert restored
        assert 540 <= restored[0] <= 640

    def test_the_last_usable_path_is_kept(self) -> None:
        run = Run()
        run.set_link(500, 0, up=False)
        run.set_link(600, 1, up=False)
        run.set_link(900, 1, up=True)
        run.finish()
        assert run.of(PathSuspect, 1) == []

    @pytest.mark.parametrize(
        ("mode", "sack"), [(Mode.SINGLE, True), (Mode.SINGLE, False), (Mode.POOLED, False)]
    )
    def test_a_connection_on_one_path_takes_the_next(self, mode: Mode, sack: bool) -> None:
        run = Run(mode, sack=sack, links=3)
        run.pair.server.handle_path(run.pair.now, 1, False)
        run.set_link(500, 0, up=False)
        run.finish()
        assert run.of(PathChosen, 2)[0] == 500
        assert run.of(PathChosen, 1) == []
        assert run.longest_silence() < 200

    def test_a_connection_that_is_over_is_left_alone(self) -> None:
        run = Run()
        run.finish()
        run.pair.run(seconds=1)
        count = len(run.events)
        run.pair.server.handle_path(run.pair.now, 0, False)
        run.pair.server.handle_path(run.pair.now, 0, True)
        run.pair.wake()
        assert len(run.events) == count


class TestUp:
    def test_it_is_pinged_at_once(self) -> None:
        run = Run()
        run.set_link(500, 0, up=False)
        run.set_link(750, 0, up=True)
        run.finish()
        assert 750 in run.of(PingSent, 0)
        assert 790 <= run.of(PathRestored, 0)[0] <= 792

    def test_the_only_path_does_not_wait_for_its_timer(self) -> None:
        """After 10 s of timeouts the next one would come seconds later."""
        run = Run(Mode.SINGLE, links=1)
        run.set_link(500, 0, up=False)
        run.set_link(10_000, 0, up=True)
        run.finish()
        first = next(
            arrival.now
            for arrival in run.pair.client.arrivals
            if arrival.now - run.start > 600 * MS
        )
        assert first - run.start < 10_060 * MS

    def test_a_path_in_good_standing_is_not_disturbed(self) -> None:
        """The news changes nothing, but for the connection being looked at there and then."""
        told, untold = Run(), Run()
        told.pair.at(500 * MS, lambda: told.pair.server.handle_path(told.pair.now, 0, True))
        untold.pair.at(500 * MS, untold.look)
        for run in (told, untold):
            run.finish()
        assert told.events == untold.events


class Door:
    """An endpoint with three paths, and strangers who knock."""

    def __init__(self, mode: Mode = Mode.PRIMARY) -> None:
        self.now = 5 * SECOND
        self.end = Endpoint(
            Config(mode=mode),
            HERE,
            [1500] * 3,
            secret=b"0123456789abcdef",
            random=Random(1).random,
        )
        self.end.listen(80)

    def knock(self, path: int, *, flags: int = SYN, to: int = 80) -> None:
        segment = Segment(4000, to, 7, 0, flags, 1000, mss=1460, sack_permitted=True)
        self.end.handle_segment(self.now, THERE, segment, path)

    def sent(self) -> list[tuple[int, Segment]]:
        """What goes out, by which path."""
        sent = []
        for connection in self.end.poll_ready():
            while (transmit := connection.poll_transmit(self.now)) is not None:
                sent.append((transmit.path, transmit.segment))
            self.end.settle(self.now, connection)
        return sent

    def wait(self) -> list[int]:
        """Let the next deadline come; the paths of what is sent then."""
        at = self.end.poll_timeout()
        assert at is not None
        self.now = at
        self.end.handle_timeout(at)
        return [path for path, _ in self.sent()]


class TestTheWayItCame:
    def test_the_first_answer_goes_back_the_others_go_round(self) -> None:
        door = Door()
        door.knock(1)
        assert [path for path, _ in door.sent()] == [1]
        assert [door.wait() for _ in range(4)] == [[2], [0], [1], [2]]

    def test_a_link_that_is_down_is_passed_over(self) -> None:
        door = Door()
        door.end.handle_path(door.now, 2, False)
        door.knock(1)
        assert [path for path, _ in door.sent()] == [1]
        assert [door.wait() for _ in range(3)] == [[0], [1], [0]]
        door.end.handle_path(door.now, 2, True)
        assert door.wait() == [2]

    def test_the_connection_begins_on_the_path_that_worked(self) -> None:
        door = Door()
        door.knock(2)
        ((_, answer),) = door.sent()
        ack = Segment(4000, 80, 8, seq_add(answer.seq, 1), ACK, 1000)
        door.end.handle_segment(door.now + 20 * MS, THERE, ack, 0)
        connection = door.end.poll_accept()
        assert connection is not None
        assert connection.sender is not None
        assert connection.sender.best.index == 2

    def test_one_path_at_a_time_means_the_first(self) -> None:
        door = Door(Mode.SINGLE)
        door.knock(2)
        assert [path for path, _ in door.sent()] == [0]

    def test_a_refusal_goes_back(self) -> None:
        door = Door()
        door.knock(2, to=81)
        door.knock(1, flags=ACK)
        assert [reply.path for reply in iter(door.end.poll_reply, None)] == [2, 1]

    def test_a_refusal_avoids_a_link_that_is_down(self) -> None:
        door = Door()
        door.end.handle_path(door.now, 2, False)
        door.knock(2, to=81)
        assert [reply.path for reply in iter(door.end.poll_reply, None)] == [0]
