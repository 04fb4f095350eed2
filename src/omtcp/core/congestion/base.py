"""What every congestion controller has in common, and what its owner may ask of it.

A controller is given numbers, never the connection: bytes, nanoseconds, and this subflow's share
of the growth budget. It knows nothing of segments, sequence numbers or other subflows, so a loss
on one subflow cannot change another's window (P11).

Rules of the paper that hold whatever the algorithm (P numbers as in docs):

- P6, P7: slow start pays no attention to the growth budget; congestion avoidance grows by its
  share of it.
- P10: the windows halve down to 2·MSS and no further. While a subflow in congestion avoidance is
  given no share, its cwnd *holds*, and ssthresh grows in its place by one MSS per round trip.
  When it is given a share again it slow-starts up to that ssthresh.

A coupling of the subflows (see `coupling`) may ask for more: a negative share, with which cwnd
shrinks, and another `backoff`.

ACKs may cover 64 KiB or more at once. Every rule is therefore in bytes, without loops, and
carries its remainder, so that neither many small ACKs nor few large ones lose growth.
"""

from abc import ABC, abstractmethod
from math import ceil
from typing import ClassVar

from omtcp.core.congestion.slow_start import HyStart

SSTHRESH_INFINITE = 1 << 62
"""RFC 5681 section 3.1: the initial ssthresh, arbitrarily high."""


def initial_window(mss: int) -> int:
    """The initial window in bytes (RFC 6928 section 2)."""
    return min(10 * mss, max(2 * mss, 14600))


