"""Which path carries the next bytes, and how many of them at once.

Paths are tried best first. Data goes on a path that is not the best only if it will be there by
the time it is needed: the receive window must have room for all that the better paths send until
it arrives, and there must be so much data left that waiting for the better path would take longer.
Otherwise the slower path is left to its pings. A path gets a contiguous run at a time, so that the
receiver sees few islands and segmentation offload has something to cut.
"""

from __future__ import annotations

from enum import StrEnum

from omtcp.core.config import SECOND
from omtcp.core.scoreboard import Send
from omtcp.core.subflow import Subflow


class Refusal(StrEnum):
    """Why a path is left out."""

    WINDOW = "window"
    """The receive window has no room for what the others send meanwhile."""
    TAIL = "tail"
    """So little is left that the others are done sooner."""
    DELAY = "delay"
    """It adds less than it delays everything."""
    BLOCKING = "blocking"
    """It kept the others waiting for more than it brought."""


HINDRANCES = (Refusal.DELAY, Refusal.BLOCKING)
"""What paths are left out for that others do better without."""

LIMIT_HANDICAP = 1.3
"""By what factor a path that has met its limit may be nearer and still come second at the start."""


PAYBACK_NS = 10 * SECOND
"""A slower path delays everything once, and must make up for that within so many seconds."""


def in_order(subflows: list[Subflow], primary: Subflow | None) -> list[Subflow]:
    """The usable paths, best first.

    The cheapest come first; of those that cost the same the primary, if there is one, then by RTT.
    Those in timeout come last, whatever they cost.

    Without a primary the order is a guess: the nearest first, but one that has lost already gives
    way to one of about the same distance that may still have everything to show.
    """
    usable = [subflow for subflow in subflows if subflow.usable]
    if len(usable) > 1:
        usable.sort(
            key=lambda subflow: (
                subflow.timeouts > 0,
                subflow.cost,
                subflow is not primary,
                subflow.rtt.srtt_ns
                * (LIMIT_HANDICAP if primary is None and subflow.has_met_its_limit else 1),
            )
        )
    return usable


def for_new_data(
    now: int, paths: list[Subflow], *, remaining: int, window_size: int
) -> tuple[Subflow | None, int]:
    """The path for the next new data, and how many bytes it takes.

    A path that its pacer holds back counts as one whose window is full.

    Args:
        now: the time.
        paths: usable paths, best first.
        remaining: bytes the application has written and we have not sent.
        window_size: the whole receive window, from its left edge to its right.
    """
    for rank, subflow in enumerate(paths):
        subflow.refusal = ""
        if rank:
            subflow.refusal = _refusal(now, subflow, paths[:rank], remaining, window_size)
            if subflow.refusal:
                subflow.limited = False
                continue
        room = ready_room(now, subflow, remaining)
        if room:
            return subflow, room
        subflow.limited = True
    return None, 0


def ready_room(now: int, subflow: Subflow, remaining: int) -> int:
    """How many of `remaining` bytes window and pacer let `subflow` send now, 0 to wait."""
    quantum = subflow.quantum
    room = _room(subflow, remaining, quantum, quantum)
    if room and not subflow.pacer.ready(now, room):
        subflow.paced = True
        return 0
    if room == quantum and (run := subflow.run(quantum)) > quantum:
        return _room(subflow, remaining, quantum, run)
    return room


def carriers(lost: Send, paths: list[Subflow]) -> list[Subflow]:
    """Of `paths` those that may carry again what `lost` carried in vain, in order of preference.

    Another path comes first if it is about as near and no hindrance: what made one lose may last,
    and each further loss keeps the receiver waiting for another round trip. The path that lost
    comes last, or not at all if that was a repetition already or if it loses much, unless there is
    no other that would not keep the receiver waiting for longer.
    """
    others = [path for path in elsewhere(lost, paths) if not path.lossy]
    if lost.origin is not None or lost.subflow.lossy:
        return others or paths
    near = [
        path for path in others if path.refusal not in HINDRANCES and _is_near(path, lost.subflow)
    ]
    return near + [path for path in paths if path not in near]


