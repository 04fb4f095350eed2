"""The same bytes over every usable path, so that a loss or an outage of one delays nothing.

Each path goes through the stream on its own, as fast as its congestion window lets it. What was not
sent yet it sends as new; what others have under way it repeats; what the receiver has it passes
over. So the fastest path sets the pace, and no path falls behind for ever.

A path that cannot keep up repeats what is newest: a copy that would come half a round trip later
than the original, or more, protects little, and is left out as long as there is something better
to send. When there is not, what a path left out, or lost, is next; and before all else what
everybody waits for, when that is overdue.

The copies are in the `ledger`. A range that one path lost and another has under way is not sent
again: the copy takes its place, unless a repetition would be there sooner.

Segments of each path have a size of their own, which tells the copies apart when they are answered
(see `ledger`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from omtcp.core.ledger import Ledger
from omtcp.core.scoreboard import Scoreboard, Send
from omtcp.core.subflow import Subflow

COPY = "copy"
"""The kind of a plan that repeats what another path has under way."""

SHARE_OF_SEGMENT = 180
"""Of paths with segments of one size, those of the second are shorter by one in so many bytes,
those of the third by two: 8 bytes where a segment is 1448."""


class Redundancy:
    """Finds what each path of a connection sends next."""

    __slots__ = ("_alike", "_board", "_fronts", "_ledger", "_shortened", "_subflows")

    def __init__(
        self,
        board: Scoreboard,
        ledger: Ledger,
        subflows: list[Subflow],
        alike: Callable[[int], int | None],
    ) -> None:
        """`alike` is the place up to which bytes from an offset on bear one timestamp.

        A segment that bore another one than its bytes had at first might be discarded, or have
        others discarded (see `timestamps`). None stands for the end of the stream.
        """
        self._board = board
        self._ledger = ledger
        self._subflows = subflows
        self._alike = alike
        self._fronts: dict[Subflow, int] = {}
        """Per path: what lies from there on it has not sent."""
        self._shortened: dict[Subflow, tuple[int, int]] = {}
        """The size that segments had, and were given."""
        self.follow()

    def follow(self) -> None:
        """There may be other paths than before."""
        self._fronts = {flow: self._fronts.get(flow, self._board.nxt) for flow in self._subflows}
        self._shortened = {
            flow: sizes for flow, sizes in self._shortened.items() if flow in self._subflows
        }
        taken: set[int] = set()
        for subflow in self._subflows:
            if subflow.mss in taken:
                self._shorten(subflow, taken)
            taken.add(subflow.mss)

    def _shorten(self, subflow: Subflow, taken: set[int]) -> None:
        """Have segments of `subflow` be a little shorter, of a size that no other path has."""
        mss = subflow.mss
        step = max(mss // SHARE_OF_SEGMENT, 1)
        size = next((size for size in range(mss, 0, -step) if size not in taken), mss)
        whole, given = self._shortened.get(subflow, (mss, mss))
        # Unless it is as we left it, the network has asked for less meanwhile.
        self._shortened[subflow] = (whole if given == mss else mss, size)
        subflow.resize(size)

    def end(self) -> None:
        """Copies are sent no more. Those under way stay in the ledger until they are answered."""
        for subflow, (size, given) in self._shortened.items():
            if subflow.mss == given:
                subflow.resize(size)

    # What next

    def run(self, now: int, subflow: Subflow) -> tuple[int, int]:
        """Bytes [start, end) that `subflow` is to repeat now, a burst's worth at most.

        Where that is nothing, both are the place where new data begins.
        """
        una = self._board.una
        if self._lacks(subflow, una) and _overdue(now, self._board.flights.values[0]):
            return self._find(subflow, una)
        front = max(self._fronts[subflow], una)
        start, end = self._find(subflow, front, lambda send: _in_time(now, subflow, send))
        self._fronts[subflow] = start
        return start, end

    def left_out(self, subflow: Subflow) -> tuple[int, int]:
        """As `run`, of all that `subflow` does not have under way: what it left out, or lost."""
        return self._find(subflow, self._board.una)

    def takes_more(self, start: int, end: int) -> bool:
        """Whether new data may follow what is repeated from `start` to `end` in the same burst."""
        nxt = self._board.nxt
        return end == nxt and (start == nxt or self._alike(start) is None)

    def carriers(self, now: int, start: int) -> list[Subflow]:
        """The usable paths on which nobody waits for a copy of the byte at `start`, by RTT."""
        free = [
            flow for flow in self._subflows if flow.usable and not self._waits(now, flow, start)
        ]
        return sorted(free, key=lambda flow: flow.rtt.srtt_ns)

    def repeatable(self, subflow: Subflow, start: int, limit: int) -> int:
        """How many of `limit` bytes that are lost from `start` on `subflow` sends again at once."""
        end = start + self._alike_bytes(start, min(limit, self._board.lost.ends[0] - start))
        gap = self._ledger.held(subflow).gap(start, end)
        return end - start if gap is None or gap[0] > start else gap[1] - start

    def _alike_bytes(self, start: int, limit: int) -> int:
        """How many of `limit` bytes from `start` on bear one timestamp."""
        stop = self._alike(start)
        return limit if stop is None else min(limit, stop - start)

    def _waits(self, now: int, subflow: Subflow, offset: int) -> bool:
        """Whether a copy of a byte is on its way over `subflow`, and not overdue."""
        copies = self._ledger.held(subflow).overlapping(offset, offset + 1)
        return bool(copies) and not _overdue(now, copies[0][2])

    def _find(
        self, subflow: Subflow, low: int, wanted: Callable[[Send], bool] | None = None
    ) -> tuple[int, int]:
        """The first run from `low` on that others have under way and `subflow` has not."""
        flights = self._board.flights
        held = self._ledger.held(subflow)
        start = end = self._board.nxt
        for index in range(bisect_right(flights.ends, low), len(flights)):
            send, piece_end = flights.values[index], flights.ends[index]
            gap = None
            if send.subflow is not subflow and (wanted is None or wanted(send)):
                gap = held.gap(max(flights.starts[index], low), piece_end)
            if start == self._board.nxt:
                if gap is None:
                    continue
                start, end = gap
            elif gap is None or gap[0] != end:
                break
            else:
                end = gap[1]
            if end != piece_end or end - start >= subflow.quantum:
                break
        return start, start + self._alike_bytes(start, end - start)

    def _lacks(self, subflow: Subflow, una: int) -> bool:
        """Whether another path has the byte at the left edge under way, and this one has not."""
        flights = self._board.flights
        if not flights or flights.starts[0] != una or flights.values[0].subflow is subflow:
            return False
        return self._ledger.held(subflow).gap(una, una + 1) is not None

    # What happened

    def send(self, now: int, subflow: Subflow, start: int, end: int) -> str:
        """Charge [start, end) to `subflow`: what lies before nxt as a copy, the rest as new data.

        Returns the kind of the plan, `copy` if any of it is one.
        """
        board = self._board
        send = subflow.send(now, start, end)
        copied = min(end, board.nxt)
        self._fronts[subflow] = max(self._fronts[subflow], end)
        if start < copied:
            self._ledger.file(send, start, copied)
        if copied < end:
            board.record(send, max(start, copied))
        return COPY if start < copied else ""

    def on_repeated(self, subflow: Subflow, start: int) -> None:
        """`subflow` has sent lost data from `start` on, which the others are to send as well."""
        for other, front in self._fronts.items():
            if other is not subflow:
                self._fronts[other] = min(front, start)

    def spare(self, now: int) -> None:
        """Take back from what is lost, first of all, that of which a copy is about to arrive."""
        lost = self._board.lost
        while lost:
            start, end = lost.starts[0], lost.ends[0]
            awaited = self._awaited(now, start, end)
            if awaited is None:
                return
            end, send = awaited
            lost.cut(start, end)
            self._ledger.withdraw(send, start, end)
            self._board.flights.insert(start, end, send)

    def _awaited(self, now: int, start: int, end: int) -> tuple[int, Send] | None:
        """A copy of what is lost from `start` on that will be there before a repetition."""
        free = self.carriers(now, start)
        repeated_at = now + free[0].rtt.srtt_ns if free else None
        for low, high, send in self._ledger.copies(start, end):
            due = send.sent_at + send.subflow.rtt.srtt_ns
            if low > start or _overdue(now, send):
                continue
            if repeated_at is None or due <= repeated_at:
                return high, send
        return None


def _overdue(now: int, send: Send) -> bool:
    rtt = send.subflow.rtt
    return now > send.sent_at + rtt.srtt_ns + max(rtt.rttvar_ns, rtt.srtt_ns // 8)


def _in_time(now: int, subflow: Subflow, original: Send) -> bool:
    """Whether a copy over `subflow` would come early enough to be of use."""
    rtt_ns = original.subflow.rtt.srtt_ns
    return now + subflow.rtt.srtt_ns <= original.sent_at + rtt_ns + rtt_ns // 2
