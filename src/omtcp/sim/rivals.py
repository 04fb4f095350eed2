"""Other pairs that run in step with one, because they share a link with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omtcp.sim.pair import Pair


class Rivals:
    """The pairs, and when each of them has something to do next."""

    def __init__(self) -> None:
        self._due: dict[Pair, int | None] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, pair: Pair) -> None:
        """Have `pair` run in step from now on."""
        self._due[pair] = None

    def next(self) -> int | None:
        """When the first of them has something to do."""
        return min((due for due in self._due.values() if due is not None), default=None)

    def advance(self, now: int) -> None:
        """Run those that have something to do now."""
        for pair, due in self._due.items():
            if pair.touched or (due is not None and due <= now):
                pair.advance(now)
                self._due[pair] = pair.next()