def _is_near(path: Subflow, other: Subflow) -> bool:
    """Whether a path is about as near as another, allowing for a queue."""
    within = 2 * path.rtt.recent_min_rtt_ns <= 3 * other.rtt.recent_min_rtt_ns
    return within and path.segment_ns <= 2 * other.rtt.srtt_ns


def elsewhere(lost: Send, paths: list[Subflow]) -> list[Subflow]:
    """Those of `paths` that may spare what `lost` carried a further loss on the same path.

    That would take about three of its round trips, with the time to find it; so any path that
    takes longer spares nothing.
    """
    patience = 3 * lost.subflow.rtt.srtt_ns
    return [path for path in paths if path is not lost.subflow and path.rtt.srtt_ns <= patience]


def for_retransmission(now: int, paths: list[Subflow], size: int = 0) -> tuple[Subflow | None, int]:
    """The path for `size` bytes of lost data: any with room in its window, in that order (P3).

    A path that is much slower than the first would only keep the receiver waiting: that one will
    have room within a fraction of its round trip. Unless it is so slow that all that was lost
    takes it longer.
    """
    patience = 0
    if paths:
        patience = max(paths[0].rtt.srtt_ns * 3 // 2, paths[0].arrival_ns(size))
    for subflow in paths:
        if subflow is not paths[0] and subflow.segment_ns > patience:
            continue
        space = subflow.space
        if space >= subflow.mss or subflow.in_flight <= 0:
            room = max(min(space, subflow.quantum), subflow.mss)
            if subflow.pacer.ready(now, room):
                return subflow, room
            subflow.paced = True
        subflow.limited = True
    return None, 0


def _room(subflow: Subflow, remaining: int, quantum: int, run: int) -> int:
    """Bytes to send now on `subflow`, at most `run`; 0 to wait for more window.

    Small gaps in the window are left until they add up to a burst worth a write. Where that is two
    segments, one that makes the flight even may go alone: else its place would stay empty for ever.
    """
    space = subflow.space
    mss = subflow.mss
    if space < mss and subflow.in_flight > 0:
        return 0
    in_flight = subflow.in_flight
    even = quantum == 2 * mss and in_flight % quantum + space >= quantum
    if space < quantum < in_flight and space < remaining and not even:
        return 0
    room = min(max(space, mss), run)
    if room >= remaining:
        return room
    return room // quantum * quantum or room // mss * mss


def _refusal(
    now: int, subflow: Subflow, better: list[Subflow], remaining: int, window_size: int
) -> str:
    """Why data on `subflow` would not be there in time, or not be worth the wait; empty if it is.

    The window must have room for what the better paths send until it arrives (BLEST, Ferlin et
    al., IFIP Networking 2016). What is left must take the better paths longer than the detour
    (ECF, Lim et al., CoNEXT 2017). And as everything is delivered in order, a slower path delays
    all of it once: what it adds must make up for that. That is what it was seen to carry, and no
    more than the room that the others leave it in the window.
    """
    if now < subflow.out_until:
        return Refusal.BLOCKING
    arrival = subflow.arrival_ns(subflow.quantum)
    needed = subflow.in_flight + subflow.quantum
    rate = 0.0  # bytes per ns
    nearest = arrival
    for other in better:
        rtt = max(other.rtt.srtt_ns, 1)
        nearest = min(nearest, rtt)
        needed += other.controller.cwnd * max(arrival, rtt) // rtt
        rate += other.controller.cwnd / rtt
    if not rate:
        return ""
    if needed > window_size:
        return Refusal.WINDOW
    delay = arrival - nearest
    if delay * rate >= remaining:
        return Refusal.TAIL
    adds = (window_size - needed + subflow.in_flight + subflow.quantum) / arrival
    if subflow.has_met_its_limit and now >= subflow.chance_until:
        adds = min(adds, subflow.rate.value / SECOND)
    if adds * PAYBACK_NS < rate * delay:
        return Refusal.DELAY
    return ""
