"""The live table."""

import io
from collections import Counter
from itertools import count

import pytest
from rich.console import Console

from omtcp.apps.downloads import Download, Downloads
from omtcp.apps.snapshot import Snapshot
from omtcp.cli.live import LiveView, human_rate, printable
from omtcp.core.stats import ConnectionStats, PathStats, ServerStats, UplinkStats

SECOND = 1_000_000_000
PEER = "192.0.2.9:4711"


def path(name: str, sent: int, state: str = "up", srtt_ns: int = 20_000_000) -> PathStats:
    return PathStats(
        name=name,
        state=state,
        cwnd=20_480,
        srtt_ns=srtt_ns,
        in_flight=0,
        bytes_sent=sent,
        bytes_retransmitted=sent // 10,
    )


def stats(
    *paths: PathStats, peer: str = PEER, primary: int = 0, ended: dict[str, int] | None = None
) -> ServerStats:
    """A connection with these paths; `ended` is what others carried that are gone."""
    connection = ConnectionStats(peer=peer, primary=primary, paths=paths)
    carried = Counter(ended or {})
    carried.update({path.name: path.bytes_sent for path in paths})
    return ServerStats(
        connections=(connection,) if paths else (),
        uplinks=tuple(
            UplinkStats(name=name, bytes_sent=sent, bytes_retransmitted=sent // 10)
            for name, sent in carried.items()
        ),
    )


_started = count()


def download(name: str = "/file.iso", sent: int = 500, peer: str = PEER) -> Download:
    return Download(
        who=lambda: peer,
        path=name,
        total=1000,
        started_ns=next(_started),
        backlog=lambda: 0,
        queued=sent,
    )


def show(view: LiveView, now: int, snapshot: ServerStats, *active: Download) -> list[str]:
    """The lines of the view."""
    downloads = Downloads()
    for each in active:
        downloads.add(each)
    console = Console(file=io.StringIO(), record=True, width=120)
    console.print(view.update(now, Snapshot.take(snapshot, downloads)))
    return console.export_text().splitlines()


def line_with(lines: list[str], text: str) -> str:
    [found] = [line for line in lines if text in line]
    return found


def test_nothing_yet() -> None:
    lines = show(LiveView("http://192.0.2.1/"), 0, stats())
    assert "http://192.0.2.1/ - 0 connections, 0 downloads, 0 done, 0 failed" in lines[0]


def test_rates_come_from_two_looks() -> None:
    view = LiveView("x")
    one = download(sent=100)
    show(view, 0, stats(path("veth0", 1_000_000), path("veth1", 0)), one)
    one.queued = 600
    later = stats(path("veth0", 2_250_000), path("veth1", 125_000, "suspect"))
    lines = show(view, 2 * SECOND, later, one)
    assert "5.0 Mbit/s" in line_with(lines, "│ veth0")
    assert "500.0 kbit/s" in line_with(lines, "│ veth1")
    assert "2.0 kbit/s" in line_with(lines, "/file.iso")
    assert "60% of 1000 B" in line_with(lines, "/file.iso")


def test_states_primary_window_and_rtt() -> None:
    snapshot = stats(path("veth0", 1, "suspect"), path("veth1", 1, srtt_ns=0), primary=1)
    lines = show(LiveView("x"), 0, snapshot, download())
    assert "1 suspect" in line_with(lines, "│ veth0")
    assert "1 up" in line_with(lines, "│ veth1")
    assert " veth0 suspect 20.0 KiB / 20.0 ms" in line_with(lines, "/file.iso")
    assert line_with(lines, "*veth1 up 20.0 KiB / -")


def test_what_an_ended_connection_carried_still_counts() -> None:
    view = LiveView("x")
    show(view, 0, stats(path("veth0", 10 << 20)))
    show(view, SECOND, stats(path("veth0", 5 << 20), ended={"veth0": 10 << 20}))
    line = line_with(show(view, 2 * SECOND, stats(ended={"veth0": 15 << 20})), "│ veth0")
    assert "15.0 MiB" in line
    assert "idle" in line


def test_old_samples_are_forgotten() -> None:
    view = LiveView("x")
    show(view, 0, stats(path("veth0", 1 << 30)))
    for second in range(1, 10):
        lines = show(view, second * SECOND, stats(path("veth0", 1 << 30)))
    assert "0.0 bit/s" in line_with(lines, "│ veth0")


def test_a_download_on_a_connection_that_is_gone() -> None:
    assert line_with(show(LiveView("x"), 0, stats(), download()), "/file.iso")


def test_many_downloads_are_cut() -> None:
    active = [download(f"/file-{number:03}") for number in range(20)]
    lines = show(LiveView("x"), 0, stats(), *active)
    assert line_with(lines, "/file-014")
    assert not any("/file-015" in line for line in lines)
    assert line_with(lines, "and 5 more")


def test_names_cannot_write_to_the_terminal() -> None:
    hostile = download("/[red]a\x1b]0;title\x07\r\n")
    line = line_with(show(LiveView("x"), 0, stats(), hostile), "[red]a")
    assert "\x1b" not in line
    assert printable("a\x1b\u202eb") == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0.0 bit/s"),
        (999.94, "999.9 bit/s"),
        (999.96, "1.0 kbit/s"),
        (47_500_000, "47.5 Mbit/s"),
        (5_120_000_000, "5.12 Gbit/s"),
        (12_000_000_000_000, "12000.00 Gbit/s"),
    ],
)
def test_human_rate(rate: float, text: str) -> None:
    assert human_rate(rate) == text
