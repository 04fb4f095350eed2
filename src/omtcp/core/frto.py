"""F-RTO: was the timeout spurious? (RFC 5682 section 3, with SACK), per subflow.

Only the first segment goes out again when the timer expires. The next two acknowledgments of this
path's bytes tell: when data that was not repeated keeps arriving, nothing was lost, only late; when
new data overtakes it, it is gone. Until then the rest is left in flight.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto


class Verdict(Enum):
    """What the acknowledgments said."""

    __slots__ = ()

    OPEN = auto()
    SPURIOUS = auto()
    GENUINE = auto()


class _Stage(IntEnum):
    OFF = 0
    REPEATED = 1
    """The first segment was sent again; its acknowledgment is awaited (step 2)."""
    ASKED = 2
    """New data was sent; whatever is acknowledged next decides (step 3)."""


class Frto:
    """One timeout of a subflow; places are positions of the subflow."""

    __slots__ = ("_head", "_stage", "point")

    def __init__(self, head: int, point: int) -> None:
        """Step 1: the timer expired, the bytes up to stream offset `head` go out again."""
        self._stage = _Stage.REPEATED
        self._head = head
        self.point = point
        """RecoveryPoint: what was sent before the timer expired lies below."""

    @property
    def active(self) -> bool:
        """Whether a verdict is awaited."""
        return self._stage is not _Stage.OFF

    @property
    def head(self) -> int:
        """Stream offset of the last byte that was repeated."""
        return self._head

    def stop(self) -> None:
        """Something else decided."""
        self._stage = _Stage.OFF

    def on_ack(
        self, *, head_acked: bool, late: bool, newer: bool, rest: bool, new_data: bool
    ) -> Verdict:
        """An acknowledgment brought something of this subflow.

        Args:
            head_acked: what was repeated has arrived.
            late: so has data below `point` that was never repeated.
            newer: so has data above `point`.
            rest: anything below `point` is still in flight.
            new_data: there is new data, and room at the receiver for it.
        """
        if not rest:  # nothing left to be wrong about; a DSACK may still tell
            self._stage = _Stage.OFF
            return Verdict.OPEN
        if self._stage is _Stage.REPEATED:
            if head_acked and new_data:  # step 2b
                self._stage = _Stage.ASKED
                return Verdict.OPEN
            if not (head_acked or late or newer):
                return Verdict.OPEN
            return self._decide(Verdict.GENUINE)  # step 2a
        if late:
            return self._decide(Verdict.SPURIOUS)  # step 3b
        return self._decide(Verdict.GENUINE) if newer else Verdict.OPEN  # step 3a

    @property
    def asking(self) -> bool:
        """Whether new data is to be sent now, whatever the window."""
        return self._stage is _Stage.ASKED

    def _decide(self, verdict: Verdict) -> Verdict:
        self._stage = _Stage.OFF
        return verdict


NO_FRTO = Frto(0, 0)
"""Where no timer ever expired."""
NO_FRTO.stop()
