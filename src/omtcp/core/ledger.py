"""Copies under way beside those on the scoreboard, and which copy an answer is of.

The scoreboard knows one transmission of each byte. Where the same bytes are sent over several paths
on purpose (see `redundancy`), the others are kept here, per subflow and in stream offsets. A copy
leaves the ledger when it is known what became of it: it arrived, or its path lost it. Both are its
own path's affair and count there, in flight, delivered or lost, as of any transmission.

An acknowledgment says that some copy arrived, the DSACK that a receiver sends for the next one that
another did (RFC 2883 section 4). Nothing says which came first. Two things tell:

- The edges of what is acknowledged are edges of segments. Each path cuts its data into segments of
  a size of its own, so mostly an edge fits one path only.
- Time: the copy whose answer was due about now.

What was sent over a path later than a copy and arrived while the copy is unanswered shows that the
copy is lost, as ever (see `rack`), be its range acknowledged or not. A DSACK travels in one ACK: if
that is lost on its way back, the copy counts as lost. That errs on the side of the network. From a
peer that has sent no DSACK for a copy yet, a missing one says nothing about the network: the copy
is not waited for any more, and its path's window neither grows nor shrinks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Final

from omtcp.core.ranges import RangeMap
from omtcp.core.scoreboard import Credit, Send
from omtcp.core.subflow import Subflow

_NOTHING: Final[dict[Subflow, RangeMap[Send]]] = {}
"""What most hold for all their life; nothing is ever put into it."""


class Ledger:
    """The copies of one connection that are not on its scoreboard."""

    __slots__ = ("_held", "answered")

    def __init__(self) -> None:
        self._held = _NOTHING
        self.answered = False
        """Whether the peer ever sent a DSACK for a copy; before, its silence means nothing."""

    def __bool__(self) -> bool:
        return bool(self._held) and any(self._held.values())

    def held(self, subflow: Subflow) -> RangeMap[Send]:
        """What `subflow` has here; to be read only."""
        return self._held.get(subflow) or RangeMap()

    def file(self, send: Send, start: int, end: int) -> None:
        """Bytes [start, end) of `send`, outstanding, are not on the scoreboard.

        If the same path has an older copy of them here, that one is not waited for any more.
        """
        if not self._held:
            self._held = {}
        held = self._held.setdefault(send.subflow, RangeMap())
        for piece_start, piece_end, old in held.cut(start, end):
            old.outstanding -= piece_end - piece_start
            old.subflow.drop(piece_end - piece_start)
        held.insert(start, end, send)

    def lose(self, send: Send, start: int, end: int) -> list[tuple[int, int]]:
        """Forget what is here of `send` within [start, end); the pieces, outstanding no more."""
        held = self._held.get(send.subflow)
        if not held:
            return []
        pieces = self.pieces(send, start, end)
        for piece_start, piece_end in pieces:
            held.cut(piece_start, piece_end)
            send.outstanding -= piece_end - piece_start
        return pieces

    def pieces(self, send: Send, start: int, end: int) -> list[tuple[int, int]]:
        """What is here of `send` within [start, end)."""
        return [
            (piece_start, piece_end)
            for piece_start, piece_end, owner in self.held(send.subflow).overlapping(start, end)
            if owner is send
        ]

    def withdraw(self, send: Send, start: int, end: int) -> None:
        """[start, end) of `send` is on the scoreboard from now on."""
        self._held[send.subflow].cut(start, end)

    def copies(self, start: int, end: int) -> list[tuple[int, int, Send]]:
        """What is here of [start, end), a path at a time."""
        found = []
        for held in self._held.values():
            if held:
                found += held.overlapping(start, end)
        return found

    def retain(self, subflows: Collection[Subflow]) -> None:
        """Forget the paths that are no more; what they had here was lost before."""
        if self._held:
            self._held = {flow: held for flow, held in self._held.items() if flow in subflows}

    def close(self) -> None:
        """Nobody waits for anything any more."""
        for subflow, held in self._held.items():
            for start, end, send in held:
                send.outstanding -= end - start
                subflow.drop(end - start)
        self._held = _NOTHING

    # Answers

    def attribute(self, now: int, credited: list[Credit], edges: Collection[int]) -> list[Credit]:
        """Say of newly acknowledged bytes which copy of them arrived first.

        `credited` is what one acknowledgment told the scoreboard; `edges` are its own numbers, each
        the edge of a segment. Copies that were not first, and may still arrive, stay here.
        """
        result: list[Credit] = []
        for run in _runs(credited):
            start, end = run[0].start, run[-1].end
            copies = self.copies(start, end)
            if not copies:
                result += run
                continue
            owners = [credit.send for credit in run if not credit.was_lost]
            sends = [*owners, *(send for _, _, send in copies)]
            marked = _marked(sends, [edge for edge in (start, end) if edge in edges])
            for credit in run:
                result += self._attribute(now, credit, marked)
        return result

    def _attribute(self, now: int, credit: Credit, marked: Subflow | None) -> Iterator[Credit]:
        owner = credit.send
        copies = self.copies(credit.start, credit.end)
        for start, end in pairwise(_bounds(credit.start, credit.end, copies)):
            sends = [send for low, high, send in copies if low <= start and end <= high]
            if not sends:
                yield Credit(owner, start, end, credit.was_lost)
                continue
            first = _first(now, sends if credit.was_lost else [owner, *sends], marked)
            if first is not owner:
                self.withdraw(first, start, end)
                first.outstanding -= end - start
                if not credit.was_lost:  # it is still under way
                    owner.outstanding += end - start
                    self.file(owner, start, end)
            yield Credit(first, start, end, False)

    def on_dsack(
        self, now: int, start: int, end: int
    ) -> tuple[list[Credit], list[tuple[int, int]]]:
        """One more copy of [start, end) arrived: whose, and what of it is no copy's from here."""
        copies = self.copies(start, end)
        marked = _marked([send for _, _, send in copies], [start, end])
        credited: list[Credit] = []
        rest: list[tuple[int, int]] = []
        for low, high in pairwise(_bounds(start, end, copies)):
            sends = [send for first, last, send in copies if first <= low and high <= last]
            if not sends:
                rest.append((low, high))
                continue
            send = _first(now, sends, marked)
            self.answered = True
            self.withdraw(send, low, high)
            send.outstanding -= high - low
            credited.append(Credit(send, low, high, False))
        return credited, rest


