"""What a simulation is asked to do at certain times."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[int], None]
"""Called with the time."""


class Schedule:
    """Actions by time; those of one time in the order they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._ids = count()

    def add(self, at: int, action: Action) -> None:
        """Run `action` at time `at`."""
        heapq.heappush(self._heap, (at, next(self._ids), action))

    def next(self) -> int | None:
        """The time of the next action, None when there is none."""
        return self._heap[0][0] if self._heap else None

    def run(self, now: int) -> None:
        """Run all actions that are due, those included that they add for `now`."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2](now)
