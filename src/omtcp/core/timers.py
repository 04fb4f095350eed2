"""The deadlines of one owner, a connection or a subflow, keyed by what they are for."""

from enum import IntEnum


class Timer(IntEnum):
    """What a deadline is for; also the order in which deadlines of one instant are handled."""

    RETRANSMIT = 0
    RECOVERY = 1
    PACING = 2
    DELAYED_ACK = 3
    PERSIST = 4
    KEEPALIVE = 5
    HANDSHAKE = 6
    TIME_WAIT = 7
    PRIMARY = 8
    METRICS = 9


_COUNT = len(Timer)


class TimerTable:
    """At most one deadline per `Timer`; asking for the next one costs nothing.

    `next_timeout` is asked after every packet, while deadlines mostly move later, so the
    earliest one is cached and searched again only after it was itself moved or stopped.
    """

    __slots__ = ("_deadlines", "_next", "_stale")

    def __init__(self) -> None:
        self._deadlines: list[int | None] = [None] * _COUNT
        self._next: int | None = None
        self._stale = False

    def set(self, timer: Timer, at_ns: int) -> None:
        """Arm `timer` for `at_ns`, instead of whatever it was armed for."""
        old = self._deadlines[timer]
        self._deadlines[timer] = at_ns
        if self._stale:
            return
        if self._next is None or at_ns <= self._next:
            self._next = at_ns
        elif old == self._next:
            self._stale = True

    def stop(self, timer: Timer) -> None:
        """Disarm `timer`; no harm if it was not armed."""
        old = self._deadlines[timer]
        if old is None:
            return
        self._deadlines[timer] = None
        if old == self._next:
            self._stale = True

    def stop_all(self) -> None:
        """Disarm everything."""
        self._deadlines = [None] * _COUNT
        self._next = None
        self._stale = False

    def get(self, timer: Timer) -> int | None:
        """When `timer` is due, None if it is not armed."""
        return self._deadlines[timer]

    def next_timeout(self) -> int | None:
        """The earliest deadline, None if nothing is armed."""
        if self._stale:
            self._next = min((at for at in self._deadlines if at is not None), default=None)
            self._stale = False
        return self._next

    def expired(self, now: int) -> list[Timer]:
        """Disarm and return what is due at `now`, earliest first; empty if nothing is."""
        first = self.next_timeout()
        if first is None or first > now:
            return []
        armed = zip(self._deadlines, Timer, strict=True)
        due = sorted((at, timer) for at, timer in armed if at is not None and at <= now)
        for _, timer in due:
            self._deadlines[timer] = None
        self._stale = True
        return [timer for _, timer in due]
