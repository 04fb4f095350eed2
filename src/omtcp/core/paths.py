"""The paths of an endpoint: which there are, what they cost, and which may be used.

All connections of an endpoint look at one such table; each keeps its subflows in step with it
(core/membership.py). A path is known by its index for as long as the process lives: the index of a
path that was removed is never given to another one, so that traces stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from omtcp.errors import LocalError


@dataclass(slots=True)
class Tally:
    """What a path has carried for all connections there ever were, in payload bytes."""

    sent: int = 0
    """Retransmissions included."""
    resent: int = 0


@dataclass(slots=True)
class Path:
    """One path. `size` is its MTU less the IP and TCP headers without options."""

    index: int
    size: int
    cost: int = 0
    """Cheaper paths are used first; what a unit is worth is the operator's affair."""
    up: bool = True
    """Whether the host says that its link is up."""
    drained: bool = False
    """No new data and no retransmissions; what is under way is waited for."""
    removed: bool = False
    tally: Tally = field(default_factory=Tally)

    @property
    def open(self) -> bool:
        """Whether the operator lets it carry anything."""
        return not (self.drained or self.removed)


class Paths:
    """The table. A path that was removed stays in it, for its index and its tally."""

    def __init__(self, sizes: Iterable[int] = ()) -> None:
        """A path per size, none of which costs anything."""
        self._paths = [Path(index, size) for index, size in enumerate(sizes)]

    def __len__(self) -> int:
        """How many there ever were."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Path]:
        """Those that were not removed, by index."""
        return (path for path in self._paths if not path.removed)

    def ever(self) -> tuple[Path, ...]:
        """All that there ever were, by index."""
        return tuple(self._paths)

    def __getitem__(self, index: int) -> Path:
        return self._paths[index]

    def find(self, index: int) -> Path:
        """The path of that index; LocalError if there is none, or it was removed."""
        if not 0 <= index < len(self._paths) or self._paths[index].removed:
            raise LocalError(f"there is no path {index}")
        return self._paths[index]

    def add(self, size: int, *, cost: int = 0, up: bool = True) -> Path:
        """One more, under an index of its own."""
        path = Path(len(self._paths), size, check_cost(cost), up)
        self._paths.append(path)
        return path

    def is_last(self, index: int) -> bool:
        """Whether no path would be left that may be used and has its link, without this one."""
        path = self._paths[index]
        return path.open and not any(other.open and other.up for other in self if other is not path)

    def rotation(self, wanted: int = 0) -> list[int]:
        """The paths to try one after the other, for something that goes over one path only.

        The cheapest first; of those that cost the same, `wanted` first and then the ones behind it.
        Paths whose link is down are left out as long as there are others; the list is empty only
        where nothing may be used at all.
        """
        count = len(self._paths)
        if count == 1:
            return [0] if self._paths[0].open else []
        choice = [path for path in self if path.open]
        choice = [path for path in choice if path.up] or choice
        choice.sort(key=lambda path: (path.cost, (path.index - wanted) % count))
        return [path.index for path in choice]


def check_cost(cost: int) -> int:
    """The cost itself; LocalError if it is below zero."""
    if cost < 0:
        raise LocalError(f"a path's cost cannot be {cost}: 0 or more")
    return cost
