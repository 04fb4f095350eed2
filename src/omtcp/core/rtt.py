"""Round-trip time estimation and the retransmission timeout, one estimator per subflow (RFC 6298).

The caller measures: it passes one sample per acknowledged transmission, and by Karn's rule
(RFC 6298 section 3) none for bytes that were sent more than once.
"""

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

INITIAL_RTO_NS = SECOND
"""RFC 6298 (2.1)."""

HANDSHAKE_FALLBACK_RTO_NS = 3 * SECOND
"""RFC 6298 (5.7): the timeout for data after the handshake itself timed out."""

_WINDOW_SLOTS = 10


class WindowedMin:
    """The smallest sample of about the last `window_ns`, in ten slots of time.

    A sample is forgotten between `window_ns` and a tenth less after it was taken, and at most
    eleven numbers are kept, however many samples arrive.
    """

    __slots__ = ("_minima", "_slot_ns")

    def __init__(self, window_ns: int) -> None:
        self._slot_ns = max(1, window_ns // _WINDOW_SLOTS)
        self._minima: list[tuple[int, int]] = []  # (slot, value), both strictly increasing

    def on_sample(self, now: int, value: int) -> None:
        """Take `value` at time `now` in."""
        slot = now // self._slot_ns
        minima = self._minima
        if minima and minima[-1][0] == slot and minima[-1][1] <= value:
            return
        while minima and minima[-1][1] >= value:
            minima.pop()
        minima.append((slot, value))
        while minima[0][0] <= slot - _WINDOW_SLOTS:
            del minima[0]

    @property
    def value(self) -> int:
        """The minimum as of the last sample, 0 before any."""
        return self._minima[0][1] if self._minima else 0


class RttEstimator:
    """SRTT, RTTVAR and RTO of one path, in nanoseconds.

    Two choices go beyond the clauses of RFC 6298. Both matter because a sender with SACK takes
    a sample per ACK where RFC 6298 was designed for one per round trip:

    - RTTVAR falls once per round trip only, to the largest value of the round just over.
      Otherwise hundreds of equal samples in one round forget the variance of the round before.
      With one sample per round trip this is exactly (2.3).
    - `granularity_ns`, the G of (2.2) and (2.3), is 200 ms by default and not a clock tick: it
      is the longest that common receivers delay an ACK, so a lone segment does not time out.

    `min_rto_ns` is below the 1 s of (2.4), as in every deployed stack.
    """

    __slots__ = (
        "_backoff",
        "_deviation",
        "_granularity_ns",
        "_initial_rto_ns",
        "_max_rto_ns",
        "_min_rto_ns",
        "_recent_min",
        "_round_end",
        "_round_peak",
        "latest_ns",
        "min_rtt_ns",
        "rttvar_ns",
        "srtt_ns",
    )

    def __init__(
        self,
        *,
        min_rto_ns: int = 200 * MILLISECOND,
        max_rto_ns: int = 60 * SECOND,
        granularity_ns: int = 200 * MILLISECOND,
        window_ns: int = 10 * SECOND,
    ) -> None:
        self._min_rto_ns = min_rto_ns
        self._max_rto_ns = max_rto_ns
        self._granularity_ns = granularity_ns
        self._initial_rto_ns = INITIAL_RTO_NS
        self._recent_min = WindowedMin(window_ns)
        self._backoff = 0
        self._deviation = 0
        self._round_peak = 0
        self._round_end = 0
        self.srtt_ns = 0
        self.rttvar_ns = 0
        self.latest_ns = 0
        self.min_rtt_ns = 0

    @property
    def has_sample(self) -> bool:
        """Whether any round trip was measured; before, all times but `rto_ns` are 0."""
        return self.latest_ns != 0

    @property
    def recent_min_rtt_ns(self) -> int:
        """The smallest sample of about the last `window_ns`, 0 without a sample."""
        return self._recent_min.value

    @property
    def rto_ns(self) -> int:
        """The timeout to arm now, backoff included."""
        if self.has_sample:
            # (2.2), (2.3): RTO = SRTT + max(G, K·RTTVAR), K = 4; (2.4) the lower bound.
            rto = self.srtt_ns + max(self._granularity_ns, 4 * self.rttvar_ns)
            rto = max(rto, self._min_rto_ns)
        else:
            rto = self._initial_rto_ns  # (2.1)
        return min(rto << self._backoff, self._max_rto_ns)  # (5.5), (2.5)

    def on_sample(self, now: int, rtt_ns: int) -> None:
        """Take one measured round trip in; ends any backoff."""
        rtt_ns = max(1, rtt_ns)
        if self.latest_ns == 0:
            self._on_first_sample(now, rtt_ns)
        else:
            self._smooth(now, rtt_ns)
        self.latest_ns = rtt_ns
        self._backoff = 0
        self._recent_min.on_sample(now, rtt_ns)

    def _on_first_sample(self, now: int, rtt_ns: int) -> None:
        """RFC 6298 (2.2)."""
        self.srtt_ns = rtt_ns
        self.rttvar_ns = self._deviation = rtt_ns // 2
        self.min_rtt_ns = rtt_ns
        self._round_end = now + rtt_ns

    def _smooth(self, now: int, rtt_ns: int) -> None:
        """RFC 6298 (2.3): RTTVAR first, since it uses the old SRTT; beta = 1/4, alpha = 1/8."""
        error = rtt_ns - self.srtt_ns
        self._deviation += (abs(error) - self._deviation) // 4
        self.srtt_ns += error // 8
        self.min_rtt_ns = min(self.min_rtt_ns, rtt_ns)
        self._round_peak = max(self._round_peak, self._deviation)
        if now >= self._round_end:
            self.rttvar_ns = self._round_peak
            self._round_peak = 0
            self._round_end = now + self.srtt_ns
        else:
            self.rttvar_ns = max(self.rttvar_ns, self._deviation)

    def backoff(self) -> None:
        """The timer expired: double the timeout, RFC 6298 (5.5)."""
        if self.rto_ns < self._max_rto_ns:
            self._backoff += 1

    def reset_backoff(self) -> None:
        """New data was acknowledged, though nothing could be timed (RFC 6298 section 5, end)."""
        self._backoff = 0

    def on_handshake_timeout(self) -> None:
        """A SYN or SYN-ACK was sent again: data starts with 3 s unless timed, RFC 6298 (5.7)."""
        self._initial_rto_ns = max(self._initial_rto_ns, HANDSHAKE_FALLBACK_RTO_NS)
