"""`omtcp serve --workers N`: connections stay where they are, and one worker's death is its own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from .hosts import SERVED
from .serving import CONTENT, PORT, Download, Serving, World, command, cpu_seconds, digest, until
from .serving import world as new_world

pytestmark = pytest.mark.namespaces

FAMILIES = pytest.mark.parametrize("family", [4, 6])
FORGOTTEN = 6.0
"""Seconds after which the kernel has forgotten which queue sent packets of a connection."""
SECOND = 1_000_000_000
REQUEST = b"GET /%b HTTP/1.1\r\nHost: here\r\n\r\n"
START_AGAIN = re.compile(
    r"^\S+ \S+ WARNING worker (\d) \(process (\d+)\) was killed by SIGKILL; "
    r"its connections are lost, it starts again in 0\.1 s$",
    re.MULTILINE,
)


@pytest.fixture
def fast() -> Iterator[World]:
    """A world whose legs carry whatever comes."""
    with new_world() as made:
        yield made


def workers_of(serving: Serving) -> dict[int, int]:
    """Process IDs by worker's number."""
    found = {}
    children = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text()
    for child in map(int, children.split()):
        name = Path(f"/proc/{child}/comm").read_text().strip()
        if name.startswith("omtcp-worker-"):
            found[int(name.rpartition("-")[2])] = child
    return found


@contextmanager
def served(
    world: World, directory: Path, tmp_path: Path, count: int, *options: str, family: int = 4
) -> Iterator[Serving]:
    """A server that must end well, and leave nothing behind."""
    before = settled(world)
    options = ("--workers", str(count), *options)
    serving = Serving(world, directory, tmp_path / "log", *options, family=family)
    try:
        assert sorted(workers_of(serving)) == list(range(1, count + 1))
        yield serving
    finally:
        assert serving.stop() == 0, serving.log
    assert "Traceback" not in serving.log
    after = world.server.snapshot()
    for what in before:
        assert after[what].splitlines() == before[what].splitlines(), what


def settled(world: World) -> dict[str, str]:
    """What the host looks like, once the kernel is done with making the interfaces."""
    found = world.server.snapshot()
    while True:
        time.sleep(0.2)
        later = world.server.snapshot()
        if later == found:
            return found
        found = later


def fetch(client: socket.socket, name: str) -> str:
    """Ask for a file and read it; the digest of the body."""
    client.sendall(REQUEST % name.encode())
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < CONTENT[name]:
        more = client.recv(1 << 20)
        assert more, "closed too soon"
        data += more
    return digest(data.partition(b"\r\n\r\n")[2])


def resets(world: World) -> int:
    """Resets that the client's kernel has seen or sent, and handshakes that failed."""
    with world.client.inside():
        lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
    found = dict(zip(names, map(int, values), strict=True))
    return found["EstabResets"] + found["AttemptFails"] + found["OutRsts"]


def lines_of(events: Path, worker: int) -> list[str]:
    return events.with_name(f"{events.stem}.{worker}.jsonl").read_text().splitlines()


def opened(events: Path, worker: int) -> list[str]:
    """The clients whose connections a worker has accepted."""
    header, *found = map(json.loads, lines_of(events, worker))
    assert header["worker"] == worker
    return [line["data"]["peer"] for line in found if line["name"] == "connection_opened"]


def owners(events: Path, count: int) -> dict[str, int]:
    """By client, the worker that has accepted its connection."""
    return {peer: worker for worker in range(1, count + 1) for peer in opened(events, worker)}


def name_of(client: socket.socket) -> str:
    host, port = client.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@FAMILIES
