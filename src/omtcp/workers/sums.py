"""What all workers did together, from what each says it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from omtcp.apps.snapshot import Snapshot, UplinkState
from omtcp.control.protocol import Json
from omtcp.workers.messages import Account

_ADDED = (
    "connections",
    "suspect",
    "primary_of",
    "in_flight",
    "bytes_sent",
    "bytes_retransmitted",
    "rate_bps",
)
"""What of a path's entry adds up; the rest is the same for all workers."""


class Bygone:
    """The accounts of workers that died, so that no sum ever falls."""

    def __init__(self, account: Account | None = None) -> None:
        self.account = account or Account()

    def add(self, account: Account) -> None:
        """A worker is gone; its downloads failed."""
        carried = dict(self.account.carried)
        for index, (sent, resent) in account.carried.items():
            before = carried.get(index, (0, 0))
            carried[index] = before[0] + sent, before[1] + resent
        self.account = Account(
            carried=carried,
            completed=self.account.completed + account.completed,
            failed=self.account.failed + account.failed + account.active,
        )


def add_lists(lists: Sequence[Json], bygone: Account) -> Json:
    """One answer to `list` from those of all workers; there is one at least."""
    whole = dict(cast("dict[str, Json]", lists[0]))
    entries: dict[int, dict[str, Json]] = {}
    for answer in lists:
        for entry in cast("list[dict[str, Json]]", cast("dict[str, Json]", answer)["paths"]):
            index = cast("int", entry["index"])
            entries[index] = _add(entries[index], entry) if index in entries else dict(entry)
    for index, (sent, resent) in bygone.carried.items():
        if index in entries:
            carried: dict[str, Json] = {"bytes_sent": sent, "bytes_retransmitted": resent}
            entries[index] = _add(entries[index], carried)
    whole["paths"] = [entries[index] for index in sorted(entries)]
    return whole


def _add(one: Mapping[str, Json], other: Mapping[str, Json]) -> dict[str, Json]:
    added = dict(one)
    for name in _ADDED:
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, int) and isinstance(theirs, int):
            added[name] = mine + theirs
        elif mine is None:
            added[name] = theirs
    return added


def add_snapshots(
    snapshots: Sequence[Snapshot], bygone: Account, device_of: Callable[[int], str | None]
) -> Snapshot:
    """What the live table shows."""
    uplinks: dict[str, UplinkState] = {}
    for index, (sent, resent) in bygone.carried.items():
        device = device_of(index)
        if device is not None:
            state = UplinkState(name=device, sent=sent, resent=resent, states={})
            uplinks[device] = uplinks[device] + state if device in uplinks else state
    lost = Snapshot(completed=bygone.completed, failed=bygone.failed, uplinks=uplinks)
    return sum(snapshots, start=lost)
