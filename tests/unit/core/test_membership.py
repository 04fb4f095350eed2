"""Paths that are added, drained, undrained and removed while connections live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random
from statistics import median

import pytest

from omtcp.core.config import Config, Mode
from omtcp.core.losses import Kind
from omtcp.core.sender import Sender
from omtcp.core.subflow import PathState, Subflow
from omtcp.errors import LocalError
from omtcp.link import LinkConfig
from omtcp.sim.pair import BACK, Pair
from omtcp.trace.events import (
    NO_CONNECTION,
    Event,
    PathAdded,
    PathChosen,
    PathCostChanged,
    PathDrained,
    PathRemoved,
    PathUndrained,
    PingSent,
    Retransmission,
)
from omtcp.wire.tcp import Segment

MS = 1_000_000
SECOND = 1000 * MS
LINK = LinkConfig(rate_bps=20_000_000, delay_ns=20 * MS, queue_bytes=100_000)
DATA = Random(7).randbytes(4_000_000)


class Run:
    """A download over `links` links, during which paths come and go."""

    def __init__(
        self,
        mode: Mode = Mode.POOLED,
        *,
        sack: bool = True,
        links: int = 2,
        data: bytes = DATA,
        close: bool = True,
        link: LinkConfig = LINK,
    ) -> None:
        self.events: list[tuple[int, int, Event]] = []
        self.data = data
        self.pair = Pair(
            [link] * links,
            back=LinkConfig(delay_ns=20 * MS),
            config=Config(mode=mode),
            client_config=Config(sack=sack),
            seed=3,
            sink=lambda now, who, event: self.events.append((now - self.start, who, event)),
        )
        self.start = self.pair.now
        self.sent: list[tuple[int, int, int]] = []
        """(ms, path, payload bytes) of every packet that left the server."""
        self.pair.taps.append(self._tap)
        self.pair.connect()
        self.pair.serve(data, close=close)

    def _tap(self, now: int, path: int, segment: Segment) -> None:
        if path != BACK:
            self.sent.append(((now - self.start) // MS, path, segment.length))

    def at(self, ms: int, action: Callable[[int], object]) -> None:
        """Call `action` with the time then, on the server."""

        def act() -> None:
            action(self.pair.now)

        self.pair.at(ms * MS, act)

    def until(self, ms: int) -> None:
        self.pair.run(lambda: self.pair.elapsed >= ms * MS, seconds=30)

    def finish(self) -> None:
        assert self.pair.run(lambda: self.pair.client.ended, seconds=60)
        assert bytes(self.pair.client.data) == self.data

    @property
    def sender(self) -> Sender:
        connection = self.pair.accepted
        assert connection is not None
        assert connection.sender is not None
        return connection.sender

    def subflow(self, index: int) -> Subflow:
        return next(subflow for subflow in self.sender.subflows if subflow.index == index)

    def carried(self, path: int, since_ms: int = 0, until_ms: int = 1 << 40) -> int:
        """Packets that left by `path` in that time, pings included."""
        return sum(1 for ms, by, _ in self.sent if by == path and since_ms <= ms < until_ms)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for _, _, event in self.events if isinstance(event, kind)]

    def longest_silence(self) -> int:
        """In ms, between two arrivals at the client."""
        times = [arrival.now for arrival in self.pair.client.arrivals]
        return max(b - a for a, b in pairwise(times)) // MS


MODES = pytest.mark.parametrize("mode", [Mode.POOLED, Mode.PRIMARY])


class TestDrain:
    @MODES
    @pytest.mark.parametrize("path", [0, 1])
    def test_nothing_more_goes_over_it(self, mode: Mode, path: int) -> None:
        run = Run(mode)
        run.at(500, lambda now: run.pair.server.drain_path(now, path))
        run.finish()
        assert run.carried(path, 0, 500)
        assert run.carried(path, 501) == 0
        assert run.of(PathDrained) == [PathDrained(path)]

    def test_what_is_under_way_is_waited_for(self) -> None:
        run = Run(link=replace(LINK, queue_bytes=1_000_000))
        run.at(300, lambda now: run.pair.server.drain_path(now, 0))
        run.until(299)
        assert run.subflow(0).in_flight > 50_000
        run.until(450)  # the last ACK may be delayed
        assert run.subflow(0).in_flight == 0
        again = [event for event in run.of(Retransmission) if isinstance(event, Retransmission)]
        assert {event.kind for event in again} <= {Kind.REINJECTED}, "nothing is taken for lost"
        run.finish()

    def test_what_is_lost_of_it_goes_over_the_others(self) -> None:
        """The cable is pulled as soon as the command returns."""
        run = Run()
        run.at(500, lambda now: run.pair.server.drain_path(now, 0))
        run.at(500, lambda now: run.pair.path_drops[0].append(lambda *_: True))
        run.finish()
        again = [event for event in run.of(Retransmission) if isinstance(event, Retransmission)]
        assert {e.path for e in again if e.from_path == 0 and e.kind == Kind.SUSPECT} <= {1}
        assert run.longest_silence() < 150, "silence is noticed, not the timeout waited for"

    def test_undrained_it_is_asked_first_and_used_again(self) -> None:
        run = Run()
        run.at(300, lambda now: run.pair.server.drain_path(now, 0))
        run.at(900, lambda now: run.pair.server.undrain_path(now, 0))
        run.finish()
        assert run.carried(0, 301, 900) == 0
        back = [(ms, length) for ms, by, length in run.sent if by == 0 and ms >= 900]
        assert back[0] == (900, 1)
        assert next(ms for ms, length in back if length > 1) >= 939, "after a round trip"
        assert run.carried(0, 940) > 100
        assert run.of(PathUndrained) == [PathUndrained(0)]

    def test_undrained_a_moment_later_it_goes_on(self) -> None:
        run = Run()
        run.at(500, lambda now: run.pair.server.drain_path(now, 0))
        run.at(510, lambda now: run.pair.server.undrain_path(now, 0))
        run.until(505)
        window = run.subflow(0).controller.cwnd
        run.until(515)
        assert run.subflow(0).usable
        assert run.subflow(0).controller.cwnd >= window
        run.finish()
        assert run.carried(0, 510, 560) > 10

    def test_an_idle_connection_does_not_ping_it(self) -> None:
        run = Run(data=DATA[:10_000])
        run.at(20, lambda now: run.pair.server.drain_path(now, 1))
        run.finish()
        assert run.carried(1, 21) == 0

    def test_a_silent_path_that_is_drained_ends_nothing(self) -> None:
        """The user timeout R2 is about paths in use."""
        run = Run()
        run.at(300, lambda now: run.pair.path_drops[0].append(lambda *_: True))
        run.at(600, lambda now: run.pair.server.drain_path(now, 0))
        run.until(700)
        assert run.subflow(0).state is PathState.SUSPECT
        run.finish()
        assert run.carried(0, 601) == 0

    def test_twice_is_once(self) -> None:
        run = Run()
        for ms in (300, 310):
            run.at(ms, lambda now: run.pair.server.drain_path(now, 0))
        for ms in (400, 410):
            run.at(ms, lambda now: run.pair.server.undrain_path(now, 0))
        run.finish()
        assert len(run.of(PathDrained)) == len(run.of(PathUndrained)) == 1


class TestRemove:
    @MODES
    @pytest.mark.parametrize("path", [0, 1])
    def test_what_it_owes_goes_to_the_others_at_once(self, mode: Mode, path: int) -> None:
        silences = [self.without(mode, path, ms) for ms in (460, 500, 700)]
        assert median(silences) < 100  # a full queue may take the second copy too, and the third

    @staticmethod
    def without(mode: Mode, path: int, ms: int) -> int:
        """The longest silence of a download that loses `path` at a time when it carries data."""
        run = Run(mode)
        run.at(ms, lambda now: run.pair.server.remove_path(now, path))
        run.at(ms, lambda now: run.pair.path_drops[path].append(lambda *_: True))
        run.until(ms - 1)
        owed = run.subflow(path).in_flight
        run.finish()
        assert run.carried(path, ms + 1) == 0
        again = [event for event in run.of(Retransmission) if isinstance(event, Retransmission)]
        moved = [event for event in again if event.kind == "removed"]
        assert owed == 0 or moved
        assert {(event.from_path, event.path) for event in moved} <= {(path, 1 - path)}
        assert [subflow.index for subflow in run.sender.subflows] == [1 - path]
        return run.longest_silence()

    def test_the_primary_moves(self) -> None:
        run = Run(Mode.PRIMARY)
        run.until(400)
        primary = run.sender.best.index
        run.at(500, lambda now: run.pair.server.remove_path(now, primary))
        run.finish()
        assert any(
            isinstance(event, PathChosen)
            and (event.previous, event.path, event.reason) == (primary, 1 - primary, "removed")
            for _, _, event in run.events
        )

    def test_late_answers_to_what_it_carried_do_no_harm(self) -> None:
        """ACKs of its data, and the answer to a ping over it, arrive after it is gone."""
        run = Run()
        run.at(500, lambda now: run.pair.server.remove_path(now, 0))
        run.finish()
        assert run.sender.subflows[0].index == 1

    def test_new_connections_do_not_know_it(self) -> None:
        run = Run()
        run.at(100, lambda now: run.pair.server.remove_path(now, 0))
        run.until(200)
        run.pair.connect()
        run.until(400)
        second = run.pair.connections[1]
        assert second.sender is not None
        assert [subflow.index for subflow in second.sender.subflows] == [1]
        run.finish()
        assert run.carried(0, 101) == 0


class TestAdd:
    @MODES
    def test_it_is_pinged_before_it_carries_data(self, mode: Mode) -> None:
        run = Run(mode, links=1)
        run.at(300, lambda now: run.pair.add_link(LINK))
        run.finish()
        there = [(ms, length) for ms, by, length in run.sent if by == 1]
        assert there[0] == (300, 1)
        first_data = [ms for ms, length in there if length > 1]
        if mode is Mode.POOLED:
            assert 340 <= first_data[0] < 500
            assert run.carried(1) > 200
        assert PathAdded(1, "", 0) in run.of(PathAdded)

    def test_a_connection_without_sack_goes_on_alone(self) -> None:
        run = Run(sack=False, links=1, data=DATA[:300_000])
        run.at(100, lambda now: run.pair.add_link(LINK))
        run.finish()
        assert run.carried(1) == 0

    def test_it_can_save_a_connection_whose_only_path_is_dead(self) -> None:
        run = Run(links=1)
        run.at(300, lambda now: run.pair.path_drops[0].append(lambda *_: True))
        run.at(1000, lambda now: run.pair.add_link(LINK))
        run.finish()
        assert run.carried(1) > 1000

    def test_removed_and_added_again_it_has_another_index(self) -> None:
        run = Run()
        run.at(300, lambda now: run.pair.server.remove_path(now, 0))
        run.at(500, lambda now: run.pair.add_link(LINK))
        run.finish()
        assert run.carried(0, 301) == 0
        assert run.carried(2, 500) > 100
        assert [event.path for event in run.of(PathRemoved) if isinstance(event, PathRemoved)] == [
            0
        ]

    def test_the_events_belong_to_no_connection(self) -> None:
        run = Run()
        server = run.pair.server
        run.at(300, lambda now: server.drain_path(now, 0))
        run.at(320, lambda now: server.undrain_path(now, 0))
        run.at(340, lambda now: server.set_cost(now, 0, 3))
        run.at(360, lambda now: server.remove_path(now, 0))
        run.at(380, lambda now: server.add_path(now, 1500, cost=2, name="x"))
        run.pair.add_link(LINK)
        run.until(370)
        kinds = (PathDrained, PathUndrained, PathCostChanged, PathRemoved, PathAdded)
        told = [(who, event) for _, who, event in run.events if isinstance(event, kinds)]
        assert {who for who, _ in told} == {NO_CONNECTION}
        assert [event for _, event in told][1:] == [
            PathDrained(0),
            PathUndrained(0),
            PathCostChanged(0, 3),
            PathRemoved(0),
        ]


class TestLast:
    @pytest.mark.parametrize("verb", ["drain_path", "remove_path"])
    def test_only_by_force(self, verb: str) -> None:
        run = Run()
        run.at(300, lambda now: run.pair.server.drain_path(now, 0))
        run.until(400)
        end = run.pair.server
        with pytest.raises(LocalError, match="last path"):
            getattr(end, verb)(run.pair.now, 1)
        assert end.paths[1].open
        end.remove_path(run.pair.now, 0)  # it carries nothing: no force is needed
        run.finish()

    def test_a_link_that_is_down_is_nothing_to_rely_on(self) -> None:
        run = Run()
        run.at(300, lambda now: run.pair.server.handle_path(now, 0, False))
        run.until(400)
        with pytest.raises(LocalError, match="last path"):
            run.pair.server.drain_path(run.pair.now, 1)

    @pytest.mark.parametrize("sack", [True, False])
    @pytest.mark.parametrize("verb", ["drain_path", "remove_path"])
    def test_by_force_all_wait_and_nothing_leaves(self, verb: str, sack: bool) -> None:
        run = Run(sack=sack, data=DATA[:2_000_000])

        def close(now: int) -> None:
            for path in (0, 1):
                getattr(run.pair.server, verb)(now, path, force=True)

        run.at(400, close)
        run.until(401)
        run.pair.connect()
        run.until(3000)
        assert run.carried(0, 401) == run.carried(1, 401) == 0
        assert len(run.pair.connections) == 1, "nobody is let in meanwhile"
        run.pair.add_link(LINK)
        run.finish()
        assert run.carried(2, 3000) > 100

    def test_by_force_with_nothing_to_send(self) -> None:
        """The peer's data is acknowledged when there is a path again."""
        run = Run(data=DATA[:1000], close=False)
        run.until(200)
        for path in (0, 1):
            run.pair.server.drain_path(run.pair.now, path, force=True)
        before = len(run.sent)
        run.pair.send(b"hello")
        run.until(1000)
        assert len(run.sent) == before
        run.pair.server.undrain_path(run.pair.now, 1)
        run.until(3000)
        assert {path for ms, path, _ in run.sent[before:]} == {1}