def _runs(credited: Iterable[Credit]) -> Iterator[list[Credit]]:
    """Neighbours together."""
    run: list[Credit] = []
    for credit in credited:
        if run and run[-1].end != credit.start:
            yield run
            run = []
        run.append(credit)
    if run:
        yield run


def _bounds(start: int, end: int, copies: Iterable[tuple[int, int, Send]]) -> list[int]:
    """The places in [start, end] where other copies begin or end, in order."""
    bounds = {start, end}
    for low, high, _ in copies:
        bounds |= {low, high}
    return sorted(bounds)


def _marked(sends: Iterable[Send], edges: Iterable[int]) -> Subflow | None:
    """The path whose segments have most of these edges; None if none has any, or several."""
    marks: dict[Subflow, set[int]] = {}
    for send in sends:
        for edge in edges:
            if send.start <= edge <= send.end and (
                edge == send.end or (edge - send.start) % send.subflow.mss == 0
            ):
                marks.setdefault(send.subflow, set()).add(edge)
    most = max((len(each) for each in marks.values()), default=0)
    best = [subflow for subflow, each in marks.items() if len(each) == most]
    return best[0] if len(best) == 1 else None


def _first(now: int, sends: list[Send], marked: Subflow | None) -> Send:
    """The copy that is answered now: not one too recent for that, and marked, or timely."""
    possible = [
        send for send in sends if now - send.sent_at >= send.subflow.rtt.min_rtt_ns * 3 // 4
    ]
    for send in possible:
        if send.subflow is marked:
            return send
    return min(
        possible or sends,
        key=lambda send: abs(now - send.sent_at - send.subflow.rtt.srtt_ns),
    )
