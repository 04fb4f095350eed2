"""What `omtcp serve` shows on a terminal: downloads and uplinks, as they are now."""

from collections import Counter, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omtcp.apps.downloads import Download, Downloads
from omtcp.apps.listing import human_size
from omtcp.core.stats import ConnectionStats, PathStats, ServerStats

SAMPLES = 5
"""Rates are means over this many samples."""
_STYLES = {
    "up": "green",
    "probing": "yellow",
    "suspect": "yellow",
    "defective": "red",
    "drained": "dim",
}


@dataclass(slots=True)
class _Rates:
    """Rates of counters that come and go, from samples of all of them."""

    samples: deque[tuple[int, dict[Hashable, int]]] = field(
        default_factory=lambda: deque(maxlen=SAMPLES)
    )

    def sample(self, now: int, counters: dict[Hashable, int]) -> None:
        self.samples.append((now, counters))

    def of(self, key: Hashable) -> float:
        """Bits per second of one counter; what was not there before counts from zero."""
        if len(self.samples) < 2:
            return 0.0
        (since, before), (now, counters) = self.samples[0], self.samples[-1]
        grown = counters.get(key, 0) - before.get(key, 0)
        return max(0, grown) * 8e9 / max(1, now - since)


class LiveView:
    """Turns snapshots into tables; keeps just enough of the past to tell rates."""

    def __init__(self, title: str, *, max_downloads: int = 15) -> None:
        self._title = title
        self._max_downloads = max_downloads
        self._rates = _Rates()
        self._uplinks: dict[str, int] = {}
        self._counted: dict[Hashable, int] = {}

    def update(self, now: int, stats: ServerStats, downloads: Downloads) -> RenderableType:
        """The view of a moment; `now` is ns of any clock that does not jump."""
        active = list(downloads.active())
        self._count(stats)
        counters: dict[Hashable, int] = {download: download.sent for download in active}
        counters.update(self._uplinks)
        self._rates.sample(now, counters)
        summary = Text(
            f"{self._title} - {len(stats.connections)} connections, "
            f"{len(active)} downloads, {downloads.completed} done, {downloads.failed} failed",
            style="bold",
        )
        return Group(summary, self._uplink_table(stats), self._download_table(stats, active))

    def _count(self, stats: ServerStats) -> None:
        """Add up what each uplink carried; connections that ended keep their share."""
        counted: dict[Hashable, int] = {}
        for connection in stats.connections:
            for path in connection.paths:
                key = (connection.peer, path.name)
                counted[key] = path.bytes_sent
                grown = max(0, path.bytes_sent - self._counted.get(key, 0))
                self._uplinks[path.name] = self._uplinks.get(path.name, 0) + grown
        self._counted = counted

    def _uplink_table(self, stats: ServerStats) -> Table:
        table = Table("Uplink", expand=True)
        for heading in ("Rate", "Sent", "Resent", "Primary of", "State"):
            table.add_column(heading, justify="right")
        for name, sent in self._uplinks.items():
            paths = [p for c in stats.connections for p in c.paths if p.name == name]
            primary = sum(_is_primary(connection, name) for connection in stats.connections)
            table.add_row(
                Text(name),
                human_rate(self._rates.of(name)),
                human_size(sent),
                human_size(sum(path.bytes_retransmitted for path in paths)),
                str(primary),
                _states(path.state for path in paths),
            )
        return table

    def _download_table(self, stats: ServerStats, active: list[Download]) -> Table:
        table = Table("Peer", "File", expand=True)
        table.add_column("Progress", justify="right")
        table.add_column("Rate", justify="right")
        table.add_column("Paths: window / RTT (primary *)")
        connections = {connection.peer: connection for connection in stats.connections}
        for download in active[: self._max_downloads]:
            connection = connections.get(download.peer)
            table.add_row(
                Text(download.peer),
                Text(printable(download.path), overflow="ellipsis", no_wrap=True),
                f"{download.sent / download.total:.0%} of {human_size(download.total)}",
                human_rate(self._rates.of(download)),
                Text("\n").join(_path(connection, i) for i in range(len(connection.paths)))
                if connection
                else "",
            )
        if len(active) > self._max_downloads:
            table.caption = f"and {len(active) - self._max_downloads} more"
        return table


def human_rate(bits_per_second: float) -> str:
    """A rate in decimal units: `47.5 Mbit/s`."""
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits_per_second < 999.95:
            return f"{bits_per_second:.1f} {unit}"
        bits_per_second /= 1000
    return f"{bits_per_second:.2f} Gbit/s"


def printable(text: str) -> str:
    """The text without anything that a terminal would act upon."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _is_primary(connection: ConnectionStats, name: str) -> bool:
    return (
        0 <= connection.primary < len(connection.paths)
        and connection.paths[connection.primary].name == name
    )


def _states(states: Iterable[str]) -> Text:
    counts = Counter(states)
    if not counts:
        return Text("idle", style="dim")
    return Text(", ").join(
        Text(f"{count} {state}", style=_STYLES.get(state, "")) for state, count in counts.items()
    )


def _path(connection: ConnectionStats, index: int) -> Text:
    path: PathStats = connection.paths[index]
    mark = "*" if index == connection.primary else " "
    rtt = f"{path.srtt_ns / 1e6:.1f} ms" if path.srtt_ns else "-"
    text = Text(f"{mark}{path.name} ")
    text.append(path.state, style=_STYLES.get(path.state, ""))
    return text.append(f" {human_size(path.cwnd)} / {rtt}")
