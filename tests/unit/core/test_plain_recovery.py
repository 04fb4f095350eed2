"""Without SACK: one subflow (P1) and NewReno (RFC 6582); the real sender and a model of a peer."""

from collections.abc import Callable

from omtcp.core.config import Config
from omtcp.core.paths import Paths
from omtcp.core.sender import Sender
from omtcp.core.transmission import Plan
from omtcp.trace.events import Event, LossDetected, WindowChanged

from .sending import MS, MSS, SECOND, settle_rtt


class PlainPeer:
    """A receiver that acknowledges each segment at once, cumulatively, and a network 50 ms away."""

    def __init__(self, segments: int) -> None:
        self.now = 10 * SECOND
        self.events: list[Event] = []
        self.sender = Sender(
            Config(congestion="reno", min_rto_ns=200 * MS),
            Paths([MSS]),
            first=0,
            multipath=False,
            sack=False,
            random=lambda: 0.5,
            report=self.events.append,
        )
        self.subflow = self.sender.subflows[0]
        settle_rtt(self.subflow, 50, now=self.now)
        controller = self.subflow.controller
        controller.cwnd = controller.ssthresh = 20 * MSS
        self.sender.window.right = 1 << 40
        self.sender.write(bytes(segments * MSS))
        self.received: set[int] = set()
        """Whole segments."""
        self.sent: list[int] = []
        """Every segment that was sent, in order."""

    def flight(self) -> list[int]:
        """Everything the sender sends now, or when its pacer lets it, in segments."""
        segments: list[int] = []
        while True:
            while (plan := self.sender.transmission.poll(self.now)) is not None:
                segments += self._segments(plan)
            if not self.subflow.paced:
                break
            self.now = self.subflow.pacer.ready_at()
        self.sent += segments
        return segments

    @staticmethod
    def _segments(plan: Plan) -> list[int]:
        return list(range(plan.start // MSS, -(-plan.end // MSS)))

    def deliver(self, segments: list[int]) -> None:
        """They arrive, in this order, and each is acknowledged at once."""
        for segment in segments:
            before = self.edge
            self.received.add(segment)
            if self.edge > before:
                self.sender.on_ack(self.now, self.edge * MSS, [])
                self.sender.settle(self.now)
            else:
                self.sender.on_duplicate_ack(self.now)

    @property
    def edge(self) -> int:
        """The first segment that is missing."""
        return next(n for n in range(len(self.received) + 1) if n not in self.received)

    def round_trip(self, lose: Callable[[int], bool] = lambda _: False) -> list[int]:
        """A round trip: send, lose some, deliver the rest; what was sent."""
        segments = self.flight()
        self.now += 50 * MS
        self.deliver([segment for segment in segments if not lose(segment)])
        return segments

    def reductions(self) -> int:
        return sum(isinstance(event, WindowChanged) for event in self.events)


def test_the_third_duplicate_repeats_the_first_segment() -> None:
    peer = PlainPeer(100)
    assert peer.flight() == list(range(20))
    peer.now += 50 * MS
    peer.deliver([1, 2])
    assert peer.flight() == [20, 21]  # each duplicate says that a segment left the network
    assert peer.reductions() == 0
    peer.deliver([3])
    assert peer.flight()[0] == 0
    assert peer.reductions() == 1
    assert peer.subflow.controller.cwnd == 10 * MSS


def test_two_duplicates_are_reordering() -> None:
    peer = PlainPeer(20)
    peer.flight()
    peer.now += 50 * MS
    peer.deliver([1, 2, 0, *range(3, 20)])
    assert (peer.reductions(), peer.sender.window.busy) == (0, False)


def test_more_duplicates_do_not_repeat_more() -> None:
    peer = PlainPeer(20)
    peer.flight()
    peer.now += 50 * MS
    peer.deliver(list(range(1, 20)))
    assert peer.flight() == [0]
    assert peer.subflow.in_flight > 0
    peer.deliver([0])
    assert not peer.sender.window.busy
    assert peer.subflow.in_flight == 0


def test_each_partial_ack_repeats_one_more_and_nothing_else() -> None:
    """Three holes cost three retransmissions, three round trips and one reduction."""
    peer = PlainPeer(60)
    peer.round_trip(lambda segment: segment in (2, 7, 11))
    for _ in range(8):
        peer.round_trip()
        peer.sender.on_timers(peer.now)
    assert not peer.sender.window.busy
    assert [n for n in set(peer.sent) if peer.sent.count(n) > 1] == [2, 7, 11]
    assert peer.reductions() == 1


def test_a_full_ack_ends_the_recovery_and_the_window_grows_again() -> None:
    peer = PlainPeer(200)
    peer.round_trip(lambda segment: segment == 0)
    assert peer.subflow.in_recovery
    peer.round_trip()
    assert not peer.subflow.in_recovery
    window = peer.subflow.controller.cwnd
    peer.round_trip()
    peer.round_trip()
    assert window < peer.subflow.controller.cwnd <= window + 2 * MSS
    assert len(set(peer.sent)) == len(peer.sent) - 1


def test_a_later_loss_is_a_new_event() -> None:
    peer = PlainPeer(200)
    peer.round_trip(lambda segment: segment == 0)
    peer.round_trip()
    start = peer.sender.board.nxt // MSS
    peer.round_trip(lambda segment: segment == start)
    assert peer.reductions() == 2
    for _ in range(30):
        peer.round_trip()
    assert not peer.sender.window.busy


def test_a_timeout_starts_over() -> None:
    """And what was out then causes no fast retransmit any more (RFC 6582 section 4)."""
    peer = PlainPeer(20)
    peer.round_trip(lambda _: True)
    peer.now = peer.subflow.rto_at or 0
    assert peer.sender.on_timers(peer.now)
    assert {event.kind for event in peer.events if isinstance(event, LossDetected)} == {"timeout"}
    for _ in range(10):
        peer.round_trip()
    assert not peer.sender.window.busy
    assert sorted(peer.sent) == sorted([*range(20), *range(20)])
    assert peer.reductions() == 1
    assert peer.subflow.in_flight == 0


def test_duplicates_right_after_a_timeout_repeat_nothing() -> None:
    peer = PlainPeer(20)
    peer.flight()
    peer.now = peer.subflow.rto_at or 0
    peer.sender.on_timers(peer.now)
    assert peer.flight() == [0]
    peer.deliver([5, 6, 7, 8])
    assert peer.flight() == []
    assert peer.reductions() == 1


def test_a_retransmission_lost_again_waits_for_the_timer() -> None:
    peer = PlainPeer(20)
    peer.round_trip(lambda segment: segment == 0)
    peer.round_trip(lambda segment: segment == 0)
    assert peer.flight() == []
    peer.now = peer.sender.deadline(peer.now) or 0
    assert peer.now == peer.subflow.rto_at
    peer.sender.on_timers(peer.now)
    assert peer.round_trip() == [0]
    peer.round_trip()
    assert not peer.sender.window.busy


def test_duplicates_of_nothing_are_harmless() -> None:
    peer = PlainPeer(0)
    for _ in range(5):
        peer.sender.on_duplicate_ack(peer.now)
    assert (peer.subflow.in_flight, peer.flight()) == (0, [])