@pytest.mark.parametrize("count", [2, 3])
def test_a_connection_stays_with_its_worker(
    fast: World, directory: Path, tmp_path: Path, family: int, count: int
) -> None:
    """Whichever uplink its packets come in by, and however long it was idle."""
    events = tmp_path / "events.jsonl"
    wanted = digest((directory / "small").read_bytes())
    before = resets(fast)
    with (
        served(fast, directory, tmp_path, count, "--events", str(events), family=family) as serving,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(fast.connect(family)) for _ in range(60)]
        for leg in (0, 1):
            fast.client_sends_by(leg)
            for client in clients:
                assert fetch(client, "small") == wanted
        time.sleep(FORGOTTEN)
        for leg in (0, 1):
            fast.client_sends_by(leg)
            for client in clients:
                assert fetch(client, "small") == wanted
        names = {name_of(client) for client in clients}
        assert resets(fast) == before
        assert serving.log == ""
    shares = [opened(events, worker) for worker in range(1, count + 1)]
    assert {name for share in shares for name in share} == names
    assert sum(map(len, shares)) == len(clients), "a connection had two owners"
    assert min(map(len, shares)) >= 60 // count // 4


def test_downloads_at_once_are_whole(fast: World, directory: Path, tmp_path: Path) -> None:
    with served(fast, directory, tmp_path, 3) as serving, ExitStack() as stack:
        downloads = [
            fast.download(serving.url("large"), tmp_path / f"got{number}") for number in range(12)
        ]
        for download in downloads:
            stack.callback(download.stop)
        wanted = digest((directory / "large").read_bytes())
        for download in downloads:
            assert download.finish() == 0, download.complaint
            assert digest(download.to.read_bytes()) == wanted


@contextmanager
def downloads_under_way(
    world: World, serving: Serving, tmp_path: Path, count: int
) -> Iterator[list[Download]]:
    with ExitStack() as stack:
        downloads = [
            world.download(serving.url("large"), tmp_path / f"got{number}")
            for number in range(count)
        ]
        for download in downloads:
            stack.callback(download.stop)
        for download in downloads:
            download.reach(100_000)
        yield downloads


def test_a_worker_that_is_killed(alone: World, directory: Path, tmp_path: Path) -> None:
    """Its connections are lost and nobody else's, it has an heir soon, and there is one line."""
    events = tmp_path / "events.jsonl"
    wanted = digest((directory / "large").read_bytes())
    with (
        served(alone, directory, tmp_path, 2, "--events", str(events)) as serving,
        ExitStack() as stack,
    ):
        idle = [stack.enter_context(alone.connect()) for _ in range(12)]
        for client in idle:
            fetch(client, "small")
        with downloads_under_way(alone, serving, tmp_path, 8) as downloads:
            until(lambda: bool(opened(events, 1)), "news of worker 1 in its file")
            victims = workers_of(serving)
            os.kill(victims[1], signal.SIGKILL)
            until(lambda: len(workers_of(serving)) == 2 and workers_of(serving) != victims, "heir")
            assert workers_of(serving)[2] == victims[2]
            # Who sends something hears that its connection is gone; the others are served.
            lost = kept = 0
            for client in idle:
                try:
                    assert fetch(client, "small") == digest((directory / "small").read_bytes())
                    kept += 1
                except ConnectionResetError:
                    lost += 1
            assert lost
            assert kept
            fresh = [stack.enter_context(alone.connect()) for _ in range(12)]
            for client in fresh:
                assert fetch(client, "small") == digest((directory / "small").read_bytes())
            until(lambda: sum(not download.running for download in downloads) >= 1, "an end")
            whole = [
                download
                for download in downloads
                if download.to.stat().st_size == CONTENT["large"] or download.finish() == 0
            ]
        assert START_AGAIN.findall(serving.log) == [("1", str(victims[1]))]
        assert serving.log.count("\n") == 1
    assert 0 < len(whole) < len(downloads)
    for download in whole:
        assert digest(download.to.read_bytes()) == wanted
    assert (tmp_path / "events.1-1.jsonl").exists(), "the successor has a file of its own"
    assert opened(events, 1), "that of the dead is as it was"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all(
    alone: World, directory: Path, tmp_path: Path, how: signal.Signals
) -> None:
    with (
        served(alone, directory, tmp_path, 3) as serving,
        downloads_under_way(alone, serving, tmp_path, 4) as downloads,
        ExitStack() as stack,
    ):
        idle = [stack.enter_context(alone.connect()) for _ in range(6)]
        pids = workers_of(serving).values()
        assert serving.stop(how) == 0
        for client in idle:
            with pytest.raises(ConnectionResetError):  # nobody is left waiting
                client.recv(1)
        for download in downloads:
            assert download.finish() == 56  # "failure in receiving network data"
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert serving.log == ""


