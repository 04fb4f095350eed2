"""Everything that the paper keeps per subflow: window, RTT, RTO, order of delivery, liveness."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

from omtcp.core.config import MILLISECOND, SECOND
from omtcp.core.delivery import DeliveryOrder, Episode, LossShare
from omtcp.core.delivery_rate import DeliveryRate
from omtcp.core.frto import NO_FRTO
from omtcp.core.pacing import AVOIDANCE_GAIN, RESUMING_GAIN, SLOW_START_GAIN, Pacer
from omtcp.core.paths import Tally
from omtcp.core.prr import ProportionalRateReduction
from omtcp.core.rack import Rack
from omtcp.core.rtt import RttEstimator
from omtcp.core.scoreboard import Send
from omtcp.core.tail_loss_probe import NO_PROBE, TailLossProbe
from omtcp.trace.events import WindowChanged
from omtcp.wire.train import super_segment_size

if TYPE_CHECKING:
    from omtcp.core.budget import Audition
    from omtcp.core.congestion.base import CongestionController
    from omtcp.core.pings import Schedule
    from omtcp.core.primary import Record
    from omtcp.core.silence import Doubt

NO_SENDS: deque[Send] = deque(maxlen=0)
"""Of a path with nothing under way; a deque of its own takes 760 bytes even when it is empty."""

DELAYED_ACK_NS = 50_000_000
"""How long the ACK of a lone segment may take beyond the round trip: 40 ms with Linux."""

TRAIN = 16
"""Super-segments that leave at once at most: what is paid per burst is shared among them."""
RUN = 2 * TRAIN
"""The same where several bursts follow one another at once anyway."""
LOSSY = 0.05
"""Congestion events per segment above which a path is no good for retransmissions."""

NEAR_MOST = 4 * 65_000
NEAR_NS = MILLISECOND // 2
"""What near paths may burst beyond their rate: it halves with each such step of the round trip."""


class PathState(StrEnum):
    """What a subflow may carry."""

    UNTRIED = "untried"
    """Nothing has been heard over it yet: pings only."""
    ACTIVE = "active"
    PROBING = "probing"
    """Owed an answer to a few segments that may just be lost: asked, and not used meanwhile."""
    SUSPECT = "suspect"
    """Silent while others are acknowledged: pings only, until it answers."""
    DEFECTIVE = "defective"
    """Silent for the user timeout: a slow ping."""


class Subflow:
    """One path's part of a connection. `index` is the path's place in the list of paths."""

    __slots__ = (
        "_acked",
        "_newest",
        "_resuming",
        "audition",
        "carrier",
        "chance_until",
        "controller",
        "cost",
        "delivered",
        "doubt",
        "down_at",
        "drained",
        "episode",
        "frto",
        "growth",
        "has_lost",
        "heard_at",
        "heard_sent_at",
        "in_flight",
        "index",
        "inflated",
        "limited",
        "loss_share",
        "mss",
        "order",
        "out_until",
        "owed",
        "paced",
        "pacer",
        "position",
        "probe",
        "rack",
        "rate",
        "record",
        "recovery_position",
        "reduction",
        "refusal",
        "repaired",
        "resent_bytes",
        "reserve",
        "rtt",
        "schedule",
        "sends",
        "sent_at",
        "sent_bytes",
        "silence_ns",
        "silent_since",
        "state",
        "tally",
        "timeouts",
        "timer_base",
    )

    def __init__(
        self,
        index: int,
        mss: int,
        controller: CongestionController,
        rtt: RttEstimator,
        tally: Tally | None = None,
    ) -> None:
        self.index = index
        self.mss = mss
        self.controller = controller
        self.rtt = rtt
        self.state = PathState.UNTRIED
        self.cost = 0
        self.drained = False
        """Whether the operator lets it carry nothing more, not even pings."""
        self.tally = tally or Tally()
        """Where its path's traffic is counted, whatever becomes of the connection."""

        self.position = 0
        self.in_flight = 0
        self.sends = NO_SENDS
        self.order = DeliveryOrder()
        self.rack = Rack()
        self.reduction: ProportionalRateReduction | None = None
        """Set by whoever begins a recovery, in force while it lasts."""
        self.recovery_position = 0
        """Losses below this belong to a reduction already made."""

        self.delivered = 0
        self.rate = DeliveryRate()
        self.heard_at = 0
        """When this path was last known to work: a credit or an answered ping."""
        self.heard_sent_at = 0
        """When the newest transmission that was credited had been sent."""
        self.silent_since: int | None = None
        """First transmission since then, None while nothing is owed an answer."""
        self.silence_ns = 0
        """How long it had been silent when it was last heard."""
        self.down_at = -1
        """When the host last said that the link is down: nothing sent before proves otherwise."""
        self.sent_at = 0
        """When it last carried data."""
        self.timer_base = 0
        self.timeouts = 0
        """Consecutive RTO expiries."""

        self.repaired = 0
        """Bytes acknowledged during recovery since the reduction was last told."""
        self.has_lost = False
        """Whether its window was ever cut."""
        self.episode = Episode()
        self.loss_share = LossShare()
        self.frto = NO_FRTO
        self.probe = NO_PROBE
        self.inflated = 0
        """Without SACK: bytes that duplicate ACKs say have left the network."""
        self.owed = 0
        """Without SACK: bytes that go out again whatever the window (RFC 6582 section 3.2)."""

        self.pacer = Pacer()
        self.growth = 1.0
        self.reserve = 0
        """Bytes of the window that are left free, to see what its queue makes of it."""
        self.carrier: Subflow | None = None
        """The path that carries data in its place, as both would meet in one queue."""
        self.limited = False
        """Whether the window, not data or the receiver, was what held transmission back at last."""
        self.refusal = ""
        """Why the scheduler last left it out; empty if it did not."""
        self.chance_until = 0
        """Until then it need not prove that it is worth its delay."""
        self.out_until = 0
        """Until then it is left out, because it kept others waiting for more than it brought."""
        self.paced = False
        """Whether the pacer held something back when it was last asked."""
        self.sent_bytes = 0
        self.resent_bytes = 0
        self._acked = 0
        self._newest: Send | None = None
        self._resuming = False
        """Whether something else than its window held it back, and the window is to be filled."""

        # What others keep about it, once there is anything to keep.
        self.schedule: Schedule | None = None
        self.record: Record | None = None
        self.audition: Audition | None = None
        self.doubt: Doubt | None = None

    def resize(self, mss: int) -> None:
        """Segments carry `mss` bytes from now on."""
        self.mss = mss
        self.controller.set_mss(mss)

    @property
    def usable(self) -> bool:
        """Whether data may be sent over it."""
        return self.state is PathState.ACTIVE and not self.drained

    @property
    def resting(self) -> bool:
        """Whether another path carries data in its place, and can."""
        carrier = self.carrier
        return carrier is not None and carrier.usable and not carrier.timeouts

    @property
    def status(self) -> str:
        """Its state in one word, for people and traces."""
        return "drained" if self.drained else self.state

    def window_changed(self, reason: str) -> WindowChanged:
        """For the trace: its window was cut, or given back."""
        controller = self.controller
        return WindowChanged(self.index, controller.cwnd, controller.ssthresh, reason)

    @property
    def has_met_its_limit(self) -> bool:
        """Whether it has ever lost, or has come far without.

        That slow start ended is not enough: delay may end it long before the path is full.
        """
        return self.has_lost or self.controller.cwnd > 64 * self.mss

    @property
    def lossy(self) -> bool:
        """Whether it loses so much that what must arrive should go elsewhere."""
        return self.loss_share.value > LOSSY

    @property
    def in_recovery(self) -> bool:
        """Whether a reduction is still being worked off."""
        return self.order.edge < self.recovery_position

    @property
    def outstanding(self) -> int:
        """Bytes sent that are neither acknowledged nor lost, whatever duplicate ACKs suggest."""
        return self.in_flight + self.inflated

    @property
    def space(self) -> int:
        """Bytes that the congestion window still admits."""
        if self.reduction is not None and self.in_recovery:
            return self.reduction.window - self.in_flight
        return max(self.controller.cwnd - self.reserve - self.in_flight, self.owed)

    @property
    def rto_at(self) -> int | None:
        """When the retransmission timer expires (RFC 6298 section 5), None when off."""
        return self.timer_base + self.rtt.rto_ns if self.outstanding else None

    @property
    def quantum(self) -> int:
        """A burst: a tick at the current rate, from two segments to a train of super-segments.

        Near by, where queues drain in no time, up to a quarter of the window more, as Linux has it.
        There the RTT is mostly our own processing: a burst that shrank when that takes longer
        would make each byte cost more, and processing take longer still.
        """
        mss = self.mss
        cwnd, rtt = self.controller.cwnd, self.rtt
        burst = 10 * mss
        if rtt.srtt_ns:
            burst = cwnd * self.pacer.tick_ns // rtt.srtt_ns
            burst += min(NEAR_MOST >> rtt.min_rtt_ns // NEAR_NS, cwnd // 4)
        full = super_segment_size(mss)
        if burst < full:
            return min(max(burst // mss, 2) * mss, full)
        return min(burst // full, TRAIN) * full

    def run(self, quantum: int) -> int:
        """Most bytes at once, now that the pacer lets a burst of `quantum` bytes go.

        On a fast path all the bursts that would follow at once, as each costs the same again.
        """
        full = super_segment_size(self.mss)
        pacer = self.pacer
        if pacer.unpaced:
            return RUN * full
        if quantum < full:
            return quantum
        return min(-(-pacer.tokens // quantum), RUN * full // quantum) * quantum

    def outstanding_between(self, low: int, high: int) -> bool:
        """Whether anything sent at positions from `low` on is outstanding below `high`."""
        for send in self.sends:
            if send.position >= high:
                break
            if send.outstanding and send.position + send.end - send.start > low:
                return True
        return False

    def oldest(self) -> Send | None:
        """The first transmission with bytes outstanding."""
        sends = self.sends
        while sends and not sends[0].outstanding:
            sends.popleft()
        if sends:
            return sends[0]
        self.sends = NO_SENDS
        return None

    def send(self, now: int, start: int, end: int, origin: Send | None = None) -> Send:
        """Charge a transmission of [start, end) to this subflow."""
        if not self.in_flight:
            self.timer_base = self.rate.delivered_at = now
        send = Send(self, start, end, now, origin)
        size = end - start
        self.sent_at = now
        if self.silent_since is None:
            self.silent_since = now
        self.position += size
        self.in_flight += size
        if self.sends is NO_SENDS:
            self.sends = deque()
        self.sends.append(send)
        self.pacer.on_sent(size)
        if self.reduction is not None:
            self.reduction.on_sent(size)
        self.owed = max(self.owed - size, 0)
        self.sent_bytes += size
        self.tally.sent += size
        if origin is not None:
            self.resent_bytes += size
            self.tally.resent += size
            if origin.lost_by == "probe":
                position = origin.position + start - origin.start
                stop = position + min(end, origin.end) - start
                origin.subflow.probe = TailLossProbe(send, position, stop)
        return send

    def credit(self, now: int, send: Send, start: int, end: int, was_lost: bool) -> None:
        """Bytes [start, end) of `send` arrived (P2); `settle` draws the conclusions."""
        size = end - start
        position = send.position + start - send.start
        self.order.deliver(position, position + size)
        self.rack.on_delivered(
            now,
            send.sent_at,
            position,
            position + size,
            again=send.again,
            min_rtt_ns=self.rtt.recent_min_rtt_ns,
        )
        self.delivered += size
        self.loss_share.on_delivered(size / self.mss)
        if not was_lost:
            self.in_flight -= size
        self._acked += size
        if self._newest is None or send.sent_at >= self._newest.sent_at:
            self._newest = send
        self.hear(now, send.sent_at)

    def hear(self, now: int, sent_at: int) -> None:
        """Something sent over this path at `sent_at` was answered."""
        self.silence_ns = now - self.silent_since if self.silent_since is not None else 0
        self.heard_at = now
        self.heard_sent_at = max(self.heard_sent_at, sent_at)
        self.silent_since = now if self.outstanding else None

    def settle(self, now: int) -> int | None:
        """Act once on all credits since the last call: RTT sample, window, timer.

        Returns the round trip in ns that they measured, if they did.
        """
        newest, self._newest = self._newest, None
        acked, self._acked = self._acked, 0
        if newest is None:
            return None
        rtt_ns = None
        if not newest.again:  # Karn, per transmission
            rtt_ns = now - newest.sent_at
            self.rtt.on_sample(now, rtt_ns)
        else:
            self.rtt.reset_backoff()
        if not newest.again and now - newest.sent_at >= self.rtt.recent_min_rtt_ns:
            delivered = self.delivered - newest.delivered
            self.rate.on_sample(now, delivered, now - newest.delivered_at, self.rtt.srtt_ns)
        self.rate.delivered_at = now
        self.timer_base = now
        self.timeouts = 0
        oldest = self.oldest()  # what is neither outstanding nor delivered is not waited for
        self.order.advance(oldest.position if oldest else self.position)
        if self.in_recovery:
            self.repaired += acked
        else:
            self._end_reduction()
            # Whether what was in flight shows that the path carries the window (RFC 7661 section
            # 4.3): a pacer on a late host, or the application, may hold a flight far below it.
            validated = 2 * (self.in_flight + acked) >= self.controller.cwnd
            self._resuming = not validated and (self._resuming or not self.limited)
            self.controller.on_ack(
                now=now,
                acked=acked,
                in_flight=self.in_flight,
                srtt_ns=self.rtt.srtt_ns,
                growth=self.growth,
                window_limited=self.limited and validated,
                rtt_ns=rtt_ns,
            )
        return rtt_ns

    def begin_episode(self) -> Episode:
        """What is found lost from now on is charged to another reduction than before."""
        self.episode = Episode()
        self.loss_share = LossShare()
        return self.episode

    def arrival_ns(self, size: int) -> int:
        """How long until `size` more bytes, sent now, would be acknowledged; never 0."""
        rate = self.rate.value
        queue_ns = (self.in_flight + size) * SECOND // rate if rate else 0
        return max(self.rtt.srtt_ns, queue_ns, 1)

    @property
    def segment_ns(self) -> int:
        """How long a segment takes, the time that a slow link needs to send it included."""
        rate = self.rate.value
        into_ns = self.mss * SECOND // rate if rate else 0
        return max(self.rtt.srtt_ns, self.rtt.recent_min_rtt_ns + into_ns)

    def drop(self, size: int) -> None:
        """`size` bytes are no longer in flight here: lost, or moved to another path."""
        self.in_flight -= size

    def pace(self, window_size: int) -> None:
        """The window or the round trip may have changed: set the pacing rate.

        Where the receive window, of `window_size` bytes, is the narrower one, its ACKs are all
        the clock there is, and each wait for a timer would be throughput lost.
        """
        controller = self.controller
        gain = AVOIDANCE_GAIN
        if controller.cwnd > window_size:
            gain = SLOW_START_GAIN
        elif self._resuming:
            gain = RESUMING_GAIN
        elif controller.in_slow_start:
            gain = SLOW_START_GAIN
        self.pacer.update(cwnd=controller.cwnd, srtt_ns=self.rtt.srtt_ns, gain=gain)

    def begin_reduction(self, flight: int) -> None:
        """A recovery begins: shrink to the new window in step with what is acknowledged."""
        self.has_lost = True
        self.loss_share.on_event()
        self.reduction = ProportionalRateReduction(
            flight=flight, target=self.controller.cwnd, mss=self.mss
        )
        self.repaired = 0

    def reduce(self, safe: bool) -> None:
        """All ACKs of the moment and their losses are in: set what may be sent now."""
        if self.reduction is not None and self.in_recovery:
            self.reduction.on_ack(delivered=self.repaired, in_flight=self.in_flight, safe=safe)
            self.repaired = 0
        else:
            self._end_reduction()

    def _end_reduction(self) -> None:
        if self.reduction is not None:
            self.reduction = None
            self.rack.on_recovery_end()

    def deflate(self) -> None:
        """Forget the guesses of duplicate ACKs: a cumulative ACK tells the truth."""
        self.in_flight += self.inflated
        self.inflated = 0

    def send_for(self, start: int, end: int) -> Send:
        """A record for a range whose transmission is no longer known.

        Should the range be acknowledged before it goes out again, that measures no round trip and
        concerns no position that is still to be sent.
        """
        send = Send(self, start, end, self.heard_at)
        send.position -= end - start
        send.again = True
        send.outstanding = 0
        return send

    def suspect_at(self, floor_ns: int) -> int | None:
        """When silence becomes suspicious, so long after the oldest transmission.

        A path that was heard a moment ago is given a quarter RTT more. None when nothing is out.
        """
        oldest = self.oldest()
        if oldest is None:
            return None
        due = self.prompted_at(oldest) + self.patience(floor_ns)
        return max(due, self.heard_at + max(self.rtt.srtt_ns // 4, floor_ns))

    def patience(self, floor_ns: int) -> int:
        """How long an answer may take before its absence is suspicious.

        The variance that RFC 6298 allows, and never less than what a queue grows by while others
        come to use it.
        """
        rtt = self.rtt
        return rtt.srtt_ns + max(4 * rtt.rttvar_ns, rtt.srtt_ns // 4, floor_ns)

    def prompted_at(self, oldest: Send) -> int:
        """When what makes the receiver answer was sent: a second segment, or the delay it takes."""
        if oldest.outstanding > self.mss:
            return oldest.sent_at
        at = oldest.sent_at + DELAYED_ACK_NS
        return min(at, self.sends[1].sent_at) if len(self.sends) > 1 else at
