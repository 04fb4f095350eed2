"""A link that paths and rivals have in common."""

import pytest

from omtcp.core.config import Config, Mode
from omtcp.link import LinkConfig
from omtcp.sim import Pair, SharedLink
from omtcp.wire.tcp import Segment

MS = 1_000_000
DATA = memoryview(bytes(64 << 20))
POOLED = Config(mode=Mode.POOLED)


def bottleneck(mbits: int = 20) -> SharedLink:
    return SharedLink(LinkConfig(rate_bps=mbits * 1_000_000, delay_ns=MS, queue_bytes=mbits * 2500))


def pair(*behind: SharedLink | None) -> Pair:
    made = Pair([LinkConfig(delay_ns=9 * MS)] * len(behind), config=POOLED, behind=behind)
    made.client.keep = False
    made.connect()
    made.serve(DATA)
    return made


def mbits(p: Pair, seconds: float) -> float:
    before = p.client.total
    p.run(seconds=seconds)
    return (p.client.total - before) * 8 / seconds / 1e6


def test_two_paths_through_one_link_get_its_rate() -> None:
    link = bottleneck()
    assert 18 < mbits(pair(link, link), 2) < 20


def test_and_through_two_get_both() -> None:
    assert 34 < mbits(pair(bottleneck(), bottleneck()), 2) < 40


def test_a_path_that_leads_past_it_is_not_held_back() -> None:
    made = pair(bottleneck(), None)
    made.forward[1].configure(0, LinkConfig(rate_bps=30_000_000, delay_ns=9 * MS))
    assert mbits(made, 2) > 40


def test_its_delay_comes_on_top() -> None:
    link = bottleneck()
    made = pair(link)
    made.run(seconds=0.1)
    assert made.accepted is not None
    assert made.accepted.sender is not None
    rtt = made.accepted.sender.subflows[0].rtt.min_rtt_ns
    assert 19 * MS <= rtt < 21 * MS


def test_bytes_arrive_unharmed_and_in_their_own_connection() -> None:
    link = bottleneck()
    made = Pair([LinkConfig(delay_ns=9 * MS)] * 2, config=POOLED, behind=[link, link])
    rival = made.compete(link, b"theirs" * 50_000, delay_ns=9 * MS, back_ns=10 * MS)
    rival.client.keep = True
    made.connect()
    made.serve(b"ours" * 80_000)
    assert made.run(lambda: made.client.ended and rival.client.ended, seconds=5)
    assert made.client.data == b"ours" * 80_000
    assert rival.client.data == b"theirs" * 50_000


def test_rivals_begin_when_told_and_take_their_part() -> None:
    link = bottleneck()
    made = pair(link)
    rival = made.compete(link, DATA, delay_ns=9 * MS, back_ns=10 * MS, start=1000 * MS)
    made.run(seconds=1)
    assert rival.client.total == 0
    theirs = mbits(rival_and(made, rival), 8)
    assert 5 < theirs < 15


def rival_and(made: Pair, rival: Pair) -> Pair:
    """The rival, run by the pair that it competes with."""
    rival.run = made.run  # type: ignore[method-assign]
    return rival


@pytest.mark.parametrize("rivals", [0, 3])
def test_the_same_seed_gives_the_same_run(rivals: int) -> None:
    def trace() -> list[tuple[int, int, int]]:
        link = bottleneck()
        seen: list[tuple[int, int, int]] = []
        made = Pair([LinkConfig(delay_ns=9 * MS)] * 2, config=POOLED, behind=[link, link], seed=4)
        made.arrival_taps.append(lambda now, path, segment: seen.append(row(now, path, segment)))
        for _ in range(rivals):
            made.compete(link, DATA, delay_ns=9 * MS, back_ns=10 * MS)
        made.connect()
        made.serve(DATA)
        made.run(seconds=0.7)
        return seen

    def row(now: int, path: int, segment: Segment) -> tuple[int, int, int]:
        return now, path, segment.seq

    first = trace()
    assert len(first) > 300
    assert first == trace()
