"""One TCP connection (RFC 9293), sans I/O.

The methods come in four kinds, and time enters only as `now`, in nanoseconds, never backwards:

- `handle_segment`, `handle_timeout`, `handle_too_big`, `handle_path` and so on: something happened;
- `write`, `close`, `abort`, `read`: the application's verbs;
- `poll_transmit`, `poll_event`, `poll_timeout`: what the caller must do next. After any number of
  the above, call `poll_transmit` and `poll_event` until they say None, then arm one timer;
- properties.

How it is opened is in `opening`, what a segment means in `arrival`, what is sent and how in
`sender`, what is received in `receive`, what is done at intervals in `upkeep`, and which
transitions exist in `state`. This file only joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from omtcp.core.acknowledgment import AckIntake
from omtcp.core.arrival import Meaning, meaning, meaning_to_listener, meaning_to_opener
from omtcp.core.challenges import Challenges
from omtcp.core.composer import Composer
from omtcp.core.config import Config, Mode, Policy
from omtcp.core.events import Closed, Drained, EndOfStream, Established, Event, Readable
from omtcp.core.flow import Flow
from omtcp.core.handshake import MINIMUM_MSS
from omtcp.core.opening import Opening
from omtcp.core.paths import Paths
from omtcp.core.receive import Receiver
from omtcp.core.send_buffer import Buffer
from omtcp.core.sender import Sender
from omtcp.core.state import SYNCHRONIZED, Input, State, advance
from omtcp.core.timers import Timer, TimerTable
from omtcp.core.timestamps import OrderedTimestamps
from omtcp.core.transmission import PING
from omtcp.core.upkeep import Upkeep
from omtcp.errors import LocalError, OmtcpError, PeerResetError, PeerTimeoutError
from omtcp.trace import events as trace
from omtcp.wire.seq import SEQ_MODULUS, seq_add
from omtcp.wire.tcp import ACK, FIN, Segment


class Remains(NamedTuple):
    """What is known in TIME-WAIT of a sender that had nothing left to do."""

    nxt: int
    path: int
    slack_ns: int


class Connection:
    """Both halves of one connection, and its state machine."""

    __slots__ = (
        "_acks",
        "_challenges",
        "_closing",
        "_composer",
        "_dirty",
        "_events",
        "_notify_below",
        "_now",
        "_opening",
        "_outbox",
        "_paths",
        "_random",
        "_receiver",
        "_remains",
        "_sink",
        "_timers",
        "_timestamps",
        "_upkeep",
        "_written",
        "config",
        "flow",
        "identity",
        "sender",
        "state",
    )

    def __init__(
        self,
        config: Config,
        flow: Flow,
        paths: Paths,
        *,
        iss: int,
        random: Callable[[], float],
        identity: int = 0,
        sink: trace.Sink | None = None,
    ) -> None:
        """A closed connection; `handle_segment` with a SYN or `connect` opens it.

        Args:
            config: options.
            flow: addresses and ports.
            paths: the paths there are, kept up to date by its owner.
            iss: initial send sequence number (RFC 6528).
            random: uniform in [0, 1).
            identity: a number for the trace.
            sink: takes the trace's events.
        """
        self.config = config
        self.flow = flow
        self.identity = identity
        self.state = State.CLOSED
        self._paths = paths
        self._random = random
        self._sink = sink
        self._now = 0
        self._timestamps = OrderedTimestamps(int(random() * SEQ_MODULUS))
        self._receiver = Receiver(config.receive_buffer, config.receive_buffer_max)
        ports = (flow.local_port, flow.remote_port)
        self._composer = Composer(ports, iss, self._receiver, self._timestamps)
        self.sender: Sender | None = None
        self._written: list[Buffer] = []
        self._closing = False
        self._timers = TimerTable()
        self._outbox: list[tuple[int, Segment]] = []
        self._opening = Opening(config, paths, self._composer, self._timers, self._outbox)
        self._upkeep: Upkeep | None = None
        self._events: list[Event] = []
        self._acks: AckIntake | None = None
        self._challenges: Challenges | None = None
        self._notify_below: int | None = None
        self._dirty = False
        self._remains: Remains | None = None

    # Opening

    def listen(self, path: int = 0, *, staggered: bool = False) -> None:
        """Wait for a SYN; the first answer to it goes out over `path`.

        With `staggered` the others follow a moment later if they are still needed.
        """
        self._opening.prefer(path, staggered=staggered)
        self._advance(Input.LISTEN)

    def resume(self, now: int, syn: Segment, path: int, stamp_base: int) -> None:
        """`syn` was answered over `path` with a cookie, and is now known again.

        The ACK that brought the cookie back comes next. `stamp_base` is what the TSval of the
        answer was counted from.
        """
        self._now = now
        self.listen(path)
        self._timestamps.rebase(stamp_base, now)
        self._composer.synchronize(syn, self.config, self.flow.version)
        self._advance(Input.RECV_SYN)

    def connect(self, now: int) -> None:
        """Send a SYN."""
        self._now = now
        self._advance(Input.SEND_SYN)
        self._opening.begin(now)

    def _establish(self, now: int, segment: Segment) -> AckIntake:
        """The peer's acknowledgment of our SYN came."""
        rtt_ns = self._opening.on_answer(now, segment.timestamps and segment.timestamps[1])
        agreement = self._composer.agreement
        assert agreement is not None
        paths = sum(path.open for path in self._paths)
        if not agreement.sack and paths > 1:
            self._report(trace.MultipathDisabled("no SACK-permitted in the peer's SYN"))  # P1
        self.sender = sender = Sender(
            self.config,
            self._paths,
            first=self._opening.path,
            segment_size=agreement.segment_size,
            alike=self._timestamps.alike if agreement.timestamps else lambda _: None,
            multipath=agreement.sack and self.config.mode is not Mode.SINGLE,
            sack=agreement.sack,
            random=self._random,
            report=self._report if self._sink else None,
        )
        self._acks = acks = AckIntake(self._composer, sender)
        if rtt_ns is not None:
            sender.best.rtt.on_sample(now, rtt_ns)
        elif self._opening.timeouts:
            sender.best.rtt.on_handshake_timeout()
        for data in self._written:
            sender.write(data)
        self._written.clear()
        if self._closing:
            sender.close()
            self._advance(Input.CLOSE)
        if self._sink:
            self._report(trace.ConnectionOpened(self.flow.peer, paths))
        self._upkeep = Upkeep(
            self.config,
            sender,
            self._composer,
            self._timers,
            self._outbox,
            sampled=self._sink is not None,
        )
        self._upkeep.begin(now)
        self._events.append(Established())
        return acks

    # Segments in

    def handle_segment(self, now: int, segment: Segment) -> None:
        """Take in a segment of this flow; its checksum has been verified."""
        self._now = now
        self._dirty = True
        composer = self._composer
        if self.state in SYNCHRONIZED:
            start = composer.received_offset(segment.seq)
            judged = meaning(self.state, composer, self._receiver, self._timestamps, start, segment)
            if judged is Meaning.TRAFFIC:
                if self._upkeep is not None:
                    self._upkeep.on_heard(now)
                if self._on_ack(now, start, segment) and (segment.length or segment.flags & FIN):
                    self._on_payload(now, start, segment)
            elif judged is Meaning.OUTSIDE:
                self._on_outside(now, start, segment)
            else:
                self._on_other(now, judged, segment)
        elif self.state is State.SYN_SENT:
            self._on_other(now, meaning_to_opener(composer, segment), segment)
        elif self.state is State.LISTEN:
            self._on_other(now, meaning_to_listener(segment), segment)

    def _on_outside(self, now: int, start: int, segment: Segment) -> None:
        """Answer with an ACK; a duplicate's range goes into it (RFC 2883)."""
        if segment.length and start + segment.length <= self._receiver.rcv_nxt:
            self._receiver.on_data(now, start, segment.payload)
        if segment.length or segment.flags & FIN:
            self._receiver.ack_now = True
        else:  # two ends that find each other's ACKs out of place could go on for ever
            self._challenge(now)
        if self.state is State.TIME_WAIT and segment.flags & FIN:
            self._timers.set(Timer.TIME_WAIT, now + self.config.time_wait_ns)
        if segment.flags & ACK and self.sender is not None:
            self._on_ack(now, start, segment)

    def _on_other(self, now: int, judged: Meaning, segment: Segment) -> None:
        """What concerns the connection as such, rather than what it carries."""
        if judged is Meaning.SUSPICIOUS:
            self._challenge(now)
        elif judged is Meaning.RESET:
            opening = self.state is State.SYN_SENT
            why = "connection refused" if opening else "connection reset by the peer"
            self._finish(PeerResetError(why), Input.RECV_RST)
        elif judged is Meaning.IMPOSSIBLE:
            self._refuse(segment)
        elif judged is Meaning.SYN:
            self._composer.synchronize(segment, self.config, self.flow.version)
            self._advance(Input.RECV_SYN)
            self._opening.begin(now)
        elif judged is Meaning.SYN_AGAIN:
            self._opening.send(now)
        elif judged is Meaning.SYN_ACK:
            if self.state is State.SYN_SENT:
                self._composer.synchronize(segment, self.config, self.flow.version)
            self._advance(Input.RECV_SYN_ACK)
            self._establish(now, segment).update_window(segment, 0, 0, scaled=False)
            self._receiver.ack_now = True

    def _challenge(self, now: int) -> None:
        """Answer what makes no sense with an ACK of what does, but not without end."""
        if self._challenges is None:
            self._challenges = Challenges()
        if self._challenges.allow(now):
            self._receiver.ack_now = True

    def _on_ack(self, now: int, start: int, segment: Segment) -> bool:
        """Take the acknowledgment in; False when the rest of the segment is to be ignored."""
        if self._acks is not None:
            if self._acks.take(now, start, segment):
                return True
            self._challenge(now)  # RFC 5961 section 5.2
            return False
        if self.state is State.TIME_WAIT:
            return True
        if segment.ack != seq_add(self._composer.iss, 1):  # in SYN-RECEIVED
            self._refuse(segment)
            return False
        self._advance(Input.RECV_ACK_OF_SYN)
        self._establish(now, segment).update_window(segment, start, 0)
        return True

    def _on_payload(self, now: int, start: int, segment: Segment) -> None:
        receiver = self._receiver
        if self.state not in (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2):
            receiver.ack_now = True  # RFC 9293: nothing is expected behind the FIN
            return
        before = receiver.rcv_nxt
        if segment.flags & FIN:
            receiver.on_fin(start + segment.length)
        receiver.on_data(now, start, segment.payload)
        if receiver.rcv_nxt > before and receiver.readable:
            self._events.append(Readable())
        if receiver.finished:
            self._events.append(EndOfStream())
            self._advance(Input.RECV_FIN)
            self._after_transition(now)

    def handle_too_big(self, now: int, seq: int, size: int) -> None:
        """An ICMP message says that `seq` was too large for its path, which admits `size` bytes.

        It is believed only for a segment that is in flight (RFC 5927 section 7.2), and only for
        the path that carried it (RFC 1191, RFC 8201).
        """
        sender, agreement = self.sender, self._composer.agreement
        if sender is None or agreement is None:
            return
        offset = self._composer.sent_offset(seq, sender.board.una)
        self._dirty = True
        sender.on_too_big(now, offset, agreement.segment_size(max(size, MINIMUM_MSS)))

    def handle_path(self, now: int, path: int, up: bool) -> None:
        """The host says that the link of `path` went down, or came up."""
        if self.sender is None or self.over:
            return
        self._now = now
        self._dirty = True
        self.sender.on_path(now, path, up)

    def handle_paths(self, now: int) -> None:
        """The table of paths changed."""
        if self.sender is None or self.over:
            return
        self._now = now
        self._dirty = True
        self.sender.on_paths(now)

    def set_policy(self, policy: Policy) -> None:
        """Schedule by another policy from now on."""
        self.config = replace(self.config, policy=policy)
        self._dirty = True
        if self.sender is not None:
            self.sender.set_policy(policy)

    def is_after(self, seq: int) -> bool:
        """Whether `seq` lies beyond everything the peer has sent (RFC 9293 section 3.10.7.4)."""
        return self._composer.received_offset(seq) > self._receiver.rcv_nxt

    # The application

    def write(self, data: Buffer) -> None:
        """Queue `data`; it is referenced, not copied, until it is acknowledged.

        Raises:
            LocalError: the sending side is closed.
        """
        if self._closing or self.state is State.CLOSED:
            raise LocalError("write after close")
        self._dirty = True
        if self.sender is None:
            self._written.append(data)
        else:
            self.sender.write(data)

    def read(self, limit: int = 1 << 20) -> bytes:
        """Take up to `limit` bytes that have arrived in order; empty when there are none."""
        self._dirty = True
        return self._receiver.read(limit)

    def close(self) -> None:
        """Send what is queued, then a FIN; reading goes on."""
        if self._closing or self.state is State.CLOSED:
            return
        self._closing = self._dirty = True
        if self.sender is not None:
            self.sender.close()
        if self.state in (State.LISTEN, State.SYN_SENT):
            self._finish(None, Input.CLOSE)
        elif self.state is not State.SYN_RECEIVED:
            self._advance(Input.CLOSE)

    def abort(self) -> None:
        """Send a RST and forget everything."""
        if self.state is State.CLOSED:
            return
        if self.state in SYNCHRONIZED and self.state is not State.TIME_WAIT:
            self._outbox.append((self._path, self._composer.reset(self._nxt)))
        self._finish(None, Input.ABORT, reason="aborted")

    def notify_below(self, mark: int | None) -> None:
        """Ask for one `Drained` event once no more than `mark` bytes are unsent."""
        self._notify_below = mark

    @property
    def readable(self) -> int:
        """Bytes that `read` can take now."""
        return self._receiver.readable

    @property
    def unsent(self) -> int:
        """Bytes written and never sent."""
        if self.sender is None:
            return sum(len(data) for data in self._written)
        return max(self.sender.buffer.end - self.sender.board.nxt, 0)

    @property
    def slack_ns(self) -> int:
        """For how long ACKs may wait to be read together: a tenth of the round trip."""
        if self.sender is None:
            return self._remains.slack_ns if self._remains else 0
        return self.sender.best.rtt.srtt_ns // 10

    @property
    def over(self) -> bool:
        """Whether nothing more will happen that concerns the application."""
        return self.state in (State.CLOSED, State.TIME_WAIT)

    @property
    def quiet(self) -> bool:
        """Whether it is established or over, and nothing of ours is under way."""
        return self.over or (self.sender is not None and not self.sender.window.busy)

    @property
    def has_events(self) -> bool:
        """Whether `poll_event` has something."""
        return bool(self._events)

    @property
    def changed(self) -> bool:
        """Whether anything came in or was asked for since `poll_transmit` had nothing to send."""
        return self._dirty or bool(self._outbox)

    # What the caller must do

    def poll_event(self) -> Event | None:
        """The next event, None when there is none."""
        return self._events.pop(0) if self._events else None

    def poll_transmit(self, now: int) -> Transmit | None:
        """The next segment to send, None when there is nothing to send now."""
        self._now = now
        if self._dirty:
            self._settle(now)
        while self._outbox:
            path, segment = self._outbox.pop(0)
            if self._paths[path].open:
                return Transmit(self, path, segment, segment.length or 1)
        sender = self.sender
        if sender is not None and self.state is not State.CLOSED:
            plan = sender.transmission.poll(now)
            if plan is not None:
                if self._notify_below is not None and self.unsent <= self._notify_below:
                    self._notify_below = None
                    self._events.append(Drained())
                if plan.kind != PING and self._upkeep is not None:
                    self._upkeep.on_data()
                segment = self._composer.data(now, plan, sender)
                return self._transmit(plan.subflow.index, segment, plan.subflow.mss)
            if sender.window.stalled and self._upkeep is not None:
                self._upkeep.arm_persist(now)
        if self._receiver.ack_now and self.state in SYNCHRONIZED:
            path = self._path
            if self._paths[path].open:
                return self._transmit(path, self._composer.acknowledgment(now, self._nxt))
        return None

    def _settle(self, now: int) -> None:
        """Act once on all that came in since the last time."""
        self._dirty = False
        sender = self.sender
        if sender is None or self.state is State.CLOSED:
            return
        sender.settle(now)
        self._timestamps.release(sender.board.una)
        if sender.window.fin_acked and self.state in (
            State.FIN_WAIT_1,
            State.CLOSING,
            State.LAST_ACK,
        ):
            self._advance(Input.RECV_ACK_OF_FIN)
            self._after_transition(now)
        self._arm_ack(now)
        if sender.window.busy and self._upkeep is not None:
            self._upkeep.arm(now)

    def _transmit(self, path: int, segment: Segment, segment_size: int = 1) -> Transmit:
        if segment.flags & ACK:
            pure = segment.length == 0 and not segment.flags & FIN
            self._receiver.on_ack_sent(carried_sack=pure)
            self._timers.stop(Timer.DELAYED_ACK)
        return Transmit(self, path, segment, segment_size)

    @property
    def _nxt(self) -> int:
        if self.sender is None:
            return self._remains.nxt if self._remains else 0
        return self.sender.board.nxt

    @property
    def _path(self) -> int:
        """Where control segments go."""
        if self.sender is None:
            return self._remains.path if self._remains else self._opening.path
        return self.sender.best.index

    def _refuse(self, segment: Segment) -> None:
        """Answer an impossible ACK (RFC 9293 section 3.10.7.3)."""
        self._outbox.append((self._path, self._composer.refusal(segment)))

    # Time

    def poll_timeout(self, now: int) -> int | None:
        """When `handle_timeout` is to be called next; None for never."""
        deadline = self._timers.next_timeout()
        if self.sender is not None and self.state is not State.CLOSED:
            at = self.sender.deadline(now)
            if at is not None and (deadline is None or at < deadline):
                deadline = at
        return deadline

    def handle_timeout(self, now: int) -> None:
        """Expire what is due; calling it early does nothing."""
        self._now = now
        if self.sender is not None and self.state is not State.CLOSED:
            if not self.sender.on_timers(now):
                self._give_up("no path answers")
                return
            self._dirty = True
        for timer in self._timers.expired(now):
            self._on_timer(now, timer)

    def _on_timer(self, now: int, timer: Timer) -> None:
        if timer is Timer.HANDSHAKE:
            if not self._opening.on_timer(now):
                self._give_up("no answer to SYN")
        elif timer is Timer.TIME_WAIT:
            self._on_patience_over(now)
        elif timer is Timer.DELAYED_ACK:
            self._receiver.ack_now = True
        elif self._upkeep is not None and (why := self._upkeep.on_timer(now, timer)):
            self._give_up(why)

    def _on_patience_over(self, now: int) -> None:
        """In FIN-WAIT-2 patience starts anew with whatever the peer still has to say."""
        if self.state is State.FIN_WAIT_2 and self._upkeep is not None:
            at = self._upkeep.heard_at + self.config.orphan_timeout_ns
            if at > now:
                self._timers.set(Timer.TIME_WAIT, at)
                return
        self._finish(None, Input.TIMEOUT)

    def _arm_ack(self, now: int) -> None:
        at = self._receiver.ack_deadline
        if at is not None and self._timers.get(Timer.DELAYED_ACK) is None:
            self._timers.set(Timer.DELAYED_ACK, at)

    def _give_up(self, why: str) -> None:
        self._finish(PeerTimeoutError(why), Input.TIMEOUT, "timeout")

    # Ending

    def _advance(self, event: Input) -> None:
        self.state = advance(self.state, event)

    def _after_transition(self, now: int) -> None:
        """What entering the present state brings with it."""
        if self.state is State.TIME_WAIT:
            self._timers.stop_all()
            self._timers.set(Timer.TIME_WAIT, now + self.config.time_wait_ns)
            self._report_closed("closed")
            self._events.append(Closed(None))
            self._retire()
        elif self.state is State.CLOSED:
            self._finish(None, None)
        elif self.state is State.FIN_WAIT_2:
            self._timers.set(Timer.TIME_WAIT, now + self.config.orphan_timeout_ns)

    def _retire(self) -> None:
        """All was sent and arrived: to wait for a FIN that is repeated takes no sender."""
        sender = self.sender
        if sender is not None:
            self._remains = Remains(sender.board.nxt, sender.best.index, self.slack_ns)
            sender.retire()
        self.sender = self._acks = self._upkeep = None

    def _finish(
        self, error: OmtcpError | None, event: Input | None, reason: str | None = None
    ) -> None:
        """Leave for CLOSED, once."""
        was_over = self.state is State.TIME_WAIT
        if event is not None:
            self._advance(event)
        self._timers.stop_all()
        if self.sender is not None:
            self.sender.retire()
        if not was_over:
            self._report_closed(reason or ("reset" if error else "closed"))
            self._events.append(Closed(error))

    def _report_closed(self, reason: str) -> None:
        if self._sink:
            delivered = self.sender.board.una if self.sender else 0
            self._report(trace.ConnectionClosed(reason, delivered))

    def _report(self, event: trace.Event) -> None:
        if self._sink:
            self._sink(self._now, self.identity, event)


class Transmit(NamedTuple):
    """A segment to send now over `path`, cut into pieces of `segment_size` payload bytes.

    It may be longer than a packet can be: `wire.train` has the pieces that devices take.
    """

    connection: Connection
    path: int
    segment: Segment
    segment_size: int
