"""What goes out next, and over which path.

What was lost comes first, then new data (or what other paths have under way, where every path
carries everything), then what keeps all waiting, then pings. Each is decided for a burst at a time
and accounted for at once; what the scheduler, the pacers and the receive window have to say is
asked here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from omtcp.core.config import Config, Mode
from omtcp.core.congestion.base import initial_window
from omtcp.core.costs import affordable, without_need
from omtcp.core.ledger import Ledger
from omtcp.core.losses import Kind
from omtcp.core.membership import Membership
from omtcp.core.pings import Pings
from omtcp.core.pooling import Pool
from omtcp.core.primary import PrimaryChooser
from omtcp.core.redundancy import Redundancy
from omtcp.core.reinjection import Reinjection
from omtcp.core.scheduler import (
    carriers,
    elsewhere,
    for_new_data,
    for_retransmission,
    in_order,
    ready_room,
)
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.send_window import SendWindow
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, Retransmission

PING = "ping"


class Plan(NamedTuple):
    """Bytes [start, end) to be put on the wire over `subflow` now."""

    subflow: Subflow
    start: int
    end: int
    kind: str
    """Empty for new data, `ping`, `copy`, or why it goes out again (losses.Kind)."""


class Transmission:
    """Plans what one connection transmits."""

    __slots__ = (
        "_board",
        "_chooser",
        "_config",
        "_costs_differ",
        "_membership",
        "_pings",
        "_pool",
        "_reinjection",
        "_report",
        "_subflows",
        "_window",
        "redundancy",
    )

    def __init__(
        self,
        config: Config,
        board: Scoreboard,
        window: SendWindow,
        subflows: list[Subflow],
        *,
        membership: Membership,
        pings: Pings,
        chooser: PrimaryChooser,
        pool: Pool | None,
        report: Callable[[Event], None] | None,
    ) -> None:
        self._config = config
        self._board = board
        self._window = window
        self._subflows = subflows
        self._membership = membership
        self._pings = pings
        self._chooser = chooser
        self._pool = pool
        self._report = report
        self._reinjection = Reinjection(board) if pool is not None else None
        self.redundancy: Redundancy | None = None
        """Set while every path is to carry everything."""
        self._costs_differ = False
        self.follow()

    def follow(self) -> None:
        """There may be other paths than before, or they cost something else."""
        if self.redundancy is not None:
            self.redundancy.follow()
        self._costs_differ = len({subflow.cost for subflow in self._subflows}) > 1

    def carry_everything(self, ledger: Ledger, alike: Callable[[int], int | None]) -> None:
        """From now on every path carries everything; the arguments are those of `Redundancy`."""
        if self.redundancy is None:
            self.gather()
            self.redundancy = Redundancy(self._board, ledger, self._subflows, alike)

    def share(self) -> None:
        """From now on each byte goes over one path, as long as nothing goes wrong."""
        if self.redundancy is not None:
            self.redundancy.end()
            self.redundancy = None

    def poll(self, now: int) -> Plan | None:
        """The next thing to transmit, already accounted for; None when there is nothing now."""
        board = self._board
        for path in self._subflows:
            if path.paced:
                path.paced = False
                path.pacer.on_resumed(now)
        redundancy = self._copying
        if board.lost and redundancy is not None:
            redundancy.spare(now)
        if board.lost:
            plan = self._retransmit(now)
            if plan is not None:
                return plan
        elif redundancy is not None and (board.nxt < self._window.end or board.flights):
            plan = self._send_everywhere(now, redundancy)
            if plan is not None:
                return plan
        elif board.nxt < self._window.end:
            plan = self._send_new(now)
            if plan is not None:
                return plan
        else:  # the application is what holds back whoever still has room
            for path in self._subflows:
                if path.limited and path.space >= path.mss:
                    path.limited = False
        if not self._membership.complete and self._may_ping:
            at = self._untried_at()
            if at is not None and at <= now:
                self.gather()
        if len(self._subflows) > 1:
            if self._reinjection is not None and self._reinject(now, self._reinjection):
                plan = self._retransmit(now)
                if plan is not None:
                    return plan
            subflow = self._pings.due(now, self._window.busy, self._untried_at())
            if subflow is not None and self._may_ping:
                offset = self._pings.send(now, subflow)
                return Plan(subflow, offset, offset + 1, PING)
        return None

    def gather(self) -> None:
        """Have the paths join that have not."""
        self._membership.gather(max(self._window.size, 1))
        self.follow()

    def _reinject(self, now: int, reinjection: Reinjection) -> bool:
        """Whether what keeps everything waiting is to go out again, over another path."""
        board = self._board
        if self.redundancy is not None or board.lost or not board.flights:
            return False
        window_full = board.nxt < self._window.end
        if window_full and self._window.usable >= self.best.mss:
            return False
        return reinjection.move(now, self._paths(), window_full=window_full)

    def _untried_at(self) -> int | None:
        """From when on paths are asked over which nothing was heard yet; None for not at all.

        At once if there is more to send than the others take. If not, the answers to what they
        carry are waited for first: short answers and idle connections are many, and to ask all the
        paths for each of them would cost more than they do. Who wants everything twice wants it
        from the first byte.
        """
        if self.redundancy is not None:
            return 0
        if not self._window.busy:
            return None
        if self._board.nxt < self._window.end or self._board.lost:
            return 0
        floor_ns = self._config.suspect_floor_ns
        waiting = [
            subflow.silent_since + subflow.patience(floor_ns)
            for subflow in self._subflows
            if subflow.silent_since is not None and subflow.state is not PathState.UNTRIED
        ]
        return min(waiting, default=0)

    @property
    def _may_ping(self) -> bool:
        """A ping repeats a data byte, not a FIN, so it stops when all is acknowledged."""
        return not self._window.fin_acked

    @property
    def _copying(self) -> Redundancy | None:
        """The redundant policy, if there is more than one path to copy over.

        The only path is used whatever is known of it: it may be new, with nothing to ask it by.
        """
        return self.redundancy if len(self._subflows) > 1 else None

    def _retransmit(self, now: int) -> Plan | None:
        lost, redundancy = self._board.lost, self._copying
        first = lost.values[0]
        if redundancy is not None:
            paths = carriers(first, redundancy.carriers(now, lost.starts[0]))
        elif first.lost_by == Kind.REINJECTED:  # for another path, whatever that costs
            paths = in_order(self._subflows, self.best)
            paths = [path for path in paths if path is not first.subflow] or paths
        elif first.lost_by == Kind.PROBE:
            paths = in_order(self._subflows, self.best)
            paths = elsewhere(first, paths) or paths
        else:
            paths = carriers(first, self._paths())
        subflow, room = for_retransmission(now, paths, lost.total)
        if subflow is None:
            return None
        limit = self._window.right + self._window.closing  # a FIN needs no room
        room = room // subflow.mss * subflow.mss
        if redundancy is not None:
            room = redundancy.repeatable(subflow, lost.starts[0], room)
        taken = self._board.take_lost(room, limit)
        if taken is None:
            return None
        start, end, origin = taken
        kind = origin.lost_by
        self._board.record(subflow.send(now, start, end, origin))
        if redundancy is not None:
            redundancy.on_repeated(subflow, start)
        if self._report:
            self._report(Retransmission(subflow.index, origin.subflow.index, start, end, kind))
        return Plan(subflow, start, end, kind)

    def _send_new(self, now: int) -> Plan | None:
        board = self._board
        paths = self._paths()
        self._restart_idle(now, paths)
        remaining = self._window.end - board.nxt
        if self._costs_differ:
            paths = without_need(paths, remaining)
        subflow, room = for_new_data(now, paths, remaining=remaining, window_size=self._window.size)
        if subflow is None:
            return None
        room = self._fit(subflow, min(room, remaining))
        if room <= 0:
            if self._pool is not None and subflow is self._pool.anchor:
                self._pool.blocking.on_window_full(now)
            return None
        start = board.nxt
        board.record(subflow.send(now, start, start + room))
        return Plan(subflow, start, start + room, "")

    def _send_everywhere(self, now: int, redundancy: Redundancy) -> Plan | None:
        """What the next path that has room lacks of what is under way, or new data."""
        paths = in_order(self._subflows, self.best)
        self._restart_idle(now, paths)
        for subflow in paths:
            start, end = redundancy.run(now, subflow)
            if redundancy.takes_more(start, end) and self._board.nxt < self._window.end:
                end += self._fit(subflow, min(subflow.quantum, self._window.end - self._board.nxt))
            if start == end:
                start, end = redundancy.left_out(subflow)
            if start < end and (room := ready_room(now, subflow, end - start)):
                end = min(end, start + room)
                return Plan(subflow, start, end, redundancy.send(now, subflow, start, end))
            subflow.limited = start < end
        return None

    def _fit(self, subflow: Subflow, room: int) -> int:
        """What the receive window admits of `room` new bytes.

        Zero means that the receiver, not the path, holds us back.
        """
        if room > self._window.usable:
            self._not_limited(self._subflows)
        return self._window.admits(room, subflow.mss)

    @staticmethod
    def _not_limited(paths: Iterable[Subflow]) -> None:
        """Something else than their windows holds these paths back: they are not to grow."""
        for path in paths:
            path.limited = False

    @staticmethod
    def _restart_idle(now: int, paths: list[Subflow]) -> None:
        """A window that was not used for an RTO starts small again (RFC 5681 section 4.1)."""
        for subflow in paths:
            if subflow.in_flight or not subflow.sent_at:
                continue
            if now - subflow.sent_at <= subflow.rtt.rto_ns:
                continue
            window = initial_window(subflow.mss)
            if subflow.controller.cwnd > window:
                subflow.controller.restart(window, now)

    def _paths(self) -> list[Subflow]:
        if len(self._subflows) == 1:
            return [subflow for subflow in self._subflows if not subflow.drained]
        if self._pool is not None:
            return self._pool.paths()
        paths = in_order(self._subflows, self.best if self._chooser.settled else None)
        if self._costs_differ and self._config.mode is Mode.PRIMARY:
            paths = affordable(paths, self._chooser.primary)
        return paths

    @property
    def best(self) -> Subflow:
        """The path that is filled first."""
        if self._pool is not None:
            return self._pool.anchor
        return self._chooser.primary

    # Time

    def deadline(self) -> int | None:
        """When `poll` may have something that it has not now."""
        subflows = self._subflows
        deadline = None
        for subflow in subflows:
            if subflow.paced and (deadline is None or subflow.pacer.ready_at() < deadline):
                deadline = subflow.pacer.ready_at()
        if len(subflows) > 1:
            at = self._reinjection.due_at if self._reinjection is not None else None
            if at is not None and (deadline is None or at < deadline):
                deadline = at
            busy, untried_at = self._window.busy, self._untried_at()
            for subflow in subflows:
                at = self._pings.due_at(subflow, busy, untried_at) if self._may_ping else None
                if at is not None and (deadline is None or at < deadline):
                    deadline = at
        elif not self._membership.complete and self._may_ping:
            at = self._untried_at()
            if at is not None and (deadline is None or at < deadline):
                deadline = at
        return deadline

    def on_timers(self, now: int) -> None:
        """That may have come."""
        if self._reinjection is not None:
            self._reinjection.on_timers(now)
