"""The same bytes over every path: what it gains, what it costs, and with whom it works."""

from __future__ import annotations

from random import Random

import pytest

from omtcp.core.config import Config, Mode, Policy
from omtcp.core.connection import Connection
from omtcp.core.sender import Sender
from omtcp.link import Bernoulli, LinkConfig, bdp_bytes
from omtcp.sim.pair import BACK, START, Pair
from omtcp.trace.events import Event, LossDetected, PolicyChanged, WindowChanged
from omtcp.wire.seq import seq_diff
from omtcp.wire.tcp import Segment

MS = 1_000_000
SECOND = 1000 * MS
REDUNDANT = Config(mode=Mode.POOLED, policy=Policy.REDUNDANT)
POOLED = Config(mode=Mode.POOLED)


def make_link(mbps: float = 20, delay_ms: int = 15, loss: float = 0.0) -> LinkConfig:
    """A queue of one bandwidth-delay product."""
    rate, delay = int(mbps * 1e6), delay_ms * MS
    return LinkConfig(
        rate_bps=rate,
        delay_ns=delay,
        queue_bytes=bdp_bytes(rate, 2 * delay),
        loss=Bernoulli(probability=loss) if loss else None,
    )


class Download:
    """One transfer of so many bytes, compared at the end."""

    def __init__(
        self,
        config: Config,
        *links: LinkConfig,
        size: int = 3_000_000,
        seed: int = 1,
        client: Config | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.pair = Pair(
            links,
            config=config,
            client_config=client,
            seed=seed,
            sink=lambda _now, _identity, event: self.events.append(event),
        )
        self.data = Random(seed).randbytes(size)
        self.pair.connect()
        self.pair.serve(self.data)

    def finish(self) -> float:
        """Run to the end; the goodput in Mbit/s."""
        pair = self.pair
        assert pair.run(lambda: pair.client.total >= len(self.data), seconds=120)
        assert bytes(pair.client.data) == self.data
        return len(self.data) * 8e3 / (pair.client.arrivals[-1].now - START)

    @property
    def sender(self) -> Sender:
        accepted = self.pair.accepted
        assert accepted is not None
        assert accepted.sender is not None
        return accepted.sender

    def set_policy(self, policy: Policy) -> None:
        self.pair.server.set_policy(self.pair.now, policy)
        self.pair.touched = True

    def cut(self, path: int, at: int) -> None:
        link = LinkConfig(rate_bps=20_000_000, delay_ns=15 * MS, up=False)
        self.pair.at(at, lambda: self.pair.configure(path, link))


def waits(config: Config, seed: int, *, size: int, count: int) -> list[int]:
    """How long each of `count` answers of `size` bytes took to arrive, ns, at 5 % loss."""
    pair = Pair([make_link(loss=0.05)] * 2, config=config, seed=seed)

    def answer(connection: Connection, data: bytes) -> None:
        pair.write(connection, bytes(size))

    pair.on_request = answer  # type: ignore[method-assign]
    pair.connect()
    asked: list[int] = []

    def ask() -> None:
        asked.append(pair.now)
        pair.send(bytes(100))

    for index in range(count):
        pair.at((500 + 500 * index) * MS, ask)
    assert pair.run(lambda: pair.client.total >= size * count, seconds=120)
    arrivals = pair.client.arrivals
    ends = [
        next(each.now for each in arrivals if each.total >= size * (index + 1))
        for index in range(count)
    ]
    return [end - start for start, end in zip(asked, ends, strict=True)]


def percentile(values: list[int], percent: int) -> float:
    """In milliseconds."""
    return sorted(values)[len(values) * percent // 100] / MS


def test_small_answers_wait_less_for_what_is_lost() -> None:
    """5 % lost on either path, independently: 300 answers of 7 segments, seeded."""
    taken = {
        name: [each for seed in range(6) for each in waits(config, seed, size=10_000, count=50)]
        for name, config in (
            ("redundant", REDUNDANT),
            ("pooled", POOLED),
            ("primary", Config(mode=Mode.PRIMARY)),
        )
    }
    for other in ("pooled", "primary"):
        assert percentile(taken["redundant"], 99) < 0.75 * percentile(taken[other], 99)
        assert percentile(taken["redundant"], 90) < percentile(taken[other], 90)


def silences(config: Config, path: int) -> list[float]:
    """The longest silence around a cut of `path` at four moments of a download, ms, sorted."""
    found = []
    for at in range(1000, 1600, 150):
        download = Download(config, make_link(), make_link(), size=6_000_000)
        download.cut(path, at * MS)
        download.finish()
        found.append(download.pair.client.longest_silence(START + (at - 20) * MS) / MS)
    return sorted(found)


@pytest.mark.parametrize("path", [0, 1])
def test_a_cut_costs_no_time(path: int) -> None:
    redundant, pooled = silences(REDUNDANT, path), silences(POOLED, path)
    assert redundant[-1] < 10
    assert pooled[len(pooled) // 2] > 40


@pytest.mark.parametrize(
    ("links", "best"),
    [
        ((make_link(), make_link()), 0),
        ((make_link(20), make_link(5)), 0),
        ((make_link(5, 5), make_link(20, 40)), 1),
        ((make_link(20), make_link(20, 60)), 0),
        ((make_link(20, loss=0.01), make_link(20, loss=0.01)), 0),
        ((make_link(), make_link(10), make_link(5)), 0),
    ],
)
def test_it_is_as_fast_as_the_best_path(links: tuple[LinkConfig, ...], best: int) -> None:
    alone = Download(Config(mode=Mode.SINGLE), links[best], size=5_000_000).finish()
    assert Download(REDUNDANT, *links, size=5_000_000).finish() > 0.9 * alone


def test_each_path_pays_for_its_own_losses() -> None:
    download = Download(
        REDUNDANT, make_link(loss=0.02), make_link(loss=0.05), make_link(), size=2_000_000
    )
    download.finish()
    found = [0, 0, 0]
    for event in download.events:
        if isinstance(event, LossDetected):
            found[event.path] += event.end - event.start
    for path, subflow in enumerate(download.sender.subflows):
        dropped = sum(download.pair.forward[path].link.counters.dropped.values())
        assert found[path] / subflow.mss == pytest.approx(dropped, abs=4, rel=0.15)


def test_copies_are_not_taken_for_needless_repetitions() -> None:
    download = Download(REDUNDANT, make_link(), make_link(20, 25))
    download.finish()
    for subflow in download.sender.subflows:
        assert subflow.delivered > 2_500_000
        assert not subflow.rack.reordering_seen
        assert subflow.resent_bytes < 100_000
    undone = [
        event
        for event in download.events
        if isinstance(event, WindowChanged) and event.reason == "undo"
    ]
    assert not undone


@pytest.mark.parametrize("seed", range(4))
def test_switched_while_it_runs(seed: int) -> None:
    random = Random(seed)
    links = [make_link(random.choice((5, 20)), random.choice((5, 15, 40)), 0.01) for _ in range(3)]
    download = Download(POOLED, *links, seed=seed)
    wanted = Policy.REDUNDANT
    for at in range(100, 3000, 100):
        download.pair.at(at * MS, lambda wanted=wanted: download.set_policy(wanted))  # type: ignore[misc]
        wanted = Policy.POOLED if wanted is Policy.REDUNDANT else Policy.REDUNDANT
    download.finish()
    changes = [event.policy for event in download.events if isinstance(event, PolicyChanged)]
    assert changes[:3] == ["redundant", "pooled", "redundant"]


def test_a_switch_counts_at_once_and_for_new_connections() -> None:
    download = Download(POOLED, make_link(), make_link(), size=6_000_000)
    pair = download.pair
    pair.at(500 * MS, lambda: download.set_policy(Policy.REDUNDANT))
    pair.at(1000 * MS, lambda: None)
    pair.run(lambda: pair.elapsed >= 600 * MS, seconds=5)
    before = [subflow.sent_bytes for subflow in download.sender.subflows]
    una = download.sender.board.una
    pair.run(lambda: pair.elapsed >= 1000 * MS, seconds=5)
    delivered = download.sender.board.una - una
    for subflow, sent in zip(download.sender.subflows, before, strict=True):
        assert subflow.sent_bytes - sent > 0.8 * delivered
    download.finish()
    pair.connect()
    pair.run(lambda: len(pair.connections) > 1, seconds=1)
    sender = pair.connections[1].sender
    assert sender is not None
    assert sender.transmission.redundancy is not None


@pytest.mark.parametrize(
    "client",
    [
        Config(receive_buffer=16 << 10, receive_buffer_max=32 << 10),
        Config(timestamps=False),
        Config(sack=False),
        Config(sack=False, timestamps=False),
    ],
    ids=["window", "no-timestamps", "no-sack", "neither"],
)
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_receivers_of_all_kinds(client: Config, loss: float) -> None:
    links = [make_link(loss=loss), make_link(loss=loss)]
    alone = Download(Config(mode=Mode.SINGLE), links[0], size=1_500_000, client=client).finish()
    assert Download(REDUNDANT, *links, size=1_500_000, client=client).finish() > 0.9 * alone


def without_dsacks(pair: Pair, *, pings_answered: bool) -> None:
    """Take the DSACKs out of the client's ACKs, but maybe for those of single bytes."""

    def strip(_: int, path: int, segment: Segment) -> None:
        if path != BACK or not segment.sack:
            return
        start, end = segment.sack[0]
        if pings_answered and seq_diff(end, start) == 1:
            return
        inside = [
            seq_diff(start, low) >= 0 and seq_diff(high, end) >= 0
            for low, high in segment.sack[1:2]
        ]
        if seq_diff(start, segment.ack) < 0 or any(inside):
            segment.sack = segment.sack[1:]

    pair.taps.append(strip)


@pytest.mark.parametrize("pings_answered", [True, False])
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_receiver_that_does_not_tell_of_duplicates(pings_answered: bool, loss: float) -> None:
    links = [make_link(loss=loss), make_link(loss=loss)]
    alone = Download(Config(mode=Mode.SINGLE), links[0], size=1_500_000).finish()
    download = Download(REDUNDANT, *links, size=1_500_000)
    without_dsacks(download.pair, pings_answered=pings_answered)
    assert download.finish() > 0.75 * alone


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_no_path_exceeds_its_window(loss: float) -> None:
    download = Download(REDUNDANT, make_link(loss=loss), make_link(5), make_link(20, 60))
    sent = [0, 0, 0]

    def check(_: int, path: int, segment: Segment) -> None:
        if path == BACK or segment.length < 2:  # acknowledgments and pings
            return
        subflow = download.sender.subflows[path]
        assert subflow.space >= 0 or subflow.in_flight <= subflow.mss
        sent[path] += segment.length

    download.pair.taps.append(check)
    download.finish()
    assert min(sent) > 200_000


def test_what_fell_behind_is_passed_over() -> None:
    """A path that is much slower goes on with what the receiver does not have."""
    download = Download(REDUNDANT, make_link(40), make_link(2), size=6_000_000)
    late: list[int] = []

    def tap(_: int, path: int, segment: Segment) -> None:
        if path == 1 and segment.length > 1:
            offset = segment.seq - download.pair.connections[0]._composer.iss - 1
            late.append(offset - download.sender.board.una)

    download.pair.taps.append(tap)
    download.finish()
    assert len(late) > 100
    assert min(late) >= 0
