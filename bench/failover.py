"""How long a receiver waits when an uplink fails, over many random moments; and what comes after.

Simulated, deterministic, some minutes: python bench/failover.py [SAMPLES]

Two uplinks with queues of one bandwidth-delay product. Each sample is one event on the first uplink
at a random time of a long download: the uplink drops everything, its queue included, and 600 ms
later it carries again; or it loses 30 % for a second. Told are the longest time without a byte for
the application (median, 90th percentile, largest), how long after its return the uplink carried
data again, and how often it was suspected.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from omtcp.core.config import Config, Mode, Policy
from omtcp.link.loss import Bernoulli
from omtcp.link.spec import parse_link
from omtcp.sim import BACK, Pair
from omtcp.trace.events import Event, PathSuspect
from omtcp.wire.tcp import Segment

MS = 1_000_000
SECOND = 1000 * MS
EVENTS = 10
"""Per download."""
FIRST, EVERY = 2 * SECOND, 3 * SECOND
OUTAGE = 600 * MS
BROWN_OUT = SECOND
DATA = memoryview(bytes(256 << 20))

LINKS = {
    "20 Mbit/s, 30 ms, twice": ("20mbit,15ms", "20mbit,15ms"),
    "20 Mbit/s, 30 ms and 60 ms": ("20mbit,15ms", "20mbit,45ms"),
}


@dataclass
class Sample:
    """One event: when it began, when the uplink was whole again, and what was seen."""

    begin: int
    end: int
    silence: int = 0
    back: int | None = None
    suspicions: int = 0


@dataclass
class Run:
    """One download with its events."""

    pair: Pair
    samples: list[Sample]
    trace: list[tuple[int, Event]]

    def on_arrival(self, now: int, path: int, segment: Segment) -> None:
        if path != 0 or segment.length < 1000:
            return
        for sample in self.samples:
            if sample.back is None and sample.end <= now < sample.begin + EVERY // 2:
                sample.back = now - sample.end

    def finish(self) -> None:
        times = [arrival.now for arrival in self.pair.client.arrivals]
        suspected = [
            now for now, event in self.trace if isinstance(event, PathSuspect) and event.path == 0
        ]
        for sample in self.samples:
            sample.suspicions = sum(
                sample.begin <= now < sample.begin + SECOND for now in suspected
            )
            until = sample.begin + EVERY // 2
            near = [at for at in times if sample.begin - SECOND < at < until]
            gaps = [(b - a, b) for a, b in pairwise(near)]
            sample.silence = max((gap for gap, at in gaps if at >= sample.begin), default=until)


def forward(pair: Pair, up: bool) -> None:
    pair.configure(0, replace(pair.forward[0].link.config, up=up))


def both(pair: Pair, up: bool) -> None:
    """The acknowledgments come back by the same uplink."""
    forward(pair, up)
    pair.configure(BACK, replace(pair.back.link.config, up=up))


def brown_out(pair: Pair, up: bool) -> None:
    loss = None if up else Bernoulli(probability=0.3)
    pair.configure(0, replace(pair.forward[0].link.config, loss=loss), lose_in_flight=False)


def hinted(pair: Pair, up: bool) -> None:
    """The host sees its link go down."""
    forward(pair, up)
    pair.server.handle_path(pair.now, 0, up)


CONFIGS = {
    "pooled": Config(mode=Mode.POOLED),
    "redundant": Config(mode=Mode.POOLED, policy=Policy.REDUNDANT),
    "primary": Config(mode=Mode.PRIMARY),
}
CASES: dict[str, tuple[Callable[[Pair, bool], None], int]] = {
    "cut": (forward, OUTAGE),
    "cut, the host says so": (hinted, OUTAGE),
    "cut, with the way back": (both, OUTAGE),
    "cut for 40 ms": (forward, 40 * MS),
    "30 % loss for 1 s": (brown_out, BROWN_OUT),
}


def run(uplinks: tuple[str, ...], config: Config, case: str, seed: int, count: int) -> list[Sample]:
    """`count` events in one download."""
    change, duration = CASES[case]
    links = [parse_link(text).resolve(15 * MS) for text in uplinks]
    back = parse_link("inf,15ms").resolve(15 * MS)
    dice = Random(seed)
    samples: list[Sample] = []
    trace: list[tuple[int, Event]] = []
    pair = Pair(
        links,
        back=back,
        config=config,
        client_config=Config(receive_buffer_max=6 << 20),
        seed=seed,
        sink=lambda now, _, event: trace.append((now, event)),
    )
    state = Run(pair, samples, trace)
    pair.arrival_taps.append(state.on_arrival)
    for i in range(count):
        at = FIRST + i * EVERY + dice.randrange(SECOND)
        samples.append(Sample(begin=pair.now + at, end=pair.now + at + duration))
        pair.at(at, lambda: change(pair, False))
        pair.at(at + duration, lambda: change(pair, True))
    pair.client.keep = False
    pair.serve(DATA)
    pair.connect()
    pair.run(seconds=(FIRST + count * EVERY) / SECOND)
    state.finish()
    return samples


def quantile(values: list[int], part: float) -> float:
    """In ms."""
    return sorted(values)[min(int(part * len(values)), len(values) - 1)] / MS


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    print(
        "| uplinks | mode | event | silence, ms: median | 90 % | most | back, ms: median | most |"
        " suspected |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, uplinks in LINKS.items():
        for mode, config in CONFIGS.items():
            for case in CASES:
                if only and only not in (case, mode):
                    continue
                samples = [
                    sample
                    for seed in range(-(-count // EVENTS))
                    for sample in run(uplinks, config, case, seed, min(EVENTS, count))
                ]
                silences = [sample.silence for sample in samples]
                backs = [sample.back for sample in samples if sample.back is not None]
                suspicions = sum(sample.suspicions for sample in samples) / len(samples)
                row = [name, mode, case]
                row += [f"{quantile(silences, part):.0f}" for part in (0.5, 0.9, 1)]
                row += [f"{quantile(backs, part):.0f}" if backs else "-" for part in (0.5, 1)]
                row[-1] += "" if len(backs) == len(samples) else f" ({len(backs)}/{len(samples)})"
                row.append(f"{suspicions:.1f}")
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
