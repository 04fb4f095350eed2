"""Who is due next, of many: a heap in which deadlines may move, and owners go without a trace."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")

_SLACK = 64


class Agenda(Generic[T]):
    """Each owner stands in it at most once, under the earliest deadline it was given.

    A deadline that moves earlier leaves its old place in the heap behind. That place holds two
    numbers and not the owner, whose memory would otherwise outlive it by hours, and the heap is
    built anew when most of it is such places.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._owners: dict[int, T] = {}
        self._places: dict[T, tuple[int, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._places)

    def put(self, owner: T, at: int) -> None:
        """`owner` is due at `at`, unless it is due earlier already."""
        place = self._places.get(owner)
        if place is not None:
            if place[0] <= at:
                return
            del self._owners[place[1]]
        self._count += 1
        place = self._places[owner] = (at, self._count)
        self._owners[self._count] = owner
        heapq.heappush(self._heap, place)
        if len(self._heap) > 2 * len(self._places) + _SLACK:
            self._heap = list(self._places.values())
            heapq.heapify(self._heap)

    def remove(self, owner: T) -> None:
        """`owner` is not due any more; no harm if it was not."""
        place = self._places.pop(owner, None)
        if place is not None:
            del self._owners[place[1]]

    def next_at(self) -> int | None:
        """The earliest deadline, None when there is none."""
        heap, owners = self._heap, self._owners
        while heap and heap[0][1] not in owners:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: int) -> T | None:
        """Remove and return an owner whose deadline is `now` or earlier, the earliest first."""
        at = self.next_at()
        if at is None or at > now:
            return None
        _, number = heapq.heappop(self._heap)
        owner = self._owners.pop(number)
        del self._places[owner]
        return owner