class TestOnePathAtATime:
    @pytest.mark.parametrize(("mode", "sack"), [(Mode.SINGLE, True), (Mode.POOLED, False)])
    @pytest.mark.parametrize("verb", ["drain_path", "remove_path"])
    def test_it_moves(self, mode: Mode, sack: bool, verb: str) -> None:
        run = Run(mode, sack=sack, data=DATA[:300_000])
        run.at(200, lambda now: getattr(run.pair.server, verb)(now, 0))
        run.finish()
        assert run.carried(0, 0, 200) > 50
        assert run.carried(0, 201) == 0
        assert run.carried(1, 200) > 50
        reason = verb.removesuffix("_path") + ("ed" if verb == "drain_path" else "d")
        assert PathChosen(1, -1, reason, ()) in run.of(PathChosen)
        if verb == "drain_path":
            assert not run.of(Retransmission)

    def test_it_moves_to_the_next_cheapest(self) -> None:
        run = Run(Mode.SINGLE, links=3)
        run.pair.server.set_cost(run.pair.now, 1, 5)
        run.at(300, lambda now: run.pair.server.drain_path(now, 0))
        run.finish()
        assert run.carried(1) == 0
        assert run.carried(2, 300) > 1000


class TestHandshakes:
    """SYN-ACKs do not go over paths that are drained or removed."""

    @pytest.mark.parametrize("verb", ["drain_path", "remove_path"])
    def test_over_the_others(self, verb: str) -> None:
        pair = Pair([LINK] * 3, seed=1)
        pair.drops_back.append(
            lambda now, segment: bool(pair.connections == [] and now > 0 and segment.flags == 16)
        )
        sent: list[int] = []
        pair.taps.append(lambda now, path, segment: sent.append(path) if path != BACK else None)
        getattr(pair.server, verb)(pair.now, 0)
        pair.connect()
        pair.run(seconds=4)
        assert sent[:3] == [1, 2, 1]
        assert 0 not in sent

    def test_a_path_that_goes_during_the_handshake(self) -> None:
        run = Run()
        connection = next(iter(run.pair.server.connections.values()), None)
        assert connection is None
        run.pair.at(30 * MS, lambda: run.pair.server.remove_path(run.pair.now, 0))
        run.finish()
        (only,) = run.pair.connections
        assert only.sender is not None
        assert [subflow.index for subflow in only.sender.subflows] == [1]


def test_pings_are_not_counted_but_retransmissions_are() -> None:
    run = Run()
    run.pair.path_drops[0].append(lambda now, segment: run.pair.elapsed % (50 * MS) < MS)
    run.finish()
    assert run.of(PingSent)
    tallies = [path.tally for path in run.pair.server.paths]
    sent = [
        sum(length for _, by, length in run.sent if by == path and length > 1) for path in (0, 1)
    ]
    for tally, bytes_sent in zip(tallies, sent, strict=True):
        assert abs(tally.sent - bytes_sent) <= 2
    assert tallies[0].resent + tallies[1].resent == sum(
        event.end - event.start
        for event in run.of(Retransmission)
        if isinstance(event, Retransmission)
    )
