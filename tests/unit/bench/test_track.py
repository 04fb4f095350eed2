"""The model network and receiver that ACKs are costed in."""

import pytest

from omtcp.bench.track import MSS, Receiver, Track


def test_every_second_segment_draws_an_ack() -> None:
    receiver = Receiver()
    assert not receiver.arrive(0, 10)
    assert receiver.arrive(10, 20)
    assert receiver.blocks() == []
    assert receiver.next == 20
    assert not receiver.arrive(20, 30)


def test_blocks_name_the_newest_island_first_and_at_most_four() -> None:
    receiver = Receiver()
    for start in (100, 200, 300, 400, 500):
        receiver.arrive(start, start + 10)
    assert receiver.blocks() == [(500, 510), (400, 410), (300, 310), (200, 210)]
    receiver.arrive(110, 120)
    assert receiver.blocks()[:2] == [(100, 120), (500, 510)]


def test_islands_join_and_are_swallowed_by_what_is_complete() -> None:
    receiver = Receiver()
    receiver.arrive(10, 20)
    receiver.arrive(30, 40)
    receiver.arrive(20, 30)
    assert receiver.blocks() == [(10, 40)]
    receiver.arrive(0, 10)
    assert receiver.next == 40
    assert receiver.blocks() == []


def test_what_arrives_twice_changes_nothing() -> None:
    receiver = Receiver()
    receiver.arrive(0, 20)
    receiver.arrive(0, 10)
    assert receiver.next == 20


@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_window_is_kept_under_way_whatever_is_lost(loss: float) -> None:
    window = 256 * MSS
    track = Track(window, loss)
    costs = track.run(400, warm=400)
    assert len(costs.ns) == 400
    assert costs.mean_us > 0
    assert costs.p99_us >= costs.mean_us or loss == 0.0
    assert costs.most >= (8 if loss else 1)
    assert track.in_flight > window // 2
    assert track.acknowledged > window


def test_the_same_seed_is_the_same_track() -> None:
    tracks = [Track(64 * MSS, 0.05, seed=7) for _ in range(2)]
    for track in tracks:
        track.run(300)
    assert tracks[0].acknowledged == tracks[1].acknowledged
    assert tracks[0].in_flight == tracks[1].in_flight