class CongestionController(ABC):
    """The windows of one subflow, in bytes.

    `cwnd`, `ssthresh` and `mss` are read freely; they change through the methods only.
    `ssthresh_cap` bounds the shadow growth of ssthresh while the subflow holds, `backoff`
    multiplies what a loss takes from a window; set them at will.
    """

    __slots__ = (
        "_acked_total",
        "_credit",
        "_growing",
        "_hystart",
        "_last_ack_ns",
        "_last_in_flight",
        "_last_peak",
        "_peak",
        "_round_end",
        "_saved",
        "_timed_out",
        "backoff",
        "cwnd",
        "holding",
        "mss",
        "ssthresh",
        "ssthresh_cap",
    )

    name: ClassVar[str]
    """As on the command line."""
    beta: ClassVar[tuple[int, int]]
    """What a window is multiplied by on congestion: numerator, denominator."""

    def __init__(self, *, mss: int, hystart: bool = True) -> None:
        self.mss = mss
        self.cwnd = initial_window(mss)
        self.ssthresh = SSTHRESH_INFINITE
        self.ssthresh_cap = SSTHRESH_INFINITE
        self.holding = False
        self.backoff = 1.0
        self._growing = True
        self._hystart = HyStart() if hystart else None
        self._credit = 0
        """Growth earned and not yet a whole byte, in bytes·cwnd."""
        self._timed_out = False
        self._saved: tuple[int, int, bool, tuple[float, ...]] | None = None
        # Rounds, counted in acknowledged bytes: what is in flight when one starts ends it.
        self._acked_total = 0
        self._round_end: int | None = None
        self._peak = 0
        self._last_peak = 0
        self._last_ack_ns = 0
        self._last_in_flight = 0

    @property
    def floor(self) -> int:
        """The least window that losses leave, 2·MSS (P10); only a timeout goes below."""
        return 2 * self.mss

    @property
    def in_slow_start(self) -> bool:
        """Whether ACKs now grow cwnd exponentially, a promoted subflow's catching up included."""
        return self.cwnd < self.ssthresh and (self._growing or not self.holding)

    @property
    def in_congestion_avoidance(self) -> bool:
        """Whether the subflow competes for the growth budget: it is one of the paper's n_ca.

        A subflow that holds, or catches up with its shadow ssthresh, still does: were it
        dropped from the competition by its own promotion, another would be promoted next.
        """
        return self.holding or self.cwnd >= self.ssthresh

    def on_ack(
        self,
        *,
        now: int,
        acked: int,
        in_flight: int,
        srtt_ns: int,
        growth: float = 1.0,
        window_limited: bool = True,
        rtt_ns: int | None = None,
    ) -> None:
        """Account for `acked` newly acknowledged bytes of this subflow, by ACK or SACK.

        `in_flight` is what remains in flight after them. `growth` is the share x_i of the budget
        (P7), 1 for a single-path TCP; with a negative one the window shrinks. `window_limited`
        says whether cwnd was what limited the sender; if not, nothing is learnt about the path and
        nothing grows (RFC 7661 section 1).
        `rtt_ns` is the round trip measured with this ACK, if any. During fast recovery the owner
        does not call this: RFC 5681 grows nothing then.
        """
        self._timed_out = False
        self._growing = growth != 0
        self._count_round(acked, in_flight, rtt_ns)
        if window_limited and self.cwnd < self.ssthresh and (self._growing or not self.holding):
            acked = self._slow_start(acked)
        if growth < 0:
            self._shrink(acked, -growth)
        elif growth == 0:
            if self.in_congestion_avoidance:
                self._hold(acked)
        elif acked > 0 and window_limited and self.cwnd >= self.ssthresh:
            self._avoid(now=now, acked=acked, srtt_ns=srtt_ns, growth=growth)
        self._last_ack_ns = now
        self._last_in_flight = in_flight

    def on_loss(self, *, now: int, in_flight: int) -> None:
        """One congestion event: data of this subflow was lost, fast retransmit takes over.

        To be called once per event, however many segments it took. `in_flight` is RFC 5681's
        FlightSize: what is outstanding, the lost bytes included.
        """
        self._save()
        self._reduce(now, in_flight)

    def on_ecn(self, *, now: int, in_flight: int) -> None:
        """The peer echoed a congestion mark; as a loss, once per window (RFC 3168 section 6.1.2).

        A mark is never spurious, so there is nothing to undo afterwards.
        """
        self._saved = None
        self._reduce(now, in_flight)

    def on_rto(self, *, now: int, in_flight: int, same_event: bool = False) -> None:
        """The retransmission timer of this subflow expired: loss window and slow start.

        The windows are reduced once however often the timer expires in a row (RFC 5681 section
        3.1). `same_event` says that the data was already accounted for by `on_loss`: then
        ssthresh stays as that left it.
        """
        if not self._timed_out and not same_event:
            self._save()
            self._lower_ssthresh(now, in_flight, timeout=True)
        self._timed_out = True
        self._leave_initial_slow_start()
        self._end_epoch()
        self.cwnd = self.mss  # RFC 5681's loss window, LW

    def undo(self) -> bool:
        """The last loss or timeout was none (RFC 3522, RFC 3708): take its reduction back.

        Windows that have grown beyond the saved ones meanwhile stay. False if there is nothing
        to take back.
        """
        if self._saved is None:
            return False
        cwnd, ssthresh, self.holding, state = self._saved
        self._saved = None
        self.cwnd = max(self.cwnd, cwnd)
        self.ssthresh = max(self.ssthresh, ssthresh)
        self._timed_out = False
        self._last_in_flight = 0  # the time spent in recovery was none of congestion avoidance
        self._restore(state)
        return True

    def penalise(self) -> None:
        """The subflow kept the others waiting: half its window, and no growth by slow start.

        Raiciu et al., NSDI 2012, section 4.2. Nothing was lost, so there is nothing to undo.
        """
        self._saved = None
        self.cwnd = max(self.cwnd // 2, self.floor)
        self.ssthresh = self.cwnd
        self._leave_initial_slow_start()
        self._end_epoch()

    def restart(self, window: int, now: int) -> None:
        """Start from `window` bytes again and slow-start to what is known of the path.

        For a connection that was idle (RFC 5681 section 4.1, with the ssthresh of RFC 7661
        section 4.4.1: at least 3/4 of the window left behind), a promoted or a restored path.
        A subflow that holds goes on holding unless `window` is more than it had: idleness is no
        reason to grow without a share.
        """
        self._saved = None
        if self.ssthresh < SSTHRESH_INFINITE:
            self.ssthresh = max(self.ssthresh, self.cwnd * 3 // 4, self.floor)
        self.holding = self.holding and window <= self.cwnd
        self.cwnd = max(window, self.mss)
        self._timed_out = False
        self._round_end = None
        self._peak = self._last_peak = 0
        self._end_epoch()

    def set_mss(self, mss: int) -> None:
        """The path carries segments of another size now; windows keep their bytes."""
        if self._acked_total == 0 and self.cwnd == initial_window(self.mss):
            self.cwnd = initial_window(mss)
        self.mss = mss
        self.cwnd = max(self.cwnd, mss)
        self.ssthresh = max(self.ssthresh, self.floor)

    # What an algorithm adds.

    @abstractmethod
    def _avoid(self, *, now: int, acked: int, srtt_ns: int, growth: float) -> None:
        """Grow cwnd for `acked` bytes in congestion avoidance; `growth` > 0."""

    def _on_reduction(self, prior: int, *, timeout: bool) -> None:
        """Congestion was found with a window of `prior` bytes."""
        del prior, timeout
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Congestion avoidance was interrupted: what it earned for the old window is void."""
        self._credit = 0

    def _snapshot(self) -> tuple[float, ...]:
        """The algorithm's own state, for `undo`."""
        return ()

    def _restore(self, state: tuple[float, ...]) -> None:
        """The reverse of `_snapshot`."""
        del state
        self._credit = 0

    # What is common.

    def _count_round(self, acked: int, in_flight: int, rtt_ns: int | None) -> None:
        """Tell rounds apart and remember how much was in flight in this one and the last."""
        self._acked_total += acked
        self._peak = max(self._peak, in_flight + acked)
        if self._hystart is not None and rtt_ns is not None:
            self._hystart.on_sample(rtt_ns)
        if self._round_end is None:
            self._round_end = self._acked_total + in_flight
        elif self._acked_total >= self._round_end:
            self._round_end = self._acked_total + in_flight
            self._last_peak = self._peak
            self._peak = in_flight
            if self._hystart is not None:
                self._hystart.on_round()

    def _slow_start(self, acked: int) -> int:
        """Grow by the bytes acknowledged, up to ssthresh; return the bytes left over.

        RFC 3465 section 2.2 without its limit L on the growth per ACK. That limit is a guard
        against bursts after lost or stretched ACKs. Here one ACK may stand for a super-segment
        of 45 segments, so the limit would end slow start as such; the pacer forbids the bursts.
        Nor is L = 1 after a timeout needed: bytes are credited when they are first SACKed, so
        a cumulative ACK over a filled hole does not credit the island behind it again.
        """
        if self._hystart is not None and self.ssthresh >= SSTHRESH_INFINITE:
            self.cwnd += self._hystart.increase(acked)
            if self._hystart.done:
                self.ssthresh = self.cwnd
                self._leave_initial_slow_start()
            return 0
        used = min(acked, self.ssthresh - self.cwnd)
        self.cwnd += used
        if self.cwnd >= self.ssthresh:
            self.holding = False
            self._end_epoch()
        return acked - used

    def _hold(self, acked: int) -> None:
        """No share of the growth: cwnd stays, ssthresh takes the growth that cwnd forgoes (P10).

        One MSS per cwnd of acknowledged bytes is one MSS per round trip of a full window; a
        subflow that sends less learns less. Only back up to the floor, after a timeout, cwnd
        does grow.
        """
        if not self.holding:
            self.holding = True
            self.ssthresh = self.cwnd
            self._end_epoch()
        if self.cwnd < self.floor:
            self.cwnd = min(self.floor, self.cwnd + acked)
        grown = self.ssthresh + self._earn(acked * self.mss)
        self.ssthresh = max(self.cwnd, min(grown, self.ssthresh_cap))

    def _shrink(self, acked: int, share: float) -> None:
        """Give back up to `share` MSS per round trip; what the window grew before is void."""
        if self.in_slow_start:
            return
        self.holding = False
        size = max(
            self.cwnd - self._earn(int(acked * self.mss * share)), min(self.floor, self.cwnd)
        )
        credit = self._credit
        self._end_epoch()
        self._credit = credit
        self.cwnd = size
        self.ssthresh = min(self.ssthresh, size)

    def _earn(self, credit: int) -> int:
        """Whole bytes for `credit` bytes·cwnd, keeping the remainder for the next ACK."""
        earned, self._credit = divmod(self._credit + credit, self.cwnd)
        return earned

    def _reduce(self, now: int, in_flight: int) -> None:
        cwnd = self._decreased(self.cwnd)
        self._lower_ssthresh(now, in_flight, timeout=False)
        self.cwnd = cwnd if self.holding else self.ssthresh
        self._leave_initial_slow_start()

    def _lower_ssthresh(self, now: int, in_flight: int, *, timeout: bool) -> None:
        """RFC 5681 (4), with the flight of the last round in place of the instantaneous one.

        At the end of a burst the flight has drained and says nothing about the path; a cwnd
        that nobody used for a while says nothing either. A subflow that holds lowers its shadow.
        """
        if self.holding:
            prior = self.ssthresh
        else:
            prior = min(self.cwnd, max(in_flight, self._peak, self._last_peak))
        self.ssthresh = self._decreased(prior)
        self._on_reduction(prior, timeout=timeout)

    def _decreased(self, window: int) -> int:
        numerator, denominator = self.beta
        taken = ceil(window * (denominator - numerator) * self.backoff / denominator)
        return max(window - taken, self.floor)

    def _leave_initial_slow_start(self) -> None:
        """HyStart++ is for the first slow start only (RFC 9406 section 4.3)."""
        self._hystart = None

    def _save(self) -> None:
        self._saved = (self.cwnd, self.ssthresh, self.holding, self._snapshot())
