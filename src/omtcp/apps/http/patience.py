"""How long a peer may take: one timer per connection, moved only when it must come sooner."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


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


class Deadline:
    """Calls back when a moment has passed; the moment may be moved at next to no cost."""

    __slots__ = (
        "_expired",
        "_loop",
        "_moment",
        "_timer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._moment = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Expire this long from now, not at the moment set before."""
        self._moment = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._moment:
            self.cancel()
        if self._timer is None:
            self._timer = self._loop.call_at(self._moment, self._check)

    def cancel(self) -> None:
        """Never expire, unless set again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Never expire any more, and hold nobody."""
        self.cancel()
        self._expired = _nobody

    def _check(self) -> None:
        self._timer = None
        if self._loop.time() < self._moment:
            self._timer = self._loop.call_at(self._moment, self._check)
        else:
            self._expired()


def _nobody() -> None:
    """Whom a deadline calls that has ended."""
