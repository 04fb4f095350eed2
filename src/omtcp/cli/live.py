"""What `omtcp serve` shows on a terminal: downloads and uplinks, as they are now."""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omtcp.apps.listing import human_size
from omtcp.apps.snapshot import Snapshot
from omtcp.core.stats import PathStats

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

    def __init__(self, title: str) -> None:
        self._title = title
        self._rates = _Rates()

    def update(self, now: int, snapshot: Snapshot) -> RenderableType:
        """The view of a moment; `now` is ns of any clock that does not jump."""
        counters: dict[Hashable, int] = {
            download.identity: download.sent for download in snapshot.downloads
        }
        counters.update((name, uplink.sent) for name, uplink in snapshot.uplinks.items())
        self._rates.sample(now, counters)
        summary = Text(
            f"{self._title} - {snapshot.connections} connections, {snapshot.active} downloads,"
            f" {snapshot.completed} done, {snapshot.failed} failed",
            style="bold",
        )
        return Group(summary, self._uplink_table(snapshot), self._download_table(snapshot))

    def _uplink_table(self, snapshot: Snapshot) -> Table:
        table = Table("Uplink", expand=True)
        for heading in ("Rate", "Sent", "Resent", "Primary of", "State"):
            table.add_column(heading, justify="right")
        for name, uplink in snapshot.uplinks.items():
            table.add_row(
                Text(name),
                human_rate(self._rates.of(name)),
                human_size(uplink.sent),
                human_size(uplink.resent),
                str(uplink.primary_of),
                _states(uplink.states),
            )
        return table

    def _download_table(self, snapshot: Snapshot) -> Table:
        table = Table("Peer", "File", expand=True)
        table.add_column("Progress", justify="right")
        table.add_column("Rate", justify="right")
        table.add_column("Paths: window / RTT (primary *)")
        for download in snapshot.downloads:
            table.add_row(
                Text(download.peer),
                Text(printable(download.path), overflow="ellipsis", no_wrap=True),
                f"{download.sent / download.total:.0%} of {human_size(download.total)}",
                human_rate(self._rates.of(download.identity)),
                Text("\n").join(
                    _path(path, primary=index == download.primary)
                    for index, path in enumerate(download.paths)
                ),
            )
        more = snapshot.active - len(snapshot.downloads)
        if more > 0:
            table.caption = f"and {more} more"
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


def _states(counts: Mapping[str, int]) -> Text:
    if not counts:
        return Text("idle", style="dim")
    return Text(", ").join(
        Text(f"{count} {state}", style=_STYLES.get(state, "")) for state, count in counts.items()
    )


def _path(path: PathStats, *, primary: bool) -> Text:
    mark = "*" if primary else " "
    rtt = f"{path.srtt_ns / 1e6:.1f} ms" if path.srtt_ns else "-"
    text = Text(f"{mark}{path.name} ")
    text.append(path.state, style=_STYLES.get(path.state, ""))
    return text.append(f" {human_size(path.cwnd)} / {rtt}")
