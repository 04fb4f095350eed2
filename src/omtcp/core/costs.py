"""What it means that one path costs more than another.

Costs only order the paths, cheapest first; by how much one is dearer means nothing.

- Data fills the cheaper paths first (`scheduler.in_order`); a dearer one gets new data only when
  more waits than the windows of the cheaper ones take in a round trip.
- Where one path is the primary, those dearer than it are a reserve: they carry pings, and data only
  while the primary is of no use.
- A dearer path is the primary only while every cheaper one is unusable, or delivers less than half
  of what the dearer one is *known* to deliver. What it might deliver does not count: to find that
  out would cost, so a dearer path is never auditioned either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omtcp.core.subflow import Subflow

WORTH_PAYING = 2.0
"""How many times what a cheaper path delivers a dearer one must be known to deliver."""


def affordable(paths: list[Subflow], primary: Subflow) -> list[Subflow]:
    """Those of `paths` that may carry data beside `primary`."""
    if not primary.usable or primary.timeouts:
        return paths
    return [path for path in paths if path.cost <= primary.cost]


def without_need(paths: list[Subflow], waiting: int) -> list[Subflow]:
    """Those of `paths`, cheapest first, that new data is to go on while `waiting` bytes wait.

    Waiting for the cheaper windows also lets them grow: a path grows only while its window is what
    holds data back.
    """
    room = 0
    for count, path in enumerate(paths):
        if count and path.cost > paths[count - 1].cost and waiting <= room:
            return paths[:count]
        room += 0 if path.timeouts else path.controller.cwnd
    return paths


def worth_their_cost(
    subflows: Sequence[Subflow],
    merits: Sequence[float],
    known: Callable[[Subflow], float],
) -> list[Subflow]:
    """The usable subflows that may be the primary.

    Args:
        subflows: all of them.
        merits: bytes per second each is believed to deliver, in the same order.
        known: bytes per second a subflow has been seen to deliver; 0 when it never had to.
    """
    usable = [
        (subflow, merit) for subflow, merit in zip(subflows, merits, strict=True) if subflow.usable
    ]
    return [
        subflow
        for subflow, _ in usable
        if all(
            known(subflow) > WORTH_PAYING * merit
            for cheaper, merit in usable
            if cheaper.cost < subflow.cost
        )
    ]
