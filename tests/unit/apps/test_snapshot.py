"""Snapshots, and that those of several processes add up."""

from __future__ import annotations

from omtcp.apps.downloads import Download, Downloads
from omtcp.apps.snapshot import MOST_DOWNLOADS, Snapshot
from omtcp.core.stats import ConnectionStats, PathStats, ServerStats, UplinkStats


def path(name: str, state: str = "up") -> PathStats:
    return PathStats(
        name=name,
        state=state,
        cwnd=1,
        srtt_ns=1,
        in_flight=0,
        bytes_sent=7,
        bytes_retransmitted=0,
    )


def download(started_ns: int, peer: str = "192.0.2.9:1") -> Download:
    return Download(
        who=lambda: peer, path="/f", total=10, started_ns=started_ns, backlog=lambda: 0, queued=4
    )


def taken(
    *connections: ConnectionStats, sent: dict[str, int], starts: range = range(0), failed: int = 0
) -> Snapshot:
    downloads = Downloads()
    for start in starts:
        downloads.add(download(start))
    downloads.failed = failed
    uplinks = tuple(
        UplinkStats(name=name, bytes_sent=count, bytes_retransmitted=1)
        for name, count in sent.items()
    )
    return Snapshot.take(ServerStats(connections=connections, uplinks=uplinks), downloads)


ONE = ConnectionStats(peer="192.0.2.9:1", primary=1, paths=(path("a"), path("b", "suspect")))
TWO = ConnectionStats(peer="192.0.2.9:2", primary=0, paths=(path("a"), path("b")))


def test_everything_adds_up() -> None:
    first = taken(ONE, sent={"a": 10, "b": 20}, starts=range(0, 4, 2), failed=1)
    second = taken(TWO, sent={"b": 5, "c": 1}, starts=range(1, 5, 2), failed=2)
    whole = first + second
    assert (whole.connections, whole.active, whole.completed, whole.failed) == (2, 4, 0, 3)
    assert {name: uplink.sent for name, uplink in whole.uplinks.items()} == {
        "a": 10,
        "b": 25,
        "c": 1,
    }
    assert whole.uplinks["b"].states == {"suspect": 1, "up": 1}
    assert whole.uplinks["b"].resent == 2
    assert [whole.uplinks[name].primary_of for name in "abc"] == [1, 1, 0]
    assert [shown.started_ns for shown in whole.downloads] == [0, 1, 2, 3], "oldest first"
    assert whole.downloads[0].primary == 1
    assert whole.downloads[0].paths == ONE.paths


def test_few_downloads_are_told_of_one_by_one() -> None:
    first = taken(sent={}, starts=range(0, 40, 2))
    second = taken(sent={}, starts=range(1, 41, 2))
    assert len(first.downloads) == MOST_DOWNLOADS
    whole = first + second
    assert [shown.started_ns for shown in whole.downloads] == list(range(MOST_DOWNLOADS))
    assert whole.active == 40


def test_paths_over_one_uplink_count_as_one() -> None:
    stats = ServerStats(
        connections=(),
        uplinks=(
            UplinkStats(name="a", bytes_sent=1, bytes_retransmitted=0),
            UplinkStats(name="a", bytes_sent=2, bytes_retransmitted=0),
        ),
    )
    assert Snapshot.take(stats, Downloads()).uplinks["a"].sent == 3
