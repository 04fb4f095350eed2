"""The receiver against the plainest model: one flag per byte of the stream."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omtcp.core.receive import Receiver

LENGTH = 3000
STREAM = Random(7).randbytes(LENGTH)
EVERY_BLOCK = LENGTH


def runs(flags: bytearray, low: int, high: int, wanted: int) -> Iterator[tuple[int, int]]:
    """The maximal runs of `wanted` within [low, high)."""
    at = low
    while at < high:
        if flags[at] == wanted:
            end = at
            while end < high and flags[end] == wanted:
                end += 1
            yield at, end
            at = end
        else:
            at += 1


class ReceiverMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.receiver = Receiver(400, 1000, mss=100)
        self.have = bytearray(LENGTH)
        self.read_upto = 0
        self.edge = 0
        self.fin_seen = False
        self.now = 0

    @property
    def left(self) -> int:
        """The first byte that has not arrived."""
        missing = self.have.find(0)
        return LENGTH if missing < 0 else missing

    @rule(
        back=st.integers(-300, 700), length=st.integers(1, 500), cuts=st.sets(st.integers(1, 499))
    )
    def segment(self, back: int, length: int, cuts: set[int]) -> None:
        start = min(max(0, self.left + back), LENGTH - 1)
        end = min(start + length, LENGTH)
        self.arrive(start, end, sorted(c for c in cuts if c < end - start))

    @rule(length=st.integers(1, 500))
    def next_segment(self, length: int) -> None:
        if self.left < LENGTH:
            self.arrive(self.left, min(self.left + length, LENGTH), [])

    def arrive(self, start: int, end: int, cuts: list[int]) -> None:
        r = self.receiver
        limit = max(self.edge, self.read_upto + r.capacity, 400)
        accepted = min(end, limit)
        duplicate = next(runs(self.have, start, accepted, 1), None)
        known = len(r._duplicates)
        owed = r.ack_now
        in_order = start == self.left and not any(self.have[start:])
        if end == LENGTH:
            self.fin_seen = True
            r.on_fin(LENGTH)
        edges = [0, *cuts, end - start]
        payload = [STREAM[start + a : start + b] for a, b in pairwise(edges)]
        r.on_data(self.now, start, tuple(payload))
        if accepted > start:
            self.have[start:accepted] = b"\1" * (accepted - start)
        if duplicate is not None and known < 16:
            assert list(r._duplicates)[known:] == [duplicate]
        else:
            assert len(r._duplicates) == known
        assert r.ack_now or r.ack_deadline is not None
        if owed or not in_order or end == LENGTH or accepted < end:
            assert r.ack_now
        if accepted > max(start, self.left) and duplicate is None and known == 0:
            first = r.sack_blocks(1)[0]
            assert first[0] < accepted
            assert start < first[1]

    @rule(limit=st.integers(0, 600))
    def read(self, limit: int) -> None:
        data = self.receiver.read(limit)
        assert data == STREAM[self.read_upto : self.read_upto + len(data)]
        assert len(data) == min(limit, self.left - self.read_upto)
        self.read_upto += len(data)

    @precondition(lambda self: self.receiver.ack_now or self.receiver.ack_deadline is not None)
    @rule()
    def acknowledge(self) -> None:
        r = self.receiver
        edge = r.rcv_nxt + r.window
        assert edge >= self.edge
        assert edge <= max(400, self.read_upto + r.capacity + 1)
        duplicates = len(r._duplicates)
        r.sack_blocks(4)
        r.on_ack_sent()
        self.edge = edge
        assert r.ack_now is (duplicates > 1)
        assert r.ack_deadline is None

    @rule(elapsed=st.integers(0, 100_000_000))
    def wait(self, elapsed: int) -> None:
        self.now += elapsed

    @invariant()
    def left_edge(self) -> None:
        r = self.receiver
        finished = self.fin_seen and self.left == LENGTH
        assert r.finished is finished
        assert r.rcv_nxt == self.left + finished
        assert r.readable == self.left - self.read_upto

    @invariant()
    def islands(self) -> None:
        blocks = self.receiver._islands.blocks(EVERY_BLOCK)
        assert sorted(blocks) == list(runs(self.have, self.left, LENGTH, 1))

    @invariant()
    def deadline_is_in_time(self) -> None:
        deadline = self.receiver.ack_deadline
        assert deadline is None or deadline <= self.now + 500_000_000


ReceiverMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestReceiver = ReceiverMachine.TestCase
