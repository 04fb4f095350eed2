"""The simulator itself: what it promises to those who write scenarios with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from omtcp.core.config import Config, Mode
from omtcp.core.connection import Connection
from omtcp.errors import LocalError
from omtcp.link import LinkConfig
from omtcp.link.spec import parse_link
from omtcp.sim import BACK, Pair
from omtcp.trace.events import Event
from omtcp.wire.tcp import ACK, FIN, PSH, SYN, Segment

MS, SECOND = 1_000_000, 1_000_000_000
LINK = parse_link("20mbit,10ms").resolve(10 * MS)
DATA = bytes(range(251)) * 4000


def download(pair: Pair, data: bytes = DATA) -> None:
    pair.serve(data)
    pair.connect()
    assert pair.run(lambda: pair.client.ended, seconds=30)
    assert pair.client.data == data


def test_a_download() -> None:
    pair = Pair([LINK])
    download(pair)
    assert pair.client.total == len(DATA)
    times = [arrival.now for arrival in pair.client.arrivals]
    totals = [arrival.total for arrival in pair.client.arrivals]
    assert times == sorted(times)
    assert totals == sorted(totals)
    assert pair.client.received_by(times[3]) == totals[3]
    assert pair.client.received_by(0) == 0
    assert pair.client.longest_silence() == max(b - a for a, b in pairwise(times))


def test_time_is_the_links() -> None:
    """A byte takes the three one-way delays of SYN, SYN-ACK and data, and no more."""
    pair = Pair([LinkConfig(delay_ns=10 * MS)], back=LinkConfig(delay_ns=30 * MS))
    download(pair, b"x")
    assert pair.client.arrivals[0].now - SECOND == (30 + 10 + 30 + 10) * MS


def test_a_link_is_never_faster_than_its_rate() -> None:
    pair = Pair([LINK])
    download(pair)
    assert pair.client.total * 8 / pair.elapsed < 0.02


def test_the_same_seed_is_the_same_run() -> None:
    def trace(seed: int) -> list[tuple[int, Event]]:
        seen: list[tuple[int, Event]] = []
        link = parse_link("20mbit,10ms,loss=2%").resolve(10 * MS)
        pair = Pair([link, link], seed=seed, sink=lambda now, _, event: seen.append((now, event)))
        download(pair)
        return seen

    assert trace(3) == trace(3)
    assert trace(3) != trace(4)


def test_requests_and_responses_on_one_connection() -> None:
    pair = Pair([LINK])

    def answer(connection: Connection, data: bytes) -> None:
        pair.write(connection, data * 1000, close=data == b"last")

    pair.on_request = answer  # type: ignore[method-assign]
    pair.connect()
    for request, total in ((b"one", 3000), (b"two", 6000), (b"last", 10_000)):
        pair.send(request)
        assert pair.run(lambda total=total: pair.client.total == total, seconds=5)  # type: ignore[misc]
    assert pair.run(lambda: pair.client.ended, seconds=5)
    assert pair.client.data == b"one" * 1000 + b"two" * 1000 + b"last" * 1000


def test_an_upload() -> None:
    pair = Pair([LINK, LINK], back=parse_link("10mbit,10ms,loss=1%").resolve(10 * MS))
    got = bytearray()
    pair.on_request = lambda connection, data: got.extend(data)  # type: ignore[method-assign]
    pair.connect()
    pair.run(lambda: pair.accepted is not None)
    pair.send(DATA, close=True)
    assert pair.run(lambda: pair.client.closed is not None, seconds=60)
    assert got == DATA


def test_several_clients_share_a_link() -> None:
    pair = Pair([LINK])
    pair.on_accept = (  # type: ignore[method-assign]
        lambda connection: pair.write(connection, DATA, close=True)
    )
    for _ in range(3):
        pair.connect()
    assert pair.run(lambda: all(client.ended for client in pair.clients), seconds=30)
    assert [client.data == DATA for client in pair.clients] == [True] * 3
    assert len(pair.connections) == 3
    assert pair.elapsed > 3 * len(DATA) * 400


def test_cross_traffic_takes_its_part() -> None:
    alone, loaded = Pair([LINK]), Pair([LINK])
    source = loaded.cross_traffic(0, 15_000_000, end=60 * SECOND)
    download(alone)
    download(loaded)
    assert loaded.elapsed > 2 * alone.elapsed
    assert source.offered > 100
    assert source.lost >= 0


def test_a_client_that_pauses_and_one_that_sips() -> None:
    pair = Pair([LINK], client_config=Config(receive_buffer=65_536, receive_buffer_max=65_536))
    pair.serve(DATA)
    pair.connect()
    pair.pause()
    assert not pair.run(lambda: pair.client.total > 0, seconds=2)
    assert pair.read(100) == 100
    assert pair.client.total == 100
    pair.resume()
    assert pair.run(lambda: pair.client.ended, seconds=30)
    assert pair.client.data == DATA


def test_actions_happen_at_their_time_and_in_their_order() -> None:
    pair = Pair([LINK])
    done: list[tuple[str, int]] = []
    pair.at(20 * MS, lambda: done.append(("late", pair.elapsed)))
    pair.at(10 * MS, lambda: done.append(("early", pair.elapsed)))
    pair.at(20 * MS, lambda: done.append(("later", pair.elapsed)))
    pair.every(5 * MS, lambda: len(done) < 2, first=1 * MS)
    pair.run(seconds=1)
    assert done == [("early", 10 * MS), ("late", 20 * MS), ("later", 20 * MS)]


def test_links_change_while_packets_are_on_them() -> None:
    pair = Pair([LINK])
    pair.at(200 * MS, lambda: pair.configure(0, replace(LINK, up=False)))
    pair.at(900 * MS, lambda: pair.configure(0, LINK))
    pair.at(1000 * MS, lambda: pair.configure(BACK, LinkConfig(delay_ns=40 * MS)))
    download(pair)
    assert pair.client.longest_silence() > 700 * MS


def test_taps_see_every_packet_and_filters_drop_them() -> None:
    pair = Pair([LINK, LINK], config=Config(mode=Mode.POOLED))
    sent: list[tuple[int, Segment]] = []
    arrived: list[tuple[int, Segment]] = []
    pair.taps.append(lambda now, path, segment: sent.append((path, segment)))
    pair.arrival_taps.append(lambda now, path, segment: arrived.append((path, segment)))
    pair.path_drops[1].append(lambda now, segment: segment.length > 0)
    pair.drops_back.append(lambda now, segment: bool(segment.flags & SYN) and now == SECOND)
    download(pair)
    assert pair.elapsed > SECOND, "the first SYN was dropped"
    assert any(path == 1 and segment.length for path, segment in sent)
    assert not any(path == 1 and segment.length for path, segment in arrived)
    assert {path for path, _ in arrived} >= {0, BACK}
    assert all(segment.length <= 1460 for _, segment in sent)


def test_super_segments_are_cut_as_offload_does() -> None:
    pair = Pair([LINK])
    sent: list[Segment] = []
    pair.taps.append(lambda now, path, segment: sent.append(segment) if path == 0 else None)
    download(pair)
    data = [segment for segment in sent if segment.length]
    assert any(segment.flags & (PSH | FIN) for segment in data)
    assert all(segment.flags & ACK for segment in data)


def test_a_livelock_is_an_error() -> None:
    pair = Pair([LINK])
    pair.every(1, lambda: True)
    with pytest.raises(LocalError, match="still busy after 1000 steps"):
        pair.run(max_steps=1000)


def test_without_work_time_stands_where_it_was_told() -> None:
    pair = Pair([LINK])
    assert pair.run(seconds=5)
    assert pair.elapsed == 5 * SECOND
