"""What the simulator is asked to get through, one line per scenario.

A scenario is links × configuration × what happens to the links meanwhile; `outcome` runs it. The
same scenario with the same seed always has the same outcome, so outcomes are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise

from omtcp.core.config import Config, Mode
from omtcp.core.primary import DECISIVE
from omtcp.link import LinkConfig
from omtcp.link.spec import parse_link, parse_time
from omtcp.sim import BACK, Pair
from omtcp.trace.events import (
    Event,
    PathChosen,
    PathRestored,
    PathSuspect,
    PingSent,
    Retransmission,
)
from omtcp.wire.tcp import SYN, Segment

MS = 1_000_000
SECOND = 1_000_000_000
SEED = 20_100_523
WIDE = Config(receive_buffer_max=6 << 20)
"""The client that has all the memory it needs, as kernels have today."""
PATTERN = bytes((i * 7 + (i >> 8)) % 251 for i in range(1 << 16))

Action = Callable[[Pair], None]
Moment = tuple[float, Action]
"""When, in seconds, and what."""


def client(**options: int | bool) -> Config:
    """A client's configuration; `window` bounds its receive buffer."""
    window = options.pop("window", None)
    config = WIDE
    if window is not None:
        config = Config(receive_buffer=min(window, 65_536), receive_buffer_max=window)
    return replace(config, **options)  # type: ignore[arg-type]  # checked by Config


# What may happen to a link


def set_link(path: int, **changes: int | bool | None) -> Action:
    """Change some of a link's properties; what is on the wire still arrives unless it is cut."""

    def act(pair: Pair) -> None:
        pipe = pair.back if path == BACK else pair.forward[path]
        config = replace(pipe.link.config, **changes)  # type: ignore[arg-type]
        pair.configure(path, config)

    return act


def cut(*paths: int) -> Action:
    """The links lose everything from now on, and what is on them."""

    def act(pair: Pair) -> None:
        for path in paths:
            set_link(path, up=False)(pair)

    return act


def restore(*paths: int) -> Action:
    """The reverse of `cut`."""

    def act(pair: Pair) -> None:
        for path in paths:
            set_link(path, up=True)(pair)

    return act


def stop_reading(pair: Pair) -> None:
    """The receiving application pauses."""
    pair.pause()


def read_on(pair: Pair) -> None:
    """And resumes."""
    pair.resume()


def flap(path: int, *, every: float, times: int, start: float = 0.5) -> tuple[Moment, ...]:
    """Up and down `times` times, each state for `every` seconds."""
    events: list[Moment] = []
    for i in range(times):
        events.append((start + 2 * i * every, cut(path)))
        events.append((start + (2 * i + 1) * every, restore(path)))
    return tuple(events)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One download. Times in seconds; links in the notation of `omtcp.link.spec`."""

    name: str
    links: tuple[str, ...]
    size: int
    within: float
    """Virtual seconds until the client has everything."""
    config: Config = field(default_factory=Config)
    client: Config = WIDE
    back: str = ""
    """Rate and delay of the way back; infinitely fast, with the delay of the nearest path."""
    actions: tuple[Moment, ...] = ()
    setup: Action | None = None
    silence_ms: int | None = None
    """The longest time that the receiver may go without data once it has begun."""
    baseline: bool = False
    """Whether it must reach 0.97 of the best single path."""

    def resolved(self) -> tuple[list[LinkConfig], LinkConfig]:
        """The links, queues sized, and the way back."""
        nearest = min(parse_time(text.split(",")[1]) for text in self.links)
        back = parse_link(self.back or f"inf,{nearest}ns").resolve(nearest)
        return [parse_link(text).resolve(back.delay_ns) for text in self.links], back


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a scenario."""

    name: str
    finished: bool
    intact: bool
    duration_ns: int
    silence_ns: int
    resent: int
    sent: tuple[int, ...]
    """Payload bytes put on each link."""
    packets: int
    wasted: int
    """Payload bytes that reached the client more than once, pings aside."""
    moves: tuple[tuple[int, str], ...]
    """When the primary changed, ns since the start, and why."""
    faults: tuple[str, ...]
    trace: tuple[tuple[int, int, Event], ...] = field(repr=False)

    @property
    def goodput_mbps(self) -> float:
        """Of the whole download, handshake included."""
        return self.received * 8e3 / self.duration_ns if self.duration_ns else 0.0

    received: int


