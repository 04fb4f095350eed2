"""What a server is doing at one moment: small, and those of several processes add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from omtcp.apps.downloads import Downloads
from omtcp.core.stats import NO_PRIMARY, ConnectionStats, PathStats, ServerStats

MOST_DOWNLOADS = 15
"""Downloads that are told of one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkState:
    """One uplink, for all connections. Sizes are bytes of payload."""

    name: str
    sent: int = 0
    """By connections that ended too, retransmissions included."""
    resent: int = 0
    primary_of: int = 0
    """How many connections that live have it for their primary path."""
    states: Mapping[str, int]
    """How many connections that live find it in which state."""

    def __add__(self, other: UplinkState) -> UplinkState:
        return UplinkState(
            name=self.name,
            sent=self.sent + other.sent,
            resent=self.resent + other.resent,
            primary_of=self.primary_of + other.primary_of,
            states=Counter(self.states) + Counter(other.states),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadState:
    """One download, and the paths of its connection; `primary` is which of them, or NO_PRIMARY."""

    peer: str
    path: str
    started_ns: int
    sent: int
    total: int
    paths: tuple[PathStats, ...] = ()
    primary: int = NO_PRIMARY

    @property
    def identity(self) -> tuple[str, int]:
        """The same in every snapshot, and that of no other download."""
        return self.peer, self.started_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The counts, every uplink by its name, and the oldest downloads under way."""

    connections: int = 0
    active: int = 0
    """Downloads under way."""
    completed: int = 0
    failed: int = 0
    uplinks: Mapping[str, UplinkState]
    downloads: tuple[DownloadState, ...] = ()

    @classmethod
    def take(cls, stats: ServerStats, downloads: Downloads) -> Snapshot:
        """What the server and its application know now."""
        active = list(downloads.active())
        connections = {connection.peer: connection for connection in stats.connections}
        shown = []
        for download in active[:MOST_DOWNLOADS]:
            connection = connections.get(download.peer)
            shown.append(
                DownloadState(
                    peer=download.peer,
                    path=download.path,
                    started_ns=download.started_ns,
                    sent=download.sent,
                    total=download.total,
                    paths=connection.paths if connection else (),
                    primary=connection.primary if connection else NO_PRIMARY,
                )
            )
        return cls(
            connections=len(stats.connections),
            active=len(active),
            completed=downloads.completed,
            failed=downloads.failed,
            uplinks=_uplinks(stats),
            downloads=tuple(shown),
        )

    def __add__(self, other: Snapshot) -> Snapshot:
        uplinks = dict(self.uplinks)
        for name, uplink in other.uplinks.items():
            uplinks[name] = uplinks[name] + uplink if name in uplinks else uplink
        downloads = sorted((*self.downloads, *other.downloads), key=lambda shown: shown.started_ns)
        return Snapshot(
            connections=self.connections + other.connections,
            active=self.active + other.active,
            completed=self.completed + other.completed,
            failed=self.failed + other.failed,
            uplinks=uplinks,
            downloads=tuple(downloads[:MOST_DOWNLOADS]),
        )


def _uplinks(stats: ServerStats) -> dict[str, UplinkState]:
    """By name; several paths over one uplink count as one."""
    states: dict[str, Counter[str]] = {uplink.name: Counter() for uplink in stats.uplinks}
    primaries: Counter[str] = Counter()
    for connection in stats.connections:
        primaries[_primary_of(connection)] += 1
        for path in connection.paths:
            states.setdefault(path.name, Counter())[path.state] += 1
    found = {
        name: UplinkState(name=name, primary_of=primaries[name], states=counts)
        for name, counts in states.items()
    }
    for uplink in stats.uplinks:
        carried = UplinkState(
            name=uplink.name,
            sent=uplink.bytes_sent,
            resent=uplink.bytes_retransmitted,
            states={},
        )
        found[uplink.name] += carried
    return found


def _primary_of(connection: ConnectionStats) -> str:
    if 0 <= connection.primary < len(connection.paths):
        return connection.paths[connection.primary].name
    return ""
