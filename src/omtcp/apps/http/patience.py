"""How long a peer may take: one timer of the event loop for all connections of a server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds of patience."""

    head: float = 20.0
    """From the first byte of a request to its end, and from the connection to its first byte."""
    idle: float = 75.0
    """Between requests."""
    stall: float = 300.0
    """Without any of the response getting through."""
    linger: float = 5.0
    """For what the peer is still sending when we are about to close."""


TICKS = 16
"""Per second: deadlines within one of them come up together."""


class Patience:
    """Whose time is up, and when.

    Connections come and go by the thousand, and hardly any sees its time run out. So a deadline
    is a place in a crowd that waits for the same tick, and to move it later costs nothing: that is
    noticed when the tick comes.
    """

    __slots__ = ("_crowds", "_loop", "_timer")

    def __init__(self) -> None:
        self._crowds: dict[int, dict[Deadline, None]] = {}
        """By tick."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """The event loop's clock, s."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    def join(self, deadline: "Deadline", tick: int) -> None:
        """It is to be looked at by then."""
        crowd = self._crowds.get(tick)
        if crowd is None:
            crowd = self._crowds[tick] = {}
            self._arm()
        crowd[deadline] = None

    def leave(self, deadline: "Deadline", tick: int) -> None:
        """It is not, after all."""
        crowd = self._crowds.get(tick)
        if crowd is not None:
            crowd.pop(deadline, None)
            if not crowd:
                del self._crowds[tick]

    def _arm(self) -> None:
        """Have `_look` called in time; a timer that is armed for earlier does as well."""
        assert self._loop is not None
        at = min(self._crowds) / TICKS
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        assert self._loop is not None
        now = self._loop.time() * TICKS
        for tick in sorted(tick for tick in self._crowds if tick <= now):
            for deadline in self._crowds.pop(tick):
                try:
                    deadline.check()
                except Exception as error:  # the others are not to wait for ever because of it
                    context = {"message": "a deadline's callback failed", "exception": error}
                    self._loop.call_exception_handler(context)
        if self._crowds:
            self._arm()


class Deadline:
    """Calls back when a moment has passed; the moment may be moved at next to no cost."""

    __slots__ = ("_expired", "_moment", "_patience", "_tick")

    def __init__(self, patience: Patience, expired: Callable[[], None]) -> None:
        self._patience = patience
        self._expired = expired
        self._moment = 0.0
        self._tick = 0
        """When it will be looked at; 0 for never."""

    def set(self, seconds: float) -> None:
        """Expire this long from now, not at the moment set before."""
        self._set(self._patience.time() + seconds)

    def _set(self, moment: float) -> None:
        self._moment = moment
        tick = ceil(moment * TICKS)
        if self._tick:
            if self._tick <= tick:
                return
            self._patience.leave(self, self._tick)
        self._tick = tick
        self._patience.join(self, tick)

    def end(self) -> None:
        """Never expire any more, and hold nobody."""
        if self._tick:
            self._patience.leave(self, self._tick)
            self._tick = 0
        self._expired = _nobody

    def check(self) -> None:
        """The tick has come that it waited for."""
        self._tick = 0
        if self._patience.time() < self._moment:
            self._set(self._moment)
        else:
            self._expired()


def _nobody() -> None:
    """Whom a deadline calls that has ended."""
