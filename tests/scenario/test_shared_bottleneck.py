"""Shared bottlenecks are found, others are not, and the connection behaves accordingly."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from omtcp.core.config import Config, Coupling, Mode
from omtcp.link import LinkConfig
from omtcp.link.config import bdp_bytes
from omtcp.link.loss import Bernoulli
from omtcp.sim import Pair, SharedLink
from omtcp.trace.events import BottlenecksJudged, Event

MS = 1_000_000
SECOND = 1000 * MS
DATA = memoryview(bytes(64 << 20))


@dataclass
class Network:
    """Paths into bottlenecks of 20 Mbit/s, RTT 25 ms, and what the connection makes of them."""

    leads_to: list[int]
    """The bottleneck of each path."""
    rivals: int = 0
    """Connections of others through each bottleneck, which are there half a second earlier."""
    loss: float = 0.0
    """Of packets that pass the first bottleneck."""
    jitter_ms: int = 0
    queue: float = 1.0
    coupling: Coupling = Coupling.AUTO
    verdicts: list[tuple[float, tuple[tuple[int, ...], ...]]] = field(default_factory=list)

    def run(self, seconds: float) -> float:
        """Mbit/s of the connection."""
        links = [self._bottleneck(i) for i in range(max(self.leads_to) + 1)]
        delay = LinkConfig(delay_ns=11_500_000, jitter_ns=self.jitter_ms * MS)
        pair = Pair(
            [delay] * len(self.leads_to),
            back=LinkConfig(delay_ns=12_500_000, jitter_ns=MS),
            config=Config(mode=Mode.POOLED, coupling=self.coupling),
            behind=[links[i] for i in self.leads_to],
            sink=self._take,
        )
        for i in range(self.rivals):
            for link in links:
                pair.compete(link, DATA, delay_ns=11_500_000, back_ns=12_500_000, start=37 * i * MS)
        pair.client.keep = False
        pair.serve(DATA)
        pair.run(seconds=0.5)
        pair.connect()
        pair.run(seconds=seconds - 0.5)
        return pair.client.total * 8 / (seconds - 0.5) / 1e6

    def _bottleneck(self, index: int) -> SharedLink:
        config = LinkConfig(
            rate_bps=20_000_000,
            delay_ns=MS,
            queue_bytes=bdp_bytes(20_000_000, 25 * MS, self.queue),
            loss=Bernoulli(probability=self.loss) if self.loss and index == 0 else None,
        )
        return SharedLink(config, seed=index)

    def _take(self, now: int, _: int, event: Event) -> None:
        if isinstance(event, BottlenecksJudged):
            self.verdicts.append(((now - 1.5 * SECOND) / SECOND, event.groups))


@pytest.mark.parametrize(
    ("rivals", "queue"), [(0, 0.5), (0, 2.0), (1, 0.5), (1, 2.0), (4, 0.5), (4, 1.0)]
)
def test_two_paths_with_one_bottleneck_are_found(rivals: int, queue: float) -> None:
    """Within about two seconds; within five where the first test of a suspicion fails."""
    network = Network([0, 0], rivals=rivals, queue=queue)
    network.run(6.0)
    at, groups = network.verdicts[-1]
    assert groups == ((0, 1),)
    assert at < 5.0


def test_most_are_found_within_two_seconds() -> None:
    networks = [Network([0, 0], rivals=1, queue=queue) for queue in (0.4, 0.5, 0.6, 0.75, 1.0)]
    for network in networks:
        network.run(2.5)
    assert sum(network.verdicts == [] for network in networks) <= 1


def test_so_are_four() -> None:
    network = Network([0] * 4, rivals=2)
    network.run(4.0)
    assert network.verdicts[-1][1] == ((0, 1, 2, 3),)


def test_and_two_of_three() -> None:
    network = Network([0, 1, 0], rivals=1)
    network.run(5.0)
    assert network.verdicts[-1][1] == ((0, 2), (1,))


@pytest.mark.parametrize(
    "network",
    [
        Network([0, 1]),
        Network([0, 1], queue=0.5),
        Network([0, 1, 2, 3]),
        Network([0, 1], rivals=1),
        Network([0, 1], rivals=3),
        Network([0, 1], jitter_ms=5),
    ],
    ids=["equal", "short queues", "four", "a rival each", "three rivals each", "jitter"],
)
def test_equal_links_are_not_taken_for_one(network: Network) -> None:
    network.run(6.0)
    assert network.verdicts == []


def test_random_loss_is_not_taken_for_it_and_costs_nothing() -> None:
    auto = Network([0, 1], loss=0.01)
    uncoupled = Network([0, 1], loss=0.01, coupling=Coupling.UNCOUPLED)
    assert auto.run(4.0) >= 0.98 * uncoupled.run(4.0)
    assert auto.verdicts == []


def test_equal_links_carry_as_much_as_uncoupled() -> None:
    uncoupled = Network([0, 1], coupling=Coupling.UNCOUPLED)
    assert Network([0, 1]).run(4.0) >= 0.98 * uncoupled.run(4.0)


def test_a_shared_bottleneck_is_shared_fairly() -> None:
    """Four paths through one queue beside two rivals get about one flow's part of it."""
    network = Network([0] * 4, rivals=2)
    assert 0.7 * 20 / 3 < network.run(15.0) < 1.3 * 20 / 3
    uncoupled = Network([0] * 4, rivals=2, coupling=Coupling.UNCOUPLED)
    assert uncoupled.run(6.0) > 1.5 * 20 / 3
