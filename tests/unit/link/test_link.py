"""The link model: one packet's fate, and what a change does to those under way."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.errors import LocalError
from omtcp.link import (
    Bernoulli,
    DropReason,
    GilbertElliott,
    Link,
    LinkConfig,
    Pattern,
    Pipe,
    bdp_bytes,
)

MS = 1_000_000
FAST = LinkConfig(rate_bps=8_000_000, delay_ns=10 * MS)  # one byte a microsecond


def rng() -> Random:
    return Random(1)


def drain(pipe: Pipe[int], now: int) -> list[int]:
    packets = []
    while (packet := pipe.poll_delivery(now)) is not None:
        packets.append(packet)
    return packets


def test_a_packet_takes_its_serialisation_and_the_delay() -> None:
    verdict = Link(FAST, rng()).offer(5 * MS, 1000)
    assert verdict.departure_ns == 6 * MS
    assert verdict.delivery_ns == 16 * MS
    assert verdict.reason is None


def test_packets_queue_behind_one_another_and_the_backlog_shrinks_with_time() -> None:
    link = Link(FAST, rng())
    times = [link.offer(0, 1000).delivery_ns for _ in range(3)]
    assert times == [11 * MS, 12 * MS, 13 * MS]
    assert [link.backlog(at * MS) for at in (0, 1, 2, 3, 4)] == [3000, 2000, 1000, 0, 0]


def test_an_infinitely_fast_link_never_queues() -> None:
    link = Link(LinkConfig(delay_ns=3, queue_bytes=0), rng())
    assert [link.offer(7, 10**9).delivery_ns for _ in range(3)] == [10, 10, 10]
    assert link.backlog(7) == 0


def test_a_full_queue_drops_the_tail_but_an_idle_link_takes_anything() -> None:
    link = Link(LinkConfig(rate_bps=8_000_000, queue_bytes=2500), rng())
    assert link.offer(0, 9000).reason is None
    assert link.offer(0, 1000).reason is DropReason.QUEUE
    assert link.offer(9 * MS, 1000).reason is None
    assert link.offer(9 * MS, 1500).reason is None
    assert link.offer(9 * MS, 1).reason is DropReason.QUEUE
    assert link.counters.dropped == {DropReason.QUEUE: 2}
    assert link.counters.peak_backlog == 9000


def test_a_lost_packet_still_used_the_wire() -> None:
    link = Link(LinkConfig(rate_bps=8_000_000, loss=Pattern(bits=1)), rng())
    assert link.offer(0, 1000).reason is DropReason.LOSS
    assert link.offer(0, 1000).delivery_ns == 2 * MS


def test_a_link_that_is_down_or_a_packet_too_large_costs_no_wire() -> None:
    link = Link(LinkConfig(rate_bps=8_000_000, mtu=1500), rng())
    assert link.offer(0, 1501).reason is DropReason.MTU
    link.configure(0, LinkConfig(rate_bps=8_000_000, up=False))
    assert link.offer(0, 1000).reason is DropReason.DOWN
    assert link.backlog(0) == 0


def test_marks_above_the_threshold_and_only_what_may_be_marked() -> None:
    link = Link(LinkConfig(rate_bps=8_000_000, mark_bytes=1500), rng())
    marks = [link.offer(0, 1000, ect).marked for ect in (True, True, False, True)]
    assert marks == [False, True, False, True]
    assert link.counters.marked == 2


def test_jitter_is_bounded_and_does_not_reorder() -> None:
    link = Link(LinkConfig(delay_ns=100, jitter_ns=50), rng())
    times = [link.offer(now, 1).delivery_ns for now in range(0, 200, 10)]
    assert all(time is not None for time in times)
    assert times == sorted(t for t in times if t is not None)
    assert len({(t or 0) - now for t, now in zip(times, range(0, 200, 10), strict=True)}) > 2


def test_the_delay_may_fall_but_nothing_overtakes() -> None:
    link = Link(LinkConfig(delay_ns=100), rng())
    assert link.offer(0, 1).delivery_ns == 100
    link.configure(1, LinkConfig(delay_ns=10))
    assert link.offer(2, 1).delivery_ns == 100
    assert link.offer(95, 1).delivery_ns == 105


def test_a_new_rate_moves_what_waits_and_not_what_flies() -> None:
    pipe: Pipe[int] = Pipe(FAST, rng())
    for number in range(4):
        pipe.send(0, number, 1000)
    # At 1 ms the first is out and three wait: at half the rate they need 2 ms each.
    pipe.configure(1 * MS, LinkConfig(rate_bps=4_000_000, delay_ns=10 * MS))
    assert pipe.link.backlog(1 * MS) == 3000
    assert pipe.next_delivery() == 11 * MS
    assert drain(pipe, 13 * MS - 1) == [0]
    assert drain(pipe, 13 * MS) == [1]
    assert drain(pipe, 17 * MS) == [2, 3]


def test_an_infinite_rate_empties_the_queue_at_once() -> None:
    pipe: Pipe[int] = Pipe(FAST, rng())
    for number in range(3):
        pipe.send(0, number, 1000)
    pipe.configure(1 * MS, LinkConfig(delay_ns=10 * MS))
    assert pipe.link.backlog(1 * MS) == 0
    assert drain(pipe, 11 * MS) == [0, 1, 2]


@pytest.mark.parametrize("lose_in_flight", [False, True])
def test_a_cut_loses_the_queue_and_what_flies_if_asked(lose_in_flight: bool) -> None:
    pipe: Pipe[int] = Pipe(FAST, rng())
    for number in range(3):
        pipe.send(0, number, 1000)
    down = LinkConfig(rate_bps=8_000_000, delay_ns=10 * MS, up=False)
    pipe.configure(1 * MS, down, lose_in_flight=lose_in_flight)
    assert pipe.send(1 * MS, 9, 1000).reason is DropReason.DOWN
    assert drain(pipe, 99 * MS) == ([] if lose_in_flight else [0])
    assert pipe.counters.dropped[DropReason.CUT] == 3 - (not lose_in_flight)
    pipe.configure(200 * MS, FAST)
    assert pipe.send(200 * MS, 4, 1000).delivery_ns == 211 * MS


def test_a_mark_changes_the_packet_that_comes_out() -> None:
    pipe = Pipe(LinkConfig(rate_bps=8_000_000, mark_bytes=0), rng(), lambda packet: -packet)
    pipe.send(0, 1, 100, True)
    pipe.send(0, 2, 100, False)
    assert drain(pipe, MS) == [-1, 2]


def test_a_pattern_names_the_lost_packets_and_rotates() -> None:
    link = Link(LinkConfig(loss=Pattern(bits=0b1010)), rng())
    lost = [n for n in range(130) if link.offer(0, 1).reason is DropReason.LOSS]
    assert lost == [1, 3, 65, 67, 129]


def test_the_same_loss_model_keeps_its_state_when_other_settings_change() -> None:
    pattern = Pattern(bits=0b10)
    link = Link(LinkConfig(loss=pattern), rng())
    link.offer(0, 1)
    link.configure(0, LinkConfig(loss=pattern, delay_ns=5))
    assert link.offer(0, 1).reason is DropReason.LOSS


def test_independent_losses_come_at_their_rate() -> None:
    link = Link(LinkConfig(loss=Bernoulli(probability=0.1)), rng())
    lost = sum(link.offer(0, 1).reason is DropReason.LOSS for _ in range(10_000))
    assert 900 < lost < 1100


def test_bursts_have_their_mean_length_and_share() -> None:
    link = Link(LinkConfig(loss=GilbertElliott(to_bad=0.01, to_good=0.25)), rng())
    lost = [link.offer(0, 1).reason is DropReason.LOSS for _ in range(50_000)]
    bursts = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    assert 0.03 < sum(lost) / len(lost) < 0.047  # 0.01 / 0.26
    assert 3.5 < sum(lost) / bursts < 4.5


def test_impossible_links_are_refused() -> None:
    for bad in ({"rate_bps": 0}, {"delay_ns": -1}, {"queue_bytes": -1}):
        with pytest.raises(LocalError):
            LinkConfig(**bad)  # type: ignore[arg-type]
    with pytest.raises(LocalError):
        Bernoulli(probability=1.5)
    with pytest.raises(LocalError):
        GilbertElliott(to_bad=0.1, to_good=-0.1)
    with pytest.raises(LocalError):
        Pattern(bits=1 << 64)


def test_the_bandwidth_delay_product() -> None:
    assert bdp_bytes(50_000_000, 20 * MS) == 125_000
    assert bdp_bytes(50_000_000, 20 * MS, 2.0) == 250_000
    assert bdp_bytes(1, 1) == 1


configs = st.builds(
    LinkConfig,
    rate_bps=st.none() | st.integers(10_000, 10**9),
    delay_ns=st.integers(0, 50 * MS),
    jitter_ns=st.integers(0, 5 * MS),
    queue_bytes=st.none() | st.integers(0, 100_000),
    loss=st.none() | st.builds(Bernoulli, probability=st.floats(0, 1)),
    up=st.booleans(),
)
arrivals = st.lists(
    st.tuples(st.integers(0, 3 * MS), st.integers(1, 9000), st.none() | configs), max_size=60
)


@given(config=configs, arrivals=arrivals, lose=st.booleans(), seed=st.integers())
def test_packets_are_conserved_and_in_order_whatever_changes(
    config: LinkConfig, arrivals: list[tuple[int, int, LinkConfig | None]], lose: bool, seed: int
) -> None:
    pipe: Pipe[int] = Pipe(config, Random(seed))
    now, came = 0, []
    for number, (wait, size, new) in enumerate(arrivals):
        now += wait
        came += drain(pipe, now)
        if new is not None:
            pipe.configure(now, new, lose_in_flight=lose)
        verdict = pipe.send(now, number, size)
        assert (verdict.delivery_ns is None) == (verdict.reason is not None)
        assert verdict.delivery_ns is None or verdict.delivery_ns >= now
    due = pipe.next_delivery()
    while due is not None:
        assert due >= now
        now = due
        came += drain(pipe, now)
        due = pipe.next_delivery()
    counters = pipe.counters
    assert came == sorted(came)
    assert len(came) == counters.delivered_packets
    assert counters.offered_packets == len(arrivals)
    assert counters.delivered_packets + sum(counters.dropped.values()) == len(arrivals)


@given(
    rate=st.integers(100_000, 10**9),
    queue=st.integers(3000, 200_000),
    sizes=st.lists(st.integers(40, 1500), min_size=50, max_size=300),
)
def test_a_saturated_link_runs_at_its_rate_within_its_queue(
    rate: int, queue: int, sizes: list[int]
) -> None:
    link = Link(LinkConfig(rate_bps=rate, queue_bytes=queue), rng())
    now, last, carried = 0, 0, 0
    for size in sizes:
        while link.backlog(now) + size > queue:  # offer the next as soon as there is room
            now += -(-size * 8_000_000_000 // rate)
        verdict = link.offer(now, size)
        assert verdict.delivery_ns is not None
        assert link.backlog(now) <= queue
        last, carried = verdict.delivery_ns, carried + size
    exact = carried * 8_000_000_000 / rate
    assert exact <= last <= exact + len(sizes)
    assert link.counters.peak_backlog <= queue