class _Watch:
    """Looks at every packet for what must never happen."""

    def __init__(self, paths: int) -> None:
        self.sent = [0] * paths
        self.faults: list[str] = []
        self.suspects: set[int] = set()
        self.restored_at: dict[int, int] = {}
        self.events: list[tuple[int, int, Event]] = []
        self.moves: list[tuple[int, str]] = []
        self.arrived = 0
        self.resent = 0

    def sink(self, now: int, connection: int, event: Event) -> None:
        self.events.append((now, connection, event))
        if isinstance(event, PathSuspect):
            self.suspects.add(event.path)
        elif isinstance(event, PathRestored):
            self.suspects.discard(event.path)
        elif isinstance(event, PathChosen):
            scores = event.scores
            decisive = bool(scores) and scores[event.path] > DECISIVE * scores[event.previous]
            self.moves.append((now - SECOND, "decisive" if decisive else event.reason))
        elif isinstance(event, Retransmission):
            self.resent += event.end - event.start
        elif isinstance(event, PingSent) and event.end - event.start != 1:
            self.faults.append(f"{now}: a ping of {event.end - event.start} bytes")

    def tap(self, now: int, path: int, segment: Segment) -> None:
        if path < 0:
            return
        self.sent[path] += segment.length
        if path in self.suspects and segment.length > 1:
            self.faults.append(f"{now}: {segment.length} bytes of data on suspect path {path}")

    def arrival_tap(self, now: int, path: int, segment: Segment) -> None:
        if path >= 0 and segment.length > 1:
            self.arrived += segment.length


@cache
def outcome(scenario: Scenario, seed: int = SEED) -> Outcome:
    """Run it."""
    links, back = scenario.resolved()
    watch = _Watch(len(links))
    pair = Pair(
        links,
        back=back,
        config=scenario.config,
        client_config=scenario.client,
        seed=seed,
        sink=watch.sink,
    )
    pair.taps.append(watch.tap)
    pair.arrival_taps.append(watch.arrival_tap)
    for at, action in scenario.actions:
        pair.at(int(at * SECOND), lambda action=action: action(pair))  # type: ignore[misc]
    if scenario.setup is not None:
        scenario.setup(pair)
    data = (PATTERN * (scenario.size // len(PATTERN) + 1))[: scenario.size]
    pair.serve(data)
    pair.connect()
    finished = pair.run(
        lambda: pair.client.ended and pair.client.total >= scenario.size, seconds=scenario.within
    )
    reads = pair.client.arrivals
    return Outcome(
        name=scenario.name,
        finished=finished,
        intact=bytes(pair.client.data) == data[: pair.client.total],
        received=pair.client.total,
        duration_ns=reads[-1].now - SECOND if reads else 0,
        silence_ns=max((b.now - a.now for a, b in pairwise(reads)), default=0),
        resent=watch.resent,
        sent=tuple(watch.sent),
        wasted=max(0, watch.arrived - pair.client.total),
        packets=pair.sent_segments,
        moves=tuple(watch.moves),
        faults=tuple(watch.faults),
        trace=tuple(watch.events),
    )


def singles(scenario: Scenario) -> list[Outcome]:
    """The same download over each of the links alone."""
    return [
        outcome(
            replace(
                scenario,
                name=f"{scenario.name} alone on {i}",
                links=(link,),
                back=scenario.back or f"inf,{min_delay(scenario.links)}ns",
                config=replace(scenario.config, mode=Mode.SINGLE),
                within=scenario.within * 10,
            )
        )
        for i, link in enumerate(scenario.links)
    ]


def min_delay(links: Sequence[str]) -> int:
    """The shortest one-way delay, ns."""
    return min(parse_time(text.split(",")[1]) for text in links)


def swallow(path: int, *, all_but_syn: bool = False) -> Action:
    """A path whose far end drops everything, or everything but SYNs."""

    def drop(now: int, segment: Segment) -> bool:
        return not (all_but_syn and segment.flags & SYN)

    return lambda pair: pair.path_drops[path].append(drop)


def read_slowly(rate_bps: int) -> Action:
    """The receiving application takes so much per second, in portions of 10 ms."""

    def setup(pair: Pair) -> None:
        portion = rate_bps // 800
        pair.pause()

        def read() -> bool:
            left = pair.client.connection is None or pair.read(portion) or not pair.client.ended
            return bool(left)

        pair.every(10 * MS, read)

    return setup


def cross(path: int, rate_bps: int, start: float, end: float) -> Action:
    """Others load the link."""

    def setup(pair: Pair) -> None:
        pair.cross_traffic(path, rate_bps, start=int(start * SECOND), end=int(end * SECOND))

    return setup
