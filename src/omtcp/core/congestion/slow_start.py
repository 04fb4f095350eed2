"""HyStart++ (RFC 9406): leave the first slow start when the queue builds, before it overflows."""

MIN_RTT_THRESHOLD_NS = 4_000_000
MAX_RTT_THRESHOLD_NS = 16_000_000
MIN_RTT_DIVISOR = 8
RTT_SAMPLES = 8
CSS_GROWTH_DIVISOR = 4
CSS_ROUNDS = 5
"""RFC 9406 section 4.3, all of them the recommended values; L is infinite since we pace."""

_INFINITE = 1 << 62


class HyStart:
    """The phases of one slow start: standard, conservative (CSS), done.

    The owner tells rounds apart (`on_round` between them), passes every RTT sample, and grows
    its window by `increase(acked)` until `done`.
    """

    __slots__ = (
        "_baseline",
        "_credit",
        "_current_min",
        "_last_min",
        "_rounds_left",
        "_samples",
        "conservative",
        "done",
    )

    def __init__(self) -> None:
        self.conservative = False
        self.done = False
        self._current_min = _INFINITE
        self._last_min = _INFINITE
        self._samples = 0
        self._baseline = _INFINITE
        self._rounds_left = 0
        self._credit = 0

    def on_sample(self, rtt_ns: int) -> None:
        """One round trip, measured in the present round."""
        self._current_min = min(self._current_min, rtt_ns)
        self._samples += 1
        if self._samples < RTT_SAMPLES or self.done:
            return
        if self.conservative:
            if self._current_min < self._baseline:  # the delay was not ours: resume
                self._baseline = _INFINITE
                self.conservative = False
        elif self._last_min < _INFINITE:
            threshold = self._last_min // MIN_RTT_DIVISOR
            threshold = max(MIN_RTT_THRESHOLD_NS, min(threshold, MAX_RTT_THRESHOLD_NS))
            if self._current_min >= self._last_min + threshold:
                self._baseline = self._current_min
                self.conservative = True
                self._rounds_left = CSS_ROUNDS

    def on_round(self) -> None:
        """The present round is over and the next begins.

        The round in which the conservative phase began counts as its first, however partial.
        """
        self._last_min = self._current_min
        self._current_min = _INFINITE
        self._samples = 0
        if self.conservative:
            self._rounds_left -= 1
            self.done = self._rounds_left == 0

    def increase(self, acked: int) -> int:
        """By how many bytes the window grows for `acked` acknowledged ones."""
        if not self.conservative:
            return acked
        grown, self._credit = divmod(self._credit + acked, CSS_GROWTH_DIVISOR)
        return grown
