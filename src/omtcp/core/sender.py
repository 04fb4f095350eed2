"""The send half of a connection: what the application wrote, on its way over the paths.

It joins the parts that each know one thing: the buffer (bytes), the scoreboard (where they are),
recovery (what is lost, who is silent), the scheduler (who carries what), the pings and the choice
of the primary. Offsets are stream offsets: the first data byte is 0, the FIN takes the place
behind the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple

from omtcp.core.config import Config, Mode, Policy
from omtcp.core.congestion.base import initial_window
from omtcp.core.costs import affordable, without_need
from omtcp.core.coupler import Coupler
from omtcp.core.ledger import Ledger
from omtcp.core.losses import Kind
from omtcp.core.membership import Founder, Membership
from omtcp.core.paths import Paths
from omtcp.core.pings import Pings
from omtcp.core.plain_recovery import PlainRecovery
from omtcp.core.pooling import Pool
from omtcp.core.primary import PrimaryChooser
from omtcp.core.recovery import Recovery, no_new_data
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
from omtcp.core.scoreboard import Credit, Scoreboard
from omtcp.core.send_buffer import Buffer, SendBuffer
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, MetricsUpdated, Retransmission

PING = "ping"


class Plan(NamedTuple):
    """Bytes [start, end) to be put on the wire over `subflow` now."""

    subflow: Subflow
    start: int
    end: int
    kind: str
    """Empty for new data, `ping`, `copy`, or why it goes out again (losses.Kind)."""


class Sender:
    """Everything between the application's writes and the segments of one connection."""

    __slots__ = (
        "_alike",
        "_costs_differ",
        "_membership",
        "_multipath",
        "_reinjection",
        "_report",
        "_touched",
        "_widest",
        "board",
        "buffer",
        "chooser",
        "closing",
        "config",
        "coupler",
        "ledger",
        "max_window",
        "override",
        "pings",
        "plain",
        "pool",
        "recovery",
        "redundancy",
        "right",
        "silence",
        "subflows",
    )

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        first: int,
        segment_size: Callable[[int], int] = int,
        alike: Callable[[int], int | None] = lambda _: None,
        multipath: bool,
        sack: bool,
        random: Callable[[], float],
        report: Callable[[Event], None] | None,
    ) -> None:
        """Set up one subflow per path, or with `multipath` off just one that knows the others.

        Args:
            config: options.
            paths: the paths there are, kept up to date by its owner.
            first: the path of the handshake, which is known to work.
            segment_size: payload bytes of a segment on a path of a given size.
            alike: up to where bytes from an offset on bear one timestamp, see `redundancy`.
            multipath: whether more than one path may be used at a time.
            sack: whether the peer sends SACK.
            random: uniform in [0, 1).
            report: takes trace events, None when nobody listens.
        """
        self.config = config
        self._report = report
        self.buffer = SendBuffer()
        self.board = Scoreboard()
        founder = Founder(config, paths, segment_size)
        self.subflows, first_subflow = founder.begin(first, multipath=multipath)
        self.pings = Pings(config, self.subflows, self.buffer, report)
        self.ledger = Ledger()
        self.recovery = Recovery(config, self.board, self.ledger, self.subflows, self.pings, report)
        self.recovery.has_new_data = self._has_new_data
        self.silence = self.recovery.silence
        self._reinjection = Reinjection(self.board)
        self.pool: Pool | None = None
        if config.mode is Mode.POOLED:
            self.pool = Pool(self.subflows, first_subflow, self.board, report)
        self.chooser = PrimaryChooser(config, self.subflows, first_subflow, random, report)
        self.coupler: Coupler | None = None
        """Who grows how fast when all paths do; else it is the primary's budget."""
        if config.mode is Mode.POOLED:
            self.coupler = Coupler(config, self.subflows, report)
            self.pings.measured = self.coupler.on_sample
        first_subflow.state = PathState.ACTIVE
        self._multipath = multipath
        self._membership = Membership(
            founder,
            self.subflows,
            multipath=multipath,
            board=self.board,
            losses=self.recovery.losses,
            pings=self.pings,
            chooser=self.chooser,
            followers=[self.coupler] if self.coupler is not None else [],
            report=report,
        )
        self._costs_differ = False
        self._compare_costs()
        self.plain: PlainRecovery | None = None
        """How losses are found without SACK."""
        if not sack:
            self.plain = PlainRecovery(
                self.board, first_subflow, self.recovery.losses.window_changed
            )
            self.silence.watching = False
        self.closing = False
        self.right = 0
        """Right edge of the receive window."""
        self.max_window = 0
        """The largest receive window that the peer ever had."""
        self.override = False
        """Whether a silly window is to be used after all, since it did not grow for an RTO."""
        self._touched: set[Subflow] = set()
        self._widest = 0
        """The largest receive window seen."""
        self._alike = alike
        self.redundancy: Redundancy | None = None
        """Set while every path is to carry everything."""
        self.set_policy(config.policy)

    # The application

    def write(self, data: Buffer) -> None:
        """Append to the stream; the buffer is referenced until it is acknowledged."""
        self.buffer.write(data)

    def close(self) -> None:
        """No more data: a FIN follows what was written."""
        self.closing = True

    def retire(self) -> None:
        """Nothing more will be asked of it: let go of what would keep its memory in a circle."""
        self.buffer.clear()
        self.recovery.has_new_data = no_new_data

    def set_policy(self, policy: Policy) -> None:
        """Schedule by another policy from now on; it means nothing where there is but one path."""
        wanted = policy is Policy.REDUNDANT and self.pool is not None and self._multipath
        if wanted and self.redundancy is None:
            self.redundancy = Redundancy(self.board, self.ledger, self.subflows, self._alike)
        elif self.redundancy is not None and not wanted:
            self.redundancy.end()
            self.redundancy = None
        if self.coupler is not None:
            self.coupler.watch(not wanted)

    @property
    def end(self) -> int:
        """Offset behind everything there is to send, the FIN included."""
        return self.buffer.end + self.closing

    @property
    def fin_acked(self) -> bool:
        """Whether the peer has everything and knows that it does."""
        return self.closing and self.board.una == self.buffer.end + 1

    @property
    def busy(self) -> bool:
        """Whether anything is unsent or unacknowledged."""
        return self.board.una < self.end

    def _has_new_data(self) -> bool:
        """Whether data was never sent that the receiver has room for."""
        return self.board.nxt < min(self.buffer.end, self.right)

    @property
    def window_size(self) -> int:
        """The whole receive window."""
        return self.right - self.board.una

    # The peer

    def on_ack(self, now: int, ack: int, blocks: list[tuple[int, int]]) -> None:
        """Take in one acknowledgment; `settle` draws the conclusions from all of them at once.

        `ack` is at most nxt; `blocks` are SACK blocks as stream offsets, in the order received.
        """
        duplicate = None
        if blocks and self._is_duplicate(ack, blocks):
            start, end = blocks.pop(0)
            answered = self.pings.answer(now, start, end)
            if answered is None:
                duplicate = start, end
            elif self._revives(answered):
                first = answered.state is PathState.UNTRIED
                self.silence.restore(now, answered)
                if first:
                    self.chooser.on_first_answer(now, answered, max(self.window_size, 1))
        if duplicate is not None and not self.ledger:
            self.recovery.on_dsack(*duplicate)
            duplicate = None
        board = self.board
        if self.plain is not None and ack > board.una:
            self.subflows[0].deflate()
        nxt = board.nxt
        credited = board.acknowledge(ack, [block for block in blocks if block[1] <= nxt])
        rest: list[tuple[int, int]] = []
        if self.ledger:
            credited = self.ledger.attribute(now, credited, {ack, *chain(*blocks)})
            if duplicate is not None:
                copies, rest = self.ledger.on_dsack(now, *duplicate)
                credited += copies
        self._credit(now, credited)
        for start, end in rest:
            self.recovery.on_dsack(start, end)

    def _credit(self, now: int, credited: list[Credit]) -> None:
        """Each path gets what one acknowledgment says it carried."""
        if credited:
            self._touched |= self.recovery.on_credits(now, credited)
            for credit in credited:
                self.chooser.on_delivered(credit.send.subflow, credit.end - credit.start)

    @staticmethod
    def _revives(answered: Subflow) -> bool:
        """Whether an answered ping puts a path to use, which the host or operator may forbid."""
        return answered.heard_sent_at > answered.down_at and not answered.drained

    @staticmethod
    def _is_duplicate(ack: int, blocks: list[tuple[int, int]]) -> bool:
        """Whether the first block is a DSACK (RFC 2883 section 4)."""
        start, end = blocks[0]
        if start < ack:
            return True
        return len(blocks) > 1 and blocks[1][0] <= start and end <= blocks[1][1]

    def on_duplicate_ack(self, now: int) -> None:
        """An ACK that acknowledges nothing while data is out, from a peer without SACK."""
        if self.plain is not None:
            self.plain.on_duplicate(now)

    def on_too_big(self, now: int, offset: int, mss: int) -> None:
        """The path that carries `offset` takes segments of at most `mss` bytes.

        What that path has in flight beyond the offset was too big as well: it goes out again. If
        several paths carry it, it may have been any of them.
        """
        carriers = [send for _, _, send in self.board.flights.overlapping(offset, offset + 1)]
        carriers += [send for _, _, send in self.ledger.copies(offset, offset + 1)]
        for subflow in [send.subflow for send in carriers]:
            if mss < subflow.mss:
                subflow.resize(mss)
                self.recovery.losses.resend(now, subflow)

    def on_path(self, now: int, path: int, up: bool) -> None:
        """The host says that the link of `path` went down, or came up: no need to wait for silence.

        A link that is down is left at once if there is another path. One that is up is pinged; if
        it is still in use, what it owes goes out again without waiting for a timer backed off.
        """
        subflow = next((subflow for subflow in self.subflows if subflow.index == path), None)
        if subflow is None:
            return
        if up:
            if subflow.usable:
                subflow.rtt.reset_backoff()
            else:
                self.pings.hasten(now, subflow)
            return
        subflow.down_at = now
        if not self._multipath:
            self._membership.on_link_down(now, subflow)
        elif subflow.state is PathState.ACTIVE and any(
            other.usable for other in self.subflows if other is not subflow
        ):
            self.silence.suspect(now, subflow)
            self.chooser.replace(now, self.window_size, "down")

    def on_paths(self, now: int) -> None:
        """Paths were added, removed, drained or undrained, or cost something else now."""
        self._membership.follow(now, max(self.window_size, 1))
        self.ledger.retain(self.subflows)
        if self.redundancy is not None:
            self.redundancy.follow()
        self._compare_costs()

    def _compare_costs(self) -> None:
        self._costs_differ = len({subflow.cost for subflow in self.subflows}) > 1

    def settle(self, now: int) -> None:
        """Act on what has been acknowledged since the last call."""
        self._widest = max(self._widest, self.window_size)
        if self._touched:
            for subflow in self.subflows:  # a set's own order differs from run to run
                if subflow not in self._touched:
                    continue
                rtt_ns = subflow.settle(now)
                if rtt_ns is not None and self.coupler is not None:
                    self.coupler.on_sample(now, subflow, rtt_ns)
                before = subflow.recovery_position
                if self.plain is None:
                    self.recovery.detect_losses(now, subflow)
                else:
                    self.plain.on_advance(self.board.una)
                if subflow.recovery_position != before:
                    self._on_loss(now, subflow)
                subflow.pace(self.window_size)
            self._touched.clear()
            if self.pool is not None:
                self._watch(now, self.pool)
            if self.coupler is not None:
                self.coupler.on_delivered(now)
            self.buffer.release(self.board.una)
            if self.fin_acked:
                self.ledger.close()
        if self.plain is None:
            self._look_for_silence(now)
        if not self._multipath:
            self._membership.settle_alone(now)

    def _watch(self, now: int, pool: Pool) -> None:
        """Have the pool judge itself by what arrived."""
        pool.on_ack(
            now,
            una=self.board.una,
            window_size=max(self.window_size, 1),
            hungry=self._hungry and self.redundancy is None,
        )

    @property
    def _hungry(self) -> bool:
        """Whether only the paths limit us, neither the application nor a slow reader."""
        if 2 * self.window_size < self._widest:
            return False
        return self.board.nxt < self.buffer.end or bool(self.board.lost)

    def _on_loss(self, now: int, subflow: Subflow) -> None:
        """A congestion event on `subflow`: whoever decides about growth wants to know."""
        self.chooser.on_loss(subflow)
        if self.coupler is not None:
            self.coupler.on_loss(now, subflow)

    def _look_for_silence(self, now: int) -> None:
        if self._resting:
            return
        if self.silence.check(now) or (
            self.redundancy is None
            and self.right - self.board.nxt < max(flow.controller.cwnd for flow in self.subflows)
            and self.silence.slow_retransmit(now, self.right - self.board.nxt)
        ):
            self.chooser.replace(now, self.window_size, "suspect")

    # Transmission

    def poll(self, now: int) -> Plan | None:
        """The next thing to transmit, already accounted for; None when there is nothing now."""
        board = self.board
        for path in self.subflows:
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
        elif redundancy is not None and (board.nxt < self.end or board.flights):
            plan = self._send_everywhere(now, redundancy)
            if plan is not None:
                return plan
        elif board.nxt < self.end:
            plan = self._send_new(now)
            if plan is not None:
                return plan
        else:  # the application is what holds back whoever still has room
            self._not_limited(path for path in self.subflows if path.space >= path.mss)
        if len(self.subflows) > 1:
            if self.pool is not None and self.redundancy is None and self._reinject(now):
                plan = self._retransmit(now)
                if plan is not None:
                    return plan
            subflow = self.pings.due(now, self.busy, self._untried_at())
            if subflow is not None and self._may_ping:
                offset = self.pings.send(now, subflow)
                return Plan(subflow, offset, offset + 1, PING)
        return None

    def _reinject(self, now: int) -> bool:
        """Whether what keeps everything waiting is to go out again, over another path."""
        board = self.board
        if board.lost or not board.flights:
            return False
        window_full = board.nxt < self.end
        if window_full and self.right - board.nxt >= self.best.mss:
            return False
        return self._reinjection.move(now, self._paths(), window_full=window_full)

    def _untried_at(self) -> int | None:
        """From when on paths are asked over which nothing was heard yet; None for not at all.

        At once if there is more to send than the others take. If not, the answers to what they
        carry are waited for first: short answers and idle connections are many, and to ask all the
        paths for each of them would cost more than they do. Who wants everything twice wants it
        from the first byte.
        """
        if self.redundancy is not None:
            return 0
        if not self.busy:
            return None
        if self.board.nxt < self.end or self.board.lost:
            return 0
        floor_ns = self.config.suspect_floor_ns
        waiting = [
            subflow.silent_since + subflow.patience(floor_ns)
            for subflow in self.subflows
            if subflow.silent_since is not None and subflow.state is not PathState.UNTRIED
        ]
        return min(waiting, default=0)

    @property
    def _may_ping(self) -> bool:
        """A ping repeats a data byte, not a FIN, so it stops when all is acknowledged."""
        return not self.fin_acked

    @property
    def _copying(self) -> Redundancy | None:
        """The redundant policy, if there is more than one path to copy over.

        The only path is used whatever is known of it: it may be new, with nothing to ask it by.
        """
        return self.redundancy if len(self.subflows) > 1 else None

    def _retransmit(self, now: int) -> Plan | None:
        lost, redundancy = self.board.lost, self._copying
        first = lost.values[0]
        if redundancy is not None:
            paths = carriers(first, redundancy.carriers(now, lost.starts[0]))
        elif first.lost_by == Kind.REINJECTED:  # for another path, whatever that costs
            paths = in_order(self.subflows, self.best)
            paths = [path for path in paths if path is not first.subflow] or paths
        elif first.lost_by == Kind.PROBE:
            paths = in_order(self.subflows, self.best)
            paths = elsewhere(first, paths) or paths
        else:
            paths = carriers(first, self._paths())
        subflow, room = for_retransmission(now, paths, lost.total)
        if subflow is None:
            return None
        limit = self.right + self.closing  # a FIN needs no room
        room = room // subflow.mss * subflow.mss
        if redundancy is not None:
            room = redundancy.repeatable(subflow, lost.starts[0], room)
        taken = self.board.take_lost(room, limit)
        if taken is None:
            return None
        start, end, origin = taken
        kind = origin.lost_by
        self.board.record(subflow.send(now, start, end, origin))
        if redundancy is not None:
            redundancy.on_repeated(subflow, start)
        if self._report:
            self._report(Retransmission(subflow.index, origin.subflow.index, start, end, kind))
        return Plan(subflow, start, end, kind)

    def _send_new(self, now: int) -> Plan | None:
        board = self.board
        paths = self._paths()
        self._restart_idle(now, paths)
        remaining = self.end - board.nxt
        if self._costs_differ:
            paths = without_need(paths, remaining)
        subflow, room = for_new_data(now, paths, remaining=remaining, window_size=self.window_size)
        if subflow is None:
            return None
        room = self._fit(subflow, min(room, remaining))
        if room <= 0:
            if self.pool is not None and subflow is self.pool.anchor:
                self.pool.blocking.on_window_full(now)
            return None
        start = board.nxt
        board.record(subflow.send(now, start, start + room))
        return Plan(subflow, start, start + room, "")

    def _send_everywhere(self, now: int, redundancy: Redundancy) -> Plan | None:
        """What the next path that has room lacks of what is under way, or new data."""
        paths = in_order(self.subflows, self.best)
        self._restart_idle(now, paths)
        for subflow in paths:
            start, end = redundancy.run(now, subflow)
            if redundancy.takes_more(start, end) and self.board.nxt < self.end:
                end += self._fit(subflow, min(subflow.quantum, self.end - self.board.nxt))
            if start == end:
                start, end = redundancy.left_out(subflow)
            if start < end and (room := ready_room(now, subflow, end - start)):
                end = min(end, start + room)
                return Plan(subflow, start, end, redundancy.send(now, subflow, start, end))
            subflow.limited = start < end
        return None

    def _fit(self, subflow: Subflow, room: int) -> int:
        """What the receive window admits of `room`, avoiding silly segments (RFC 9293 3.8.6.2.1).

        Zero means that the receiver, not the path, holds us back.
        """
        board = self.board
        usable = self.right - board.nxt
        if room <= usable:
            return room
        self._not_limited(self.subflows)
        if self.closing and board.nxt == self.buffer.end:
            return room  # a FIN alone needs no room
        if usable >= subflow.mss:
            return usable // subflow.mss * subflow.mss
        if usable > 0 and not board.flights and (self.override or usable >= self.max_window // 2):
            self.override = False
            return usable
        return 0

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
        if len(self.subflows) == 1:
            return [subflow for subflow in self.subflows if not subflow.drained]
        if self.pool is not None:
            return self.pool.paths()
        paths = in_order(self.subflows, self.best if self.chooser.settled else None)
        if self._costs_differ and self.config.mode is Mode.PRIMARY:
            paths = affordable(paths, self.chooser.primary)
        return paths

    @property
    def best(self) -> Subflow:
        """The path that is filled first."""
        if self.pool is not None:
            return self.pool.anchor
        return self.chooser.primary

    @property
    def stalled(self) -> bool:
        """Whether only the receive window keeps data back while nothing is on its way.

        What is lost waits too: a receiver may take room back (RFC 9293 section 3.8.6).
        """
        return self.busy and not self.board.flights

    # Time

    @property
    def _resting(self) -> bool:
        """Whether the only path is owed no answer, so that no time means anything."""
        board = self.board
        if board.flights or board.sacked or len(self.subflows) > 1:
            return False
        subflow = self.subflows[0]
        active = subflow.state is PathState.ACTIVE and not subflow.paced
        return active and subflow.silent_since is None and not subflow.outstanding

    def deadline(self, now: int) -> int | None:
        """When `on_timers` has work next."""
        if self._resting:
            return None
        deadline = self.recovery.deadline(now)
        for subflow in self.subflows:
            if subflow.paced and (deadline is None or subflow.pacer.ready_at() < deadline):
                deadline = subflow.pacer.ready_at()
        if len(self.subflows) > 1:
            at = self._reinjection.due_at
            if at is not None and (deadline is None or at < deadline):
                deadline = at
            busy, untried_at = self.busy, self._untried_at()
            for subflow in self.subflows:
                at = self.pings.due_at(subflow, busy, untried_at) if self._may_ping else None
                if at is not None and (deadline is None or at < deadline):
                    deadline = at
        return deadline

    def on_timers(self, now: int) -> bool:
        """Expire what is due; False once every path is defective."""
        before = [(flow, flow.timeouts, flow.recovery_position) for flow in self.subflows]
        alive = self.recovery.on_timers(now)
        self._reinjection.on_timers(now)
        for subflow, timeouts, recovery_position in before:
            if self.plain is not None and subflow.timeouts > timeouts:
                self.plain.on_timeout()
            if subflow.recovery_position != recovery_position and not timeouts:
                self._on_loss(now, subflow)
        if self.plain is None:
            self._look_for_silence(now)
        if not self._multipath:
            self._membership.on_timeout(self.subflows[0])
            self._membership.settle_alone(now)
        return alive

    def evaluate(self, now: int) -> int:
        """Re-choose the primary; return the time to the next evaluation (P9)."""
        window_size = max(self.window_size, 1)
        self.chooser.evaluate(now, window_size=window_size, hungry=self._hungry)
        return self.chooser.next_interval_ns()

    def report_metrics(self) -> None:
        """Emit a sample of every subflow."""
        if self._report is None:
            return
        for subflow in self.subflows:
            self._report(
                MetricsUpdated(
                    subflow.index,
                    subflow.controller.cwnd,
                    min(subflow.controller.ssthresh, 1 << 40),
                    subflow.rtt.srtt_ns,
                    subflow.in_flight,
                    subflow.delivered,
                    subflow.status,
                    subflow is self.chooser.primary,
                )
            )
