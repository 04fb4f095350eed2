"""What workers did adds up, and does not fall when one of them dies."""

from __future__ import annotations

from typing import Any, cast

from omtcp.apps.snapshot import Snapshot, UplinkState
from omtcp.control.protocol import Json
from omtcp.workers.messages import Account
from omtcp.workers.sums import Bygone, add_lists, add_snapshots


def entry(index: int, sent: int, rate: int | None = None, **others: Json) -> dict[str, Json]:
    made: dict[str, Json] = {
        "index": index,
        "name": f"eth{index}",
        "gateway": None,
        "state": "up",
        "cost": 4,
        "connections": 2,
        "primary_of": 1,
        "in_flight": 10,
        "bytes_sent": sent,
        "bytes_retransmitted": 1,
        "rate_bps": rate,
    }
    return {**made, **others}


def paths(answer: Json) -> list[dict[str, Any]]:
    return cast("Any", answer)["paths"]  # type: ignore[no-any-return]


def test_lists_add_up() -> None:
    one: Json = {"paths": [entry(0, 100, 8), entry(2, 5)], "policy": "x"}
    other: Json = {"paths": [entry(0, 23, 2), entry(2, 6, 3)], "policy": "x"}
    whole = add_lists([one, other], Account())
    first, second = paths(whole)
    assert (first["bytes_sent"], first["rate_bps"], first["connections"]) == (123, 10, 4)
    assert (first["in_flight"], first["primary_of"], first["bytes_retransmitted"]) == (20, 2, 2)
    assert (first["cost"], first["state"], first["name"], first["index"]) == (4, "up", "eth0", 0)
    assert first["gateway"] is None
    assert second["rate_bps"] == 3
    assert cast("Any", whole)["policy"] == "x"
    assert paths(one)[0]["bytes_sent"] == 100, "the answers are left as they are"


def test_a_path_that_only_some_have_yet() -> None:
    whole = add_lists([{"paths": [entry(3, 1)]}, {"paths": [entry(0, 2), entry(3, 1)]}], Account())
    assert [(path["index"], path["bytes_sent"]) for path in paths(whole)] == [(0, 2), (3, 2)]


def test_the_dead_count() -> None:
    bygone = Bygone()
    bygone.add(Account(carried={0: (10, 1), 1: (7, 0)}, completed=3, failed=1, active=2))
    bygone.add(Account(carried={0: (5, 1)}, completed=1))
    assert bygone.account == Account(carried={0: (15, 2), 1: (7, 0)}, completed=4, failed=3)
    (first,) = paths(add_lists([{"paths": [entry(0, 100, 8)]}], bygone.account))
    assert (first["bytes_sent"], first["bytes_retransmitted"], first["rate_bps"]) == (115, 3, 8)
    living = Snapshot(
        completed=2,
        connections=1,
        uplinks={"eth0": UplinkState(name="eth0", sent=1, states={"up": 1})},
    )
    whole = add_snapshots([living, living], bygone.account, {0: "eth0", 1: None}.get)
    assert (whole.completed, whole.failed, whole.connections) == (8, 3, 2)
    assert {name: uplink.sent for name, uplink in whole.uplinks.items()} == {"eth0": 17}
    assert whole.uplinks["eth0"].states == {"up": 2}
