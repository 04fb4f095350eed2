"""`omtcp path` against several workers: what it does to one it does to all, successors too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .serving import World, digest, until
from .test_paths import Operated
from .test_workers import fetch, workers_of

pytestmark = pytest.mark.namespaces


@pytest.fixture
def operated(slow: World, directory: Path, tmp_path: Path) -> Iterator[Operated]:
    before = slow.server.snapshot()
    made = Operated(slow, directory, tmp_path, "--workers", "2")
    try:
        yield made
    finally:
        assert made.serving.stop() == 0, made.serving.log
    assert "Traceback" not in made.serving.log
    assert "internal" not in made.serving.log
    after = slow.server.snapshot()
    for what in ("-4 rule show", "-4 route show table all"):
        assert after[what] == before[what]


def kill_all(operated: Operated) -> None:
    """Kill every worker, and wait until its successor answers."""
    before = workers_of(operated.serving)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(
        lambda: (
            not set(workers_of(operated.serving).values()) & set(before.values())
            and len(workers_of(operated.serving)) == len(before)
        ),
        "successors",
    )
    until(lambda: operated.run("list").returncode == 0, "an answer")


def test_a_list_adds_up(operated: Operated) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(operated.world.connect()) for _ in range(16)]
        for client in clients:
            fetch(client, "small")
        listed = operated.listed()
        assert listed["up0"]["connections"] == 16
        sent = sum(entry["bytes_sent"] for entry in listed.values())
        assert sent >= 16 * 100_000
    with operated.download() as download:
        download.reach(download.size + 500_000)
        assert sum(entry["rate_bps"] for entry in operated.listed().values()) > 1_000_000


def test_sums_do_not_fall_when_workers_die(operated: Operated) -> None:
    for _ in range(8):
        assert operated.world.curl(operated.serving.url("small")).returncode == 0

    def sent() -> int:
        return sum(entry["bytes_sent"] for entry in operated.listed().values())

    before = sent()
    assert before >= 8 * 100_000
    with operated.download():  # whoever sends it; takes more than the second between accounts
        pass
    total = sent()
    assert total >= before + 10_000_000
    kill_all(operated)
    assert sent() >= before + 8_000_000


def test_drained_and_used_again(operated: Operated) -> None:
    with operated.download() as one, operated.download() as other, operated.download():
        operated.path("drain", "up0")
        until(lambda: operated.listed()["up0"]["in_flight"] == 0, "end of what is under way")
        operated.expect_rest(0)
        one.reach(one.size + 300_000)
        operated.path("undrain", "up0")
        operated.expect_use_of(0)
        assert other.running


def test_removed_and_added_again(operated: Operated) -> None:
    with operated.download(), operated.download():
        operated.path("remove", "0")
        assert list(operated.listed()) == ["up1"]
        operated.expect_rest(0)
        assert operated.path("add", f"{operated.names[0]},cost=3") == "added up0@10.1.0.1"
        entry = operated.listed()["up0"]
        assert (entry["index"], entry["cost"]) == (2, 3)
        operated.path("cost", "up0", "0")
        operated.expect_use_of(0)


def test_refusals_are_one_line(operated: Operated) -> None:
    for words, complaint in [
        (("drain", "up7"), "no path 'up7': there are up0@10.1.0.1, up1@10.2.0.1"),
        (("add", "nowhere"), "path nowhere: no such device"),
        (("add", "up0@10.1.0.1"), "path up0@10.1.0.1 is there already"),
    ]:
        done = operated.run(*words)
        assert (done.returncode, done.stderr) == (1, f"omtcp: {complaint}\n")
    operated.path("drain", "up0")
    done = operated.run("remove", "up1")
    assert done.returncode == 1
    assert "last path" in done.stderr


def test_successors_are_told_what_was_said_before(operated: Operated) -> None:
    operated.path("remove", "up0")
    operated.path("add", operated.names[0])
    operated.path("cost", "up0", "7")
    operated.path("drain", "up1")
    operated.path("undrain", "up1")
    operated.path("drain", "up0")
    kill_all(operated)
    listed = operated.listed()
    assert {device: entry["index"] for device, entry in listed.items()} == {"up0": 2, "up1": 1}
    assert (listed["up0"]["state"], listed["up0"]["cost"]) == ("drained", 7)
    assert (listed["up1"]["state"], listed["up1"]["cost"]) == ("up", 0)
    with operated.download():
        operated.expect_rest(0)
        operated.path("add", f"{operated.names[0]},cost=0")  # as good as undrain
        operated.expect_use_of(0)
    operated.path("remove", "up1")
    operated.world.client_sends_by(0)
    kill_all(operated)
    assert list(operated.listed()) == ["up0"]
    with operated.download():
        operated.expect_use_of(0)


def test_an_uplink_that_goes_down_is_left_by_all(operated: Operated) -> None:
    small = digest((operated.directory / "small").read_bytes())
    with ExitStack() as stack:
        clients = [stack.enter_context(operated.world.connect()) for _ in range(8)]
        with operated.download():
            operated.world.router.ip("link set r0 down")
            until(lambda: operated.listed()["up0"]["state"] == "down", "news of the link")
            fetched = [fetch(client, "small") for client in clients]
            assert set(fetched) == {small}
            operated.world.router.ip("link set r0 up")
            operated.expect_use_of(0)
    operated.world.router.ip("link set r0 down")
    until(lambda: operated.listed()["up0"]["state"] == "down", "news of the link")
    kill_all(operated)
    assert operated.listed()["up0"]["state"] == "down", "a successor takes it for up"
    operated.world.router.ip("link set r0 up")
    until(lambda: operated.listed()["up0"]["state"] == "up", "news of the link")


def test_a_gateway_that_moves(slow: World, directory: Path, tmp_path: Path) -> None:
    """The path has another name then, with the workers too, and with those that come later."""
    slow.server.ip("route add default via 10.1.0.1 dev up0 metric 50")
    operated = Operated(slow, directory, tmp_path, "--workers", "2", paths=("up0", "up1@10.2.0.1"))
    try:
        operated.path("cost", "up0@10.1.0.1", "3")
        slow.router.ip("addr add 10.1.0.7/24 dev r0")
        slow.server.ip("route replace default via 10.1.0.7 dev up0 metric 50")
        until(lambda: operated.listed()["up0"]["name"] == "up0@10.1.0.7", "a new name")
        assert operated.path("drain", "up0@10.1.0.7") == "draining up0@10.1.0.7"
        kill_all(operated)
        entry = operated.listed()["up0"]
        assert (entry["name"], entry["state"], entry["cost"]) == ("up0@10.1.0.7", "drained", 3)
        operated.path("undrain", "up0")
        with operated.download():
            operated.path("cost", "up0", "0")
            operated.expect_use_of(0)
    finally:
        assert operated.serving.stop() == 0, operated.serving.log
    assert "Traceback" not in operated.serving.log


def test_a_policy_is_that_of_all(operated: Operated) -> None:
    assert operated.path("policy", "redundant") == "policy redundant"
    assert operated.path("policy") == "policy redundant"
    kill_all(operated)
    assert operated.path("policy") == "policy redundant", "a successor has not heard of it"
    with operated.download(), operated.download():
        pass
    sent = [entry["bytes_sent"] for entry in operated.listed().values()]
    assert min(sent) > 0.4 * 20_000_000, "each byte over every path, but for what came too late"
    operated.path("policy", "pooled")
    with operated.download():
        operated.path("policy", "redundant")
