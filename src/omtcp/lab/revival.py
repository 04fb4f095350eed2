"""When a restored uplink carried data again, seen from the wire.

A sender tries an uplink that is back with pings, which are bytes that the client has acknowledged
already. The first segment that carries anything else is the sender's trust.
"""

from collections.abc import Container
from dataclasses import dataclass, field

from omtcp.lab.frames import TcpView, source_of, tcp_of

_HALF = 1 << 31
_WHOLE = 1 << 32


@dataclass(slots=True)
class Revivals:
    """Watches restored links until data comes out of them.

    others: addresses whose traffic does not count. found: (link, restored, carried), monotonic ns.
    """

    others: Container[bytes] = ()
    found: list[tuple[str, int, int]] = field(default_factory=list)
    _waiting: dict[str, int] = field(default_factory=dict)
    _acknowledged: dict[tuple[bytes, bytes], int] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        """Whether frames need to be shown at all."""
        return bool(self._waiting)

    def restored(self, now: int, link: str) -> None:
        self._waiting[link] = now

    def cut(self, link: str) -> None:
        self._waiting.pop(link, None)
        self._forget()

    def answered(self, frame: bytes) -> None:
        """A frame from the client: what it has acknowledged."""
        segment = tcp_of(frame)
        if segment is not None:
            self._acknowledged[segment.destination, segment.source] = segment.acknowledgment

    def carried(self, now: int, link: str, frame: bytes) -> None:
        """A frame came out of a link."""
        since = self._waiting.get(link)
        if since is None or source_of(frame) in self.others:
            return
        segment = tcp_of(frame)
        if segment is not None and self._is_news(segment):
            self.found.append((link, since, now))
            del self._waiting[link]
            self._forget()

    def _is_news(self, segment: TcpView) -> bool:
        """Whether it carries bytes that the client had not acknowledged.

        Before the first answer only size can tell: a ping that asks for liveness is one byte.
        """
        known = self._acknowledged.get((segment.source, segment.destination))
        if known is None or segment.payload <= 1:
            return segment.payload > 1
        return 0 < (segment.sequence + segment.payload - known) % _WHOLE < _HALF

    def _forget(self) -> None:
        if not self._waiting:
            self._acknowledged.clear()
