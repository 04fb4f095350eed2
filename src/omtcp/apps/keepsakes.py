"""Small files that were served a moment ago, kept so that serving them again costs one system call.

Finding out which file a path names, that it lies inside, opening and reading it takes some ten
calls. What they found is kept with the state of the file, and holds as long as the path still leads
to a file in that state: the same inode, not written to, not renamed, linked or closed to us since
(all of which move its change time). A file that was changed within the last moments is not kept,
because a further change could fall into the same tick of the file system's clock.
"""

import os
from collections import OrderedDict
from dataclasses import dataclass

from omtcp.apps.contents import Content
from omtcp.apps.http.conditional import Validators

LARGEST = 64 << 10
"""Bytes of a file that is kept; serving a larger one costs more than finding it."""
ROOM = 16 << 20
"""Bytes that all of them may have together."""
MOST = 4096
"""Files that are kept; each costs some hundred bytes beside its content."""
SETTLED_S = 2.0
"""How long before it is kept a file must have been left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepsake:
    """All that a response needs of a file.

    path: as it was asked for, links and all: where it leads to is what must not have changed.
    headers: fields of every response, the media type apart. name: for people.
    """

    path: bytes
    state: tuple[int, ...]
    validators: Validators
    headers: tuple[tuple[str, str], ...]
    media: str
    content: bytes
    name: str

    @property
    def size(self) -> int:
        """Of the content, in bytes."""
        return len(self.content)

    def load(self) -> Content:
        """The content."""
        return self.content


class Keepsakes:
    """Of the files asked for last, by request target."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Keepsake] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, target: bytes) -> Keepsake | None:
        """What was kept for a request target, if the file is still as it was."""
        kept = self._kept.get(target)
        if kept is None:
            return None
        try:
            unchanged = state_of(os.stat(kept.path)) == kept.state
        except OSError:
            unchanged = False
        if not unchanged:
            self._drop(target)
            return None
        self._kept.move_to_end(target)
        return kept

    def keep(self, target: bytes, kept: Keepsake, now: float) -> None:
        """Keep what was found, if it is small and settled; `now` is seconds since the epoch."""
        changed_ns = max(kept.state[-2:])
        if kept.size > LARGEST or now * 1e9 - changed_ns < SETTLED_S * 1e9:
            return
        if target in self._kept:
            self._drop(target)
        self._kept[target] = kept
        self._size += len(kept.content)
        while self._size > ROOM or len(self._kept) > MOST:
            self._drop(next(iter(self._kept)))

    def _drop(self, target: bytes) -> None:
        self._size -= len(self._kept.pop(target).content)


def state_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes with a file, whatever happens to it; the times, in ns, come last."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mode,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
