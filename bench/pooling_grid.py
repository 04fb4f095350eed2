"""Is pooling ever slower than the best uplink alone? A grid of simulated pairs of uplinks.

RTT ratio x rate ratio x loss x receive window x queue, some six hundred points; at each the same
download is simulated pooled and over each uplink alone. Deterministic; about half an hour on two
cores, `--sample 60` takes a tenth of that:

    python bench/pooling_grid.py --jobs 2 --json grid.json --svg docs/images/pooling-grid.svg
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import Pool
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.link.loss import Bernoulli
from omtcp.link.spec import LinkSpec
from omtcp.sim import Pair

MILLISECOND = 1_000_000
NEAR_DELAY_NS = 10 * MILLISECOND
"""One way, of the nearer uplink and of the way back: a round trip of 20 ms."""
FAST_BPS = 20_000_000
"""Of the faster uplink."""
SECONDS = 10.0
DATA = memoryview(bytes(64 << 20))

RTT_RATIOS = (1, 2, 5, 20)
RATE_RATIOS = (1, 4, 15, 50)
LOSSES = (0.0, 0.001, 0.02)
WINDOWS = (64 << 10, 256 << 10, 1 << 20, 8 << 20)
QUEUES = (0.2, 1.0, 4.0)


@dataclass(frozen=True)
class Point:
    """One pair of uplinks. `far_is_fast` and `lossy` say which of them has which property."""

    rtt_ratio: float
    rate_ratio: float
    loss: float
    window: int
    queue: float
    far_is_fast: bool
    fast_is_lossy: bool
    near_first: bool

    def links(self) -> tuple[LinkConfig, LinkConfig]:
        """In the order of the paths."""
        near, far = (self._link(is_far) for is_far in (False, True))
        return (near, far) if self.near_first else (far, near)

    def _link(self, is_far: bool) -> LinkConfig:
        fast = is_far == self.far_is_fast
        round_trip = 2 * NEAR_DELAY_NS * (self.rtt_ratio if is_far else 1)
        lossy = self.loss > 0 and fast == self.fast_is_lossy
        link = LinkConfig(
            rate_bps=int(FAST_BPS / (1 if fast else self.rate_ratio)),
            delay_ns=int(round_trip) - NEAR_DELAY_NS,
            loss=Bernoulli(probability=self.loss) if lossy else None,
        )
        return LinkSpec(link=link, queue_bdp=self.queue).resolve(NEAR_DELAY_NS)


def points(seed: int = 1) -> Iterator[Point]:
    """The grid; what is not an axis of it (which uplink is which) is drawn."""
    random = Random(seed)
    for values in product(RTT_RATIOS, RATE_RATIOS, LOSSES, WINDOWS, QUEUES):
        yield Point(*values, *(random.random() < 0.5 for _ in range(3)))


def goodput(links: tuple[LinkConfig, ...], window: int, config: Config, seed: int) -> float:
    """Mbit/s of one download over `links`, handshake and slow start included."""
    pair = Pair(
        links,
        back=LinkConfig(delay_ns=NEAR_DELAY_NS),
        config=config,
        client_config=Config(receive_buffer=min(window, 65536), receive_buffer_max=window),
        seed=seed,
    )
    pair.client.keep = False
    pair.serve(DATA)
    pair.connect()
    pair.run(seconds=SECONDS)
    return pair.client.total * 8 / 1e6 / SECONDS


@dataclass(frozen=True)
class Outcome:
    """Mbit/s at a point, pooled and over each uplink alone."""

    point: Point
    pooled: float
    alone: tuple[float, float]

    @property
    def ratio(self) -> float:
        """To the best uplink alone."""
        return self.pooled / max(self.alone)

    @property
    def of_sum(self) -> float:
        """To the sum of both."""
        return self.pooled / sum(self.alone)


def measure(job: tuple[Point, int, int, Mode]) -> Outcome:
    """Simulate a point."""
    point, seed, repeat, mode = job
    links = point.links()
    seeds = range(seed, seed + (repeat if point.loss else 1))

    def middle(links: tuple[LinkConfig, ...], mode: Mode) -> float:
        return median(goodput(links, point.window, Config(mode=mode), each) for each in seeds)

    first, second = (middle((link,), Mode.SINGLE) for link in links)
    return Outcome(point, middle(links, mode), (first, second))


def summary(outcomes: list[Outcome]) -> dict[str, float]:
    """What is promised, and what came of it."""
    ratios = sorted(outcome.ratio for outcome in outcomes)
    count = len(ratios)
    return {
        "points": count,
        "at least 0.97 of the best": sum(ratio >= 0.97 for ratio in ratios) / count,
        "below 0.9": sum(ratio < 0.9 for ratio in ratios),
        "least": ratios[0],
        "first percentile": ratios[count // 100],
        "median": ratios[count // 2],
        "median of the sum": sorted(outcome.of_sum for outcome in outcomes)[count // 2],
    }


def plot(outcomes: list[Outcome], path: Path) -> None:
    """The distribution of the ratio, one curve for each receive window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for window in WINDOWS:
        ratios = sorted(o.ratio for o in outcomes if o.point.window == window)
        if ratios:
            shares = [(rank + 1) / len(ratios) for rank in range(len(ratios))]
            axes.step(ratios, shares, where="post", label=f"{window >> 10} KiB")
    axes.axvline(0.97, color="black", linewidth=0.8, linestyle="--")
    axes.set(
        xlabel="goodput, pooled over the best uplink alone",
        ylabel="share of the points at or below",
        xlim=(0.85, 2.1),
        ylim=(0, 1),
    )
    axes.legend(title="receive window")
    axes.grid(alpha=0.3)
    figure.savefig(path)


def main() -> None:
    """Run the grid and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--sample", type=int, help="so many points, drawn from the grid")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="downloads at a point with losses")
    parser.add_argument("--mode", type=Mode, default=Mode.POOLED)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--worst", type=int, default=12, help="how many points to list")
    options = parser.parse_args()
    grid = list(points(options.seed))
    if options.sample:
        grid = Random(options.seed).sample(grid, options.sample)
    with Pool(options.jobs) as pool:
        jobs = [(point, options.seed, options.repeat, options.mode) for point in grid]
        outcomes = pool.map(measure, jobs, chunksize=1)
    for name, value in summary(outcomes).items():
        print(f"{name}: {value:.4g}")
    for outcome in sorted(outcomes, key=lambda outcome: outcome.ratio)[: options.worst]:
        print(
            f"{outcome.ratio:.3f} {outcome.pooled:6.2f} {outcome.alone[0]:6.2f} "
            f"{outcome.alone[1]:6.2f} {outcome.point}"
        )
    if options.json:
        options.json.write_text(json.dumps([_plain(outcome) for outcome in outcomes], indent=1))
    if options.svg:
        plot(outcomes, options.svg)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {"ratio": outcome.ratio, "of_sum": outcome.of_sum, **asdict(outcome)}


if __name__ == "__main__":
    main()
