"""Whether `auto` finds shared bottlenecks, soon enough, and no others: over many kinds of links.

Simulated, deterministic, about ten minutes: python bench/bottlenecks.py [shared] [apart]
"""

import sys
from collections.abc import Iterable
from typing import NamedTuple

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.link.config import bdp_bytes
from omtcp.sim import Pair, SharedLink
from omtcp.sim.pair import START
from omtcp.trace.events import BottlenecksJudged, Event

MS = 1_000_000
BEGIN_NS = 200 * MS
FAIR_FROM_S = 5.0
DATA = memoryview(bytes(256 << 20))


class Cell(NamedTuple):
    """Paths into one bottleneck or into one each, and others' connections through each of them."""

    shared: bool
    paths: int
    rivals: int
    mbits: int
    """Of each bottleneck."""
    rtt_ms: int
    queue: float = 1.0
    """In bandwidth-delay products."""
    apart_ms: int = 0
    """By how much each path is longer than the one before it."""
    seed: int = 1
    seconds: float = 20.0


SHARED = [
    Cell(True, paths, rivals, mbits, rtt_ms, queue)
    for mbits, rtt_ms, queue in ((20, 25, 1), (10, 60, 0.5), (10, 40, 2), (15, 100, 1))
    for paths, rivals in ((2, 1), (2, 4), (4, 1), (4, 4))
]
SHARED += [Cell(True, 2, 10, 20, 40), Cell(True, 4, 10, 20, 40)]
SHARED += [Cell(True, 2, 4, 20, 40, apart_ms=10), Cell(True, 4, 1, 20, 40, apart_ms=10)]
SHARED += [Cell(True, 2, 0, 10, 40, queue, seconds=10) for queue in (0.5, 1, 2, 4)]
APART = [
    Cell(False, paths, rivals, 10, rtt_ms, queue, seed=seed, seconds=10)
    for seed, (rtt_ms, queue) in enumerate(((20, 1), (25, 2), (40, 0.5), (60, 1), (100, 1)), 1)
    for paths, rivals in ((2, 0), (4, 0), (2, 1), (4, 1), (2, 4))
]
APART += [Cell(False, 2, rivals, 20, 40, apart_ms=10, seconds=10) for rivals in (0, 1, 4)]


class Outcome(NamedTuple):
    """What came of it."""

    early: float
    """Over the mean rival's goodput, or without rivals over the links' rates: the whole time."""
    late: float
    """The same from FAIR_FROM_S on."""
    verdicts: list[tuple[float, tuple[tuple[int, ...], ...]]]
    """When, in seconds since the connection began, which paths were grouped how."""


class Trial:
    """One cell, run once."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.verdicts: list[tuple[float, tuple[tuple[int, ...], ...]]] = []
        queue = bdp_bytes(cell.mbits * 1_000_000, cell.rtt_ms * MS, cell.queue)
        config = LinkConfig(rate_bps=cell.mbits * 1_000_000, delay_ns=MS, queue_bytes=queue)
        count = 1 if cell.shared else cell.paths
        self.links = [SharedLink(config, seed=cell.seed + i) for i in range(count)]
        delay_ns = cell.rtt_ms * MS // 2
        back = LinkConfig(delay_ns=delay_ns, jitter_ns=MS)
        delays = [delay_ns - MS + i * cell.apart_ms * MS for i in range(cell.paths)]
        self.pair = Pair(
            [LinkConfig(delay_ns=delay) for delay in delays],
            back=back,
            config=Config(mode=Mode.POOLED),
            client_config=Config(receive_buffer_max=6 << 20),
            seed=cell.seed,
            behind=[self.links[i % count] for i in range(cell.paths)],
            sink=self._take,
        )
        self.pair.client.keep = False
        self.rivals = []
        for i in range(cell.rivals * count):
            rival = self.pair.compete(
                self.links[i % count],
                DATA,
                delay_ns=delay_ns - MS,
                back_ns=delay_ns,
                start=BEGIN_NS + 37 * i * MS % 150,
            )
            rival.configure(-1, back)
            self.rivals.append(rival)

    def _take(self, now: int, _: int, event: Event) -> None:
        if isinstance(event, BottlenecksJudged):
            self.verdicts.append(((now - START - BEGIN_NS) / 1e9, event.groups))

    def run(self) -> Outcome:
        self.pair.serve(DATA, close=False)
        self.pair.at(BEGIN_NS, lambda: (self.pair.connect(), None)[1])
        self.pair.run(seconds=BEGIN_NS / 1e9 + FAIR_FROM_S)
        before = self._received()
        self.pair.run(seconds=self.cell.seconds - FAIR_FROM_S)
        after = self._received()
        late = [b - a for a, b in zip(before, after, strict=True)]
        return Outcome(
            self._ratio(after, self.cell.seconds),
            self._ratio(late, self.cell.seconds - FAIR_FROM_S),
            self.verdicts,
        )

    def _received(self) -> list[int]:
        return [self.pair.client.total, *(rival.client.total for rival in self.rivals)]

    def _ratio(self, received: list[int], seconds: float) -> float:
        ours, *theirs = received
        if not theirs:
            return ours * 8 / seconds / 1e6 / (self.cell.mbits * len(self.links))
        return ours * len(theirs) / max(sum(theirs), 1)


def told(verdicts: Iterable[tuple[float, tuple[tuple[int, ...], ...]]]) -> str:
    """As `1.4 s 01 2`: paths 0 and 1 share a bottleneck, 2 has its own."""
    return ", ".join(
        f"{at:.1f} s " + " ".join("".join(map(str, group)) for group in groups)
        for at, groups in verdicts
    )


def main() -> None:
    """Print Markdown tables."""
    wanted = sys.argv[1:] or ["shared", "apart"]
    for title, cells in (("shared", SHARED), ("apart", APART)):
        if title not in wanted:
            continue
        print("| paths | rivals | Mbit/s | ms | queue | whole | from 5 s on | verdicts |")
        print("|---|---|---|---|---|---|---|---|")
        for cell in cells:
            result = Trial(cell).run()
            ms = f"{cell.rtt_ms}" + (f"+{cell.apart_ms}" if cell.apart_ms else "")
            print(
                f"| {cell.paths} | {cell.rivals} | {cell.mbits} | {ms} | {cell.queue:g} |"
                f" {result.early:.2f} | {result.late:.2f} | {told(result.verdicts) or 'none'} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    main()
