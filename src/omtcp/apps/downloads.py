"""The downloads under way, for whoever wants to look."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True, eq=False)
class Download:
    """One response body on its way; sizes are bytes, times are the event loop's clock in ns."""

    who: Callable[[], str]
    """Says who downloads; putting an address into words costs more than sending a small file."""
    path: str
    total: int
    started_ns: int
    backlog: Callable[[], int]
    """How much of what was handed over is still with the transport."""
    queued: int = 0
    """How much was handed to the transport so far."""

    @property
    def peer(self) -> str:
        """Who downloads."""
        return self.who()

    @property
    def sent(self) -> int:
        """Bytes that have left the transport."""
        return max(0, self.queued - self.backlog())

    @property
    def done(self) -> bool:
        """Whether all of it has left the transport."""
        return self.sent == self.total


class Downloads:
    """Registry of active downloads, with a count of those that ended well and those that died."""

    def __init__(self) -> None:
        self._active: dict[Download, None] = {}
        self.completed = 0
        self.failed = 0

    def __len__(self) -> int:
        return len(self._active)

    def add(self, download: Download) -> None:
        """A response body begins."""
        self._active[download] = None

    def finish(self, download: Download, *, failed: bool) -> None:
        """The download is over; saying so twice does no harm."""
        if download not in self._active:
            return
        del self._active[download]
        if failed:
            self.failed += 1
        else:
            self.completed += 1

    def active(self) -> Iterator[Download]:
        """The downloads that still have something to send, oldest first."""
        for download in list(self._active):
            if download.done:
                self.finish(download, failed=False)
            else:
                yield download
