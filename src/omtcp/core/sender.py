"""The send half of a connection: what the application wrote, on its way over the paths.

It joins the parts that each know one thing: the buffer (bytes), the window (which of them may be
sent), the scoreboard (where they are), transmission (what goes out next), recovery (what is lost,
who is silent), the pings and the choice of the primary. What it does by itself is to tell them what
the peer, the host and the time have to say. Offsets are stream offsets: the first data byte is 0,
the FIN takes the place behind the last.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from itertools import chain

from omtcp.core.config import Config, Mode, Policy
from omtcp.core.coupler import Coupler
from omtcp.core.ledger import Ledger
from omtcp.core.membership import Founder, Membership
from omtcp.core.paths import Paths
from omtcp.core.pings import Pings
from omtcp.core.plain_recovery import PlainRecovery
from omtcp.core.pooling import Pool
from omtcp.core.primary import PrimaryChooser
from omtcp.core.recovery import Recovery
from omtcp.core.scoreboard import Credit, Scoreboard
from omtcp.core.send_buffer import Buffer, SendBuffer
from omtcp.core.send_window import SendWindow
from omtcp.core.subflow import PathState, Subflow
from omtcp.core.transmission import Transmission
from omtcp.trace.events import Event, MetricsUpdated

NOBODY: frozenset[Subflow] = frozenset()
"""Who was heard since the last time, most of the time; a set of its own takes 200 bytes."""


class Sender:
    """Everything between the application's writes and the segments of one connection."""

    __slots__ = (
        "_alike",
        "_membership",
        "_multipath",
        "_report",
        "_touched",
        "board",
        "buffer",
        "chooser",
        "coupler",
        "ledger",
        "pings",
        "plain",
        "pool",
        "recovery",
        "silence",
        "subflows",
        "transmission",
        "window",
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
        """Begin with one subflow; with `multipath` those of the other paths join when needed.

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
        self._report = report
        self.buffer = SendBuffer()
        self.board = Scoreboard()
        self.window = SendWindow(self.buffer, self.board)
        founder = Founder(config, paths, segment_size)
        first_subflow = founder.begin(first)
        self.subflows = [first_subflow]
        self.pings = Pings(config, self.subflows, self.buffer, report)
        self.ledger = Ledger()
        self.recovery = Recovery(config, self.board, self.ledger, self.subflows, self.pings, report)
        self.recovery.has_new_data = self.window.has_new_data
        self.silence = self.recovery.silence
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
            followers=(self.coupler,) if self.coupler is not None else (),
            report=report,
        )
        self.transmission = Transmission(
            config,
            self.board,
            self.window,
            self.subflows,
            membership=self._membership,
            pings=self.pings,
            chooser=self.chooser,
            pool=self.pool,
            report=report,
        )
        self.plain: PlainRecovery | None = None
        """How losses are found without SACK."""
        if not sack:
            self.plain = PlainRecovery(
                self.board, first_subflow, self.recovery.losses.window_changed
            )
            self.silence.watching = False
        self._touched: AbstractSet[Subflow] = NOBODY
        self._alike = alike
        self.set_policy(config.policy)

    # The application

    def write(self, data: Buffer) -> None:
        """Append to the stream; the buffer is referenced until it is acknowledged."""
        self.buffer.write(data)

    def close(self) -> None:
        """No more data: a FIN follows what was written."""
        self.window.closing = True

    def retire(self) -> None:
        """Nothing more will be asked of it: let go of what the application wrote."""
        self.buffer.clear()

    def set_policy(self, policy: Policy) -> None:
        """Schedule by another policy from now on; it means nothing where there is but one path."""
        wanted = policy is Policy.REDUNDANT and self.pool is not None and self._multipath
        if wanted:
            self.transmission.carry_everything(self.ledger, self._alike)
        else:
            self.transmission.share()
        if self.coupler is not None:
            self.coupler.watch(not wanted)

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
                    self.chooser.on_first_answer(now, answered, max(self.window.size, 1))
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
            touched = self.recovery.on_credits(now, credited)
            self._touched = self._touched | touched if self._touched else touched
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
            self.chooser.replace(now, self.window.size, "down")

    def on_paths(self, now: int) -> None:
        """Paths were added, removed, drained or undrained, or cost something else now."""
        self._membership.follow(now, max(self.window.size, 1))
        self.ledger.retain(self.subflows)
        self.transmission.follow()

    def settle(self, now: int) -> None:
        """Act on what has been acknowledged since the last call."""
        coupler = self.coupler if self._membership.complete else None  # nobody to be coupled with
        self.window.look()
        if self._touched:
            for subflow in self.subflows:  # a set's own order differs from run to run
                if subflow not in self._touched:
                    continue
                rtt_ns = subflow.settle(now)
                if rtt_ns is not None and coupler is not None:
                    coupler.on_sample(now, subflow, rtt_ns)
                before = subflow.recovery_position
                if self.plain is None:
                    self.recovery.detect_losses(now, subflow)
                else:
                    self.plain.on_advance(self.board.una)
                if subflow.recovery_position != before:
                    self._on_loss(now, subflow)
                subflow.pace(self.window.size)
            self._touched = NOBODY
            if self.pool is not None:
                self._watch(now, self.pool)
            if coupler is not None:
                coupler.on_delivered(now)
            self.buffer.release(self.board.una)
            if self.window.fin_acked:
                self.ledger.close()
        if self.plain is None:
            self._look_for_silence(now)
        self._settle_alone(now)

    def _settle_alone(self, now: int) -> None:
        """If the path of the only subflow may not be used any more, take another one."""
        if not self._multipath and self.subflows[0].drained:
            self._membership.settle_alone(now)

    def _watch(self, now: int, pool: Pool) -> None:
        """Have the pool judge itself by what arrived."""
        pool.on_ack(
            now,
            una=self.board.una,
            window_size=max(self.window.size, 1),
            hungry=self.window.hungry and self.transmission.redundancy is None,
        )

    def _on_loss(self, now: int, subflow: Subflow) -> None:
        """A congestion event on `subflow`: whoever decides about growth wants to know."""
        self.chooser.on_loss(subflow)
        if self.coupler is not None:
            self.coupler.on_loss(now, subflow)

    def _look_for_silence(self, now: int) -> None:
        if self._resting:
            return
        if self.silence.check(now) or (
            self.transmission.redundancy is None
            and self.window.usable < max(flow.controller.cwnd for flow in self.subflows)
            and self.silence.slow_retransmit(now, self.window.usable)
        ):
            self.chooser.replace(now, self.window.size, "suspect")

    @property
    def best(self) -> Subflow:
        """The path that is filled first."""
        return self.transmission.best

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
        at = self.transmission.deadline()
        if at is not None and (deadline is None or at < deadline):
            return at
        return deadline

    def on_timers(self, now: int) -> bool:
        """Expire what is due; False once every path is defective."""
        before = [(flow, flow.timeouts, flow.recovery_position) for flow in self.subflows]
        alive = self.recovery.on_timers(now)
        self.transmission.on_timers(now)
        for subflow, timeouts, recovery_position in before:
            if self.plain is not None and subflow.timeouts > timeouts:
                self.plain.on_timeout()
            if subflow.recovery_position != recovery_position and not timeouts:
                self._on_loss(now, subflow)
        if self.plain is None:
            self._look_for_silence(now)
        if not self._multipath:
            self._membership.on_timeout(self.subflows[0])
        self._settle_alone(now)
        return alive

    def evaluate(self, now: int) -> int:
        """Re-choose the primary; return the time to the next evaluation (P9)."""
        window_size = max(self.window.size, 1)
        self.chooser.evaluate(now, window_size=window_size, hungry=self.window.hungry)
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
