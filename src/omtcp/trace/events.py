"""The events that the core reports, each one decision or observation.

An event is a frozen value; `path` is the index of the path in the order it was given, `start` and
`end` are stream offsets in bytes (half open), times are nanoseconds. A sink is called with the
core's own `now`, so a trace of a virtual-time run tells virtual time. With no sink attached an
event costs the core one comparison with None: it is not even built.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    """The handshake is complete."""

    peer: str
    paths: int


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """The connection is gone; `reason` is one of closed, reset, timeout, aborted."""

    reason: str
    delivered: int


@dataclass(frozen=True, slots=True)
class MultipathDisabled(Event):
    """This connection keeps to one path (P1); `reason` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class PathChosen(Event):
    """`path` became the primary; `scores` are the candidates' merits, in path order."""

    path: int
    previous: int
    reason: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PoolChanged(Event):
    """`paths` are those that now carry data together (`--mode pooled`), and why not more or less.

    Reason is goodput (together they gave less than the best alone, which is left alone), retry
    (that is over), all, or why a path is left out: window, delay, tail, or its state.
    """

    paths: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class BottlenecksJudged(Event):
    """Which paths seem to share a bottleneck, each path in one group, alone if it shares none.

    `agreements` say for each group how well the delays of its paths agree, 1 at best and 1 for a
    path alone (see core/shared_bottleneck.py).
    """

    groups: tuple[tuple[int, ...], ...]
    agreements: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LossDetected(Event):
    """A range sent on `path` is taken for lost; kind is reordering, timeout or silence."""

    path: int
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Retransmission(Event):
    """A range that `from_path` lost goes out again on `path`.

    Kind is fast (P3), slow (P4), timeout (P5), suspect (a silent path's data), probe or removed.
    """

    path: int
    from_path: int
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class PathSuspect(Event):
    """`path` has been silent for `silence_ns` while others were acknowledged."""

    path: int
    silence_ns: int


@dataclass(frozen=True, slots=True)
class PathProbing(Event):
    """`path` owes the answer to a few segments, which may just be lost: it is asked first."""

    path: int
    silence_ns: int


@dataclass(frozen=True, slots=True)
class PathCleared(Event):
    """A path that was only asked has answered: a few segments were lost, no more."""

    path: int


@dataclass(frozen=True, slots=True)
class PingSent(Event):
    """A range that the peer already has was sent again to draw a DSACK (RFC 2883)."""

    path: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PingAnswered(Event):
    """The DSACK for a ping came back."""

    path: int
    rtt_ns: int


@dataclass(frozen=True, slots=True)
class PathRestored(Event):
    """A suspect or defective path answered and carries data again."""

    path: int


@dataclass(frozen=True, slots=True)
class PathDefective(Event):
    """The user timeout R2 of `path` expired (P5)."""

    path: int


@dataclass(frozen=True, slots=True)
class PathAdded(Event):
    """There is one more path, called `name`; connections ping it before they use it."""

    path: int
    name: str
    cost: int


@dataclass(frozen=True, slots=True)
class PathDrained(Event):
    """`path` carries nothing new; what is under way is waited for."""

    path: int


@dataclass(frozen=True, slots=True)
class PathUndrained(Event):
    """`path` may be used again."""

    path: int


@dataclass(frozen=True, slots=True)
class PathRemoved(Event):
    """`path` is no more; its index stays its own."""

    path: int


@dataclass(frozen=True, slots=True)
class PathCostChanged(Event):
    """`path` costs something else."""

    path: int
    cost: int


@dataclass(frozen=True, slots=True)
class PolicyChanged(Event):
    """All connections schedule by another policy from now on: pooled or redundant."""

    policy: str


@dataclass(frozen=True, slots=True)
class WindowChanged(Event):
    """A congestion window was cut or restarted.

    The reason is loss, coupled, timeout, restored or mss.
    """

    path: int
    cwnd: int
    ssthresh: int
    reason: str


@dataclass(frozen=True, slots=True)
class MetricsUpdated(Event):
    """A sample of one subflow, some twenty a second while the connection is active."""

    path: int
    cwnd: int
    ssthresh: int
    srtt_ns: int
    in_flight: int
    delivered: int
    state: str
    primary: bool


NO_CONNECTION = 0
"""Stands for a connection in events that concern all of them."""

Sink = Callable[[int, int, Event], None]
"""Called as sink(now_ns, connection_id, event)."""
