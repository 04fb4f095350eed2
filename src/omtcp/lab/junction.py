"""Where several links lead into one: whose frame is next."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from omtcp.lab.frames import ecn_of
from omtcp.link.pipe import Pipe


class Junction:
    """Passes frames from links on to the bottleneck behind them, in order of time.

    Frames that are read in one round enter their links at the same moment, and links of one rate
    hand them on at the same moment: ties are the rule. A full queue takes the first of them and
    drops the others, so whoever always came first would lose less than the rest. Lots are drawn.
    """

    def __init__(
        self,
        feeders: dict[str, Pipe[bytes]],
        bottleneck: Pipe[bytes],
        rng: Random,
        carried: Callable[[int, str, bytes], None],
    ) -> None:
        """`carried` is told of each frame that leaves one of `feeders`: (time, name, frame)."""
        self._feeders = feeders
        self._bottleneck = bottleneck
        self._rng = rng
        self._carried = carried
        self._merged = 0

    def advance(self, now: int) -> None:
        """What has come out of the feeders by `now` enters the bottleneck."""
        marking = self._bottleneck.link.config.mark_bytes is not None
        while True:
            waiting = [
                (due, name)
                for name, pipe in self._feeders.items()
                if (due := pipe.next_delivery()) is not None and due <= now
            ]
            if not waiting:
                return
            due, _ = min(waiting)
            names = [name for at, name in waiting if at == due]
            name = names[0] if len(names) == 1 else self._rng.choice(names)
            frame = self._feeders[name].poll_delivery(due)
            assert frame is not None, "it was due"
            self._carried(due, name, frame)
            # A feeder whose delay has shrunk may hand out what was due before.
            self._merged = max(due, self._merged)
            ect = marking and ecn_of(frame) != 0
            self._bottleneck.send(self._merged, frame, len(frame), ect)