def test_a_signal_to_everybody(alone: World, directory: Path, tmp_path: Path) -> None:
    """As service managers send it: nobody wonders where the others are."""
    with served(alone, directory, tmp_path, 3) as serving:
        for pid in workers_of(serving).values():
            os.kill(pid, signal.SIGTERM)
        assert serving.stop() == 0
        assert serving.log == ""


def test_a_signal_to_one_worker_ends_that_one(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    with served(alone, directory, tmp_path, 2) as serving:
        before = workers_of(serving)
        with alone.connect() as first, alone.connect() as second:
            os.kill(before[2], signal.SIGTERM)
            until(lambda: workers_of(serving) not in ({1: before[1]}, before), "an heir")
            assert workers_of(serving)[1] == before[1]
            for client in (first, second):
                client.close()
        assert "worker 2" in serving.log
        assert " ended; its connections are lost, it starts again in 0.1 s" in serving.log


def test_workers_end_when_their_supervisor_is_killed(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    before = settled(alone)
    first = Serving(alone, directory, tmp_path / "first", "--workers", "2")
    pids = list(workers_of(first).values())
    with alone.connect() as stranded:
        first.stop(signal.SIGKILL)
        with pytest.raises(ConnectionResetError):
            stranded.recv(1)
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "end of the workers")
    second = Serving(alone, directory, tmp_path / "second", "--workers", "2")
    try:
        assert alone.curl(second.url("small")).returncode == 0
    finally:
        assert second.stop() == 0
    assert alone.server.snapshot() == before


def test_a_worker_that_hangs_does_not_keep_the_rest_from_ending(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    with served(alone, directory, tmp_path, 2) as serving:
        os.kill(workers_of(serving)[1], signal.SIGSTOP)
        assert serving.stop() == 0
        assert serving.log.endswith("worker 1 does not end, and is killed\n")


@FAMILIES
def test_icmp_reaches_whom_it_concerns(
    fast: World, directory: Path, tmp_path: Path, family: int
) -> None:
    """All that a router says comes to one worker; without it, those of the others would wait."""
    fast.router.ip("link set c0 mtu 1300\nlink set c1 mtu 1300")
    events = tmp_path / "events.jsonl"
    options = ("--mode", "single", "--events", str(events))
    with (
        served(fast, directory, tmp_path, 3, *options, family=family) as serving,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(fast.connect(family)) for _ in range(24)]
        for client in clients:
            assert fetch(client, "small") == digest((directory / "small").read_bytes())
        names = [name_of(client) for client in clients]
        assert serving.log == ""
    owner = owners(events, 3)
    assert {owner[name] for name in names} == {1, 2, 3}


def test_a_worker_that_cannot_serve_keeps_everything_from_starting(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    before = settled(alone)
    options = ("--workers", "2", "--events", str(tmp_path / "none" / "e"))
    done = subprocess.run(
        command(alone, directory, *options), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("omtcp: cannot write events to ")
    assert done.stderr.count("\n") == 1
    assert alone.server.snapshot() == before


def test_a_worker_that_keeps_dying_is_started_ever_more_slowly(
    alone: World, directory: Path, tmp_path: Path
) -> None:
    site, away = tmp_path / "site", tmp_path / "away"
    site.mkdir()
    (site / "small").write_bytes((directory / "small").read_bytes())
    with served(alone, site, tmp_path, 2) as serving:
        site.rename(away)
        os.kill(workers_of(serving)[1], signal.SIGKILL)
        until(lambda: "again in 0.8 s" in serving.log, "a longer pause")
        away.rename(site)
        until(lambda: len(workers_of(serving)) == 2, "an heir")
        until(lambda: "omtcp-worker" in comm_of(workers_of(serving).get(1)), "its name")
        with ExitStack() as stack:
            clients = [stack.enter_context(alone.connect()) for _ in range(16)]
            for client in clients:
                assert fetch(client, "small") == digest((site / "small").read_bytes())
        lines = serving.log.splitlines()
    pauses = [float(line.rpartition("again in ")[2].split()[0]) for line in lines]
    assert pauses == [0.1, 0.2, 0.4, 0.8][: len(pauses)]
    assert "was killed by SIGKILL" in lines[0]
    assert all(f"cannot serve: cannot serve {site}: No such file" in line for line in lines[1:])


def comm_of(pid: int | None) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def test_on_a_terminal_the_table_shows_all(fast: World, directory: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    words = command(fast, directory, "--workers", "2")
    with (
        subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        os.close(theirs)
        screen = read_until(ours, b"", b"by 2 workers")
        clients = [stack.enter_context(fast.connect()) for _ in range(16)]
        for client in clients:
            fetch(client, "small")
        screen = read_until(ours, screen, b"16 connections")
        screen = read_until(ours, screen, b"16 done")
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # EIO is how a terminal ends
            while data := os.read(ours, 4096):
                screen += data
        assert process.wait(20) == 0
    os.close(ours)
    assert b"Traceback" not in screen


def read_until(terminal: int, screen: bytes, text: bytes) -> bytes:
    deadline = time.monotonic() + 20
    while text not in screen:
        assert time.monotonic() < deadline, screen[-3000:]
        if select.select([terminal], [], [], 1)[0]:
            screen += os.read(terminal, 4096)
    return screen


def test_idle_workers_cost_next_to_nothing(fast: World, directory: Path, tmp_path: Path) -> None:
    with served(fast, directory, tmp_path, 2) as serving, ExitStack() as stack:
        clients = [stack.enter_context(fast.connect()) for _ in range(20)]
        for client in clients:
            fetch(client, "small")

        def used() -> float:
            return sum(map(cpu_seconds, [serving.pid, *workers_of(serving).values()]))

        time.sleep(1.5)  # every ping that is still due
        before = used()
        time.sleep(1)
        assert used() - before < 0.1


def test_a_flood_of_syns_is_spread(fast: World, directory: Path, tmp_path: Path) -> None:
    """No worker gets much more of it than another, and who means it is served."""
    lead, seconds = 4, 3  # a process takes its time to start where others are busy
    with served(fast, directory, tmp_path, 3) as serving:
        pids = workers_of(serving)
        before = {number: reads(pid) for number, pid in pids.items()}
        job = {
            "host": SERVED[4],
            "port": PORT,
            "rate": 1000,
            "start_ns": time.monotonic_ns() + lead * SECOND,
            "duration_ns": seconds * SECOND,
        }
        words = fast.client.command(sys.executable, "-m", "omtcp.bench.flood", json.dumps(job))
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as flood:
            while flood.poll() is None:
                got = fast.curl(serving.url("small"))
                assert digest(got.stdout) == digest((directory / "small").read_bytes())
            assert flood.stdout is not None
            sent = json.loads(flood.stdout.read().splitlines()[-1])["result"]["sent"]
        seen = [reads(pid) - before[number] for number, pid in pids.items()]
        assert workers_of(serving) == pids
    assert sent > 100  # on a machine that has other things to do
    assert max(seen) < 3 * min(seen), seen


def reads(pid: int) -> int:
    """How often a process has read: once for each packet, at least."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["syscr"])
