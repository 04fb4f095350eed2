"""The lab on the real kernel: its links are what they say, and it leaves nothing behind."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from omtcp.lab import Case, Client, SenderSpec, parse_sender, run
from omtcp.lab.netns import PREFIX, remove_leftovers
from omtcp.lab.network import CLIENT, Network
from omtcp.lab.sharing import Competitors, parse_bottleneck
from omtcp.link import parse_link

pytestmark = pytest.mark.namespaces

S = 1_000_000_000
MS = 1_000_000
KERNEL = (SenderSpec(kind="kernel"),)


def case(*uplinks: str, seconds: float = 2.5, **more: object) -> Case:
    plain = Case(uplinks=tuple(map(parse_link, uplinks)), duration_ns=int(seconds * S))
    return replace(plain, senders=KERNEL, **more)  # type: ignore[arg-type]


def namespaces_of(pid: int) -> list[str]:
    return [e for e in os.listdir("/run/netns") if e.startswith(f"{PREFIX}-{pid}-")]


@pytest.mark.parametrize("family", [4, 6])
def test_kernel_tcp_fills_a_link_and_no_more(family: int) -> None:
    (one,) = run(case("50mbit,5ms", family=family)).runs
    assert one.ok, one.errors
    assert 35e6 < one.goodput_bps < 48.3e6
    assert one.emulator["overruns"] == 0
    assert one.emulator["counters"]["0"]["peak_backlog"] <= 62_500
    assert one.paths[0].cwnd
    assert namespaces_of(os.getpid()) == []


PROBE_RECEIVER = """
import socket, struct, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
receiver = socket.socket(family, socket.SOCK_DGRAM)
receiver.bind((sys.argv[1], 9))
receiver.settimeout(10)
print("ready", flush=True)
for _ in range(100):
    sent, = struct.unpack("q", receiver.recv(100))
    print(time.monotonic_ns() - sent)
"""
PROBE_SENDER = """
import socket, struct, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
for _ in range(100):
    sender.sendto(struct.pack("q", time.monotonic_ns()), (sys.argv[1], 9))
    time.sleep(0.003)
"""


@pytest.mark.parametrize("family", [4, 6])
def test_each_direction_has_its_own_delay(family: int, tmp_path: Path) -> None:
    with Network(case("50mbit,10ms", "50mbit,40ms", family=family), tmp_path) as network:
        network.own_address()
        for uplink, delay in ((0, 10), (1, 40), (None, 10)):
            source, target, address = network.server, network.client, CLIENT[family]
            if uplink is None:
                source, target, address = target, source, network.served
            else:
                network.default_uplink(uplink)
            command = target.command([sys.executable, "-c", PROBE_RECEIVER, address])
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
                assert receiver.stdout is not None
                assert receiver.stdout.readline() == "ready\n"
                send = source.command([sys.executable, "-c", PROBE_SENDER, address])
                subprocess.run(send, check=True)
                delays = [int(line) for line in receiver.stdout]
            assert len(delays) == 100
            assert min(delays) >= delay * MS
            assert statistics.median(delays) < (delay + 2) * MS


def test_a_cut_silences_the_uplink_and_only_that() -> None:
    events = ("1s:cut:0", "1600ms:restore:0")
    cut = replace(case("20mbit,2ms", "20mbit,2ms", seconds=3), events=events)
    both = replace(cut, senders=(parse_sender("kernel:0"), parse_sender("kernel:1")))
    first, second = run(both).runs
    assert first.ok
    assert second.ok
    assert first.longest_silence_ns >= 590 * MS
    assert second.longest_silence_ns < 300 * MS
    assert [recovery.label for recovery in first.recoveries] == ["cut 0", "restore 0"]


def test_rate_delay_and_loss_change_on_time() -> None:
    events = ("1s:rate:0:5mbit", "2s:rate:0:20mbit", "2s:delay:0:20ms", "2s:loss:0:1%")
    (one,) = run(case("20mbit,2ms", seconds=3, events=events)).runs
    assert one.ok
    slow = [mbps for second, mbps in one.uplinks["0"] if 1.1 < second < 1.95]
    assert statistics.mean(slow) == pytest.approx(5, rel=0.1)
    assert one.emulator["counters"]["0"]["dropped"].get("loss", 0) > 0


@pytest.mark.parametrize("client", [Client(), Client(timestamps=False)], ids=["plain", "no-ts"])
def test_the_policy_is_switched_while_it_runs(client: Client) -> None:
    links = case("20mbit,10ms", "20mbit,10ms", seconds=4, client=client, events=("3s:cut:1",))
    (one,) = run(replace(links, senders=(parse_sender("omtcp:pooled:1s=redundant"),))).runs
    assert one.ok, one.errors
    carried = [sum(mbps for at, mbps in one.uplinks[n] if 1.5 < at < 3) for n in ("0", "1")]
    arrived = sum(mbps for at, mbps in one.goodput if 1.5 < at < 3)
    assert arrived > 0
    assert all(each > 0.7 * arrived for each in carried)


@pytest.mark.parametrize(
    "client",
    [
        Client(sack=False),
        Client(timestamps=False),
        Client(ecn=True),
        Client(buffer=65536),
        Client(mtu=1280),
        Client(program="curl"),
    ],
    ids=Client.describe,
)
def test_every_kind_of_client(client: Client) -> None:
    (one,) = run(case("50mbit,2ms,mark=20kB", seconds=2, client=client, size=4_000_000)).runs
    assert one.ok, one.errors
    assert one.complete
    assert one.received == 4_000_000
    assert (one.emulator["counters"]["0"]["marked"] > 0) == client.ecn


def test_a_small_buffer_bounds_the_rate() -> None:
    (one,) = run(case("100mbit,20ms", client=Client(buffer=65536))).runs
    assert one.goodput_bps < 2 * 65536 * 8 / 0.040


def test_the_return_traffic_can_move() -> None:
    events = ("1s:return:1", "1100ms:cut:return")
    (one,) = run(case("20mbit,2ms", "20mbit,9ms", seconds=2, events=events)).runs
    assert one.longest_silence_ns > 700 * MS


def test_direct_uplinks_are_fast() -> None:
    (one,) = run(case("inf,0ms", "inf,0ms", seconds=1.5, direct=True)).runs
    assert one.ok, one.errors
    assert one.goodput_bps > 2e9


@pytest.mark.parametrize("mode", ["primary", "pooled"])
def test_omtcp_outlives_a_cut(mode: str) -> None:
    links = case("50mbit,5ms", "50mbit,8ms", seconds=20, events=("1500ms:cut:0",), size=12_000_000)
    (one,) = run(replace(links, senders=(SenderSpec(mode=mode),))).runs
    assert one.ok, one.errors
    assert one.complete
    assert one.longest_silence_ns < 1 * S
    assert {0, 1} <= one.paths.keys()


@pytest.mark.parametrize("family", [4, 6])
def test_mptcp_uses_every_uplink(family: int) -> None:
    links = case("20mbit,3ms", "20mbit,6ms", "20mbit,9ms", seconds=4, family=family)
    (one,) = run(replace(links, senders=(parse_sender("mptcp"),))).runs
    assert one.ok, one.errors
    assert one.paths.keys() == {0, 1, 2}
    assert one.goodput_bps > 40e6
    for uplink in "012":
        assert one.emulator["counters"][uplink]["delivered_bytes"] > 2_000_000
    for path, delay in enumerate((3, 6, 9)):
        assert min(ms for _, ms in one.paths[path].srtt_ms) >= delay + 3


def test_mptcp_outlives_a_cut_of_the_uplink_it_began_on() -> None:
    links = case("20mbit,3ms", "20mbit,6ms", seconds=5, events=("2s:cut:0",))
    (one,) = run(replace(links, senders=(parse_sender("mptcp"),))).runs
    assert one.ok, one.errors
    assert one.longest_silence_ns < 2 * S
    assert statistics.mean(mbps for second, mbps in one.goodput if second > 4) > 15


def test_mptcp_over_cables() -> None:
    links = case("inf,0ms", "inf,0ms", seconds=1.5, direct=True)
    (one,) = run(replace(links, senders=(parse_sender("mptcp"),))).runs
    assert one.ok, one.errors
    assert one.paths.keys() == {0, 1}


@pytest.mark.parametrize("family", [4, 6])
def test_a_bottleneck_is_shared_with_competitors(family: int) -> None:
    links = case("40mbit,5ms", "40mbit,5ms", seconds=3, family=family)
    shared = replace(
        links,
        bottleneck=parse_bottleneck("20mbit"),
        competitors=(Competitors(count=2),),
        fair_from_ns=1 * S,
        senders=(*KERNEL, parse_sender("mptcp")),
    )
    for one in run(shared).runs:
        assert one.ok, one.errors
        whole, late = one.shares
        rates = [late.measured_bps, *late.competitors_bps]
        assert len(rates) == 3
        assert 16e6 < sum(rates) < 19.5e6
        assert min(rates) > 1e6
        assert whole.from_ns == 0
        counters = one.emulator["counters"]
        assert counters["bottleneck"]["peak_backlog"] <= 25_000
        names = ("0", "1", "competitor 0.0", "competitor 0.1")
        packets = [counters[name]["delivered_packets"] for name in names]
        assert all(count > 100 for count in packets[2:])
        assert (packets[1] > 100) == one.sender.startswith("mptcp")
        assert counters["bottleneck"]["offered_packets"] == sum(packets)


def test_competitors_on_one_uplink_leave_the_other_alone() -> None:
    links = case("20mbit,5ms", "20mbit,5ms", seconds=3)
    two = replace(
        links,
        competitors=(Competitors(count=2, uplink=0),),
        senders=(parse_sender("kernel:0"), parse_sender("kernel:1")),
    )
    beside, alone = run(two).runs
    assert alone.goodput_bps > 16e6
    assert beside.goodput_bps < 15e6
    assert 16e6 < beside.goodput_bps + sum(beside.shares[0].competitors_bps) < 19.5e6


@pytest.mark.parametrize("what", ["all", "data"])
def test_an_uplink_that_swallows(what: str) -> None:
    links = case(f"20mbit,2ms,swallow={what}", "20mbit,4ms", seconds=10, size=2_000_000)
    both = replace(links, senders=(parse_sender("kernel:0"), SenderSpec()))
    lost, ours = run(replace(both, duration_ns=4 * S)).runs
    assert lost.errors[-1] == "nothing arrived"
    assert lost.emulator["counters"]["0"]["dropped"]["swallowed"] > 0
    assert ours.ok, ours.errors
    assert ours.complete


def test_an_uplink_can_begin_and_end_to_swallow() -> None:
    events = ("1s:swallow:0:data", "1600ms:swallow:0:none")
    (one,) = run(case("20mbit,2ms", seconds=3, events=events)).runs
    assert one.ok
    assert 590 * MS <= one.longest_silence_ns < 1600 * MS


def test_when_a_restored_uplink_carried_data() -> None:
    events = ("1s:cut:0", "2s:restore:0")
    links = case("20mbit,2ms", "20mbit,4ms", seconds=4, events=events)
    kernel, ours = run(replace(links, senders=(*KERNEL, SenderSpec(mode="pooled")))).runs
    for one in (kernel, ours):
        cut, restore = one.recoveries
        assert cut.data_ns is None
        assert restore.data_ns is not None
        assert 0 < restore.data_ns < 2 * S
    assert ours.recoveries[1].ping_ns is not None


def test_a_sender_that_cannot_start_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "omtcp", "lab", "--uplink", "5mbit,1ms", "--duration", "1s"]
    command += ["--sender", "omtcp:primary:--no-such-option"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no-such-option" in done.stderr


def start_lab() -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "omtcp",
        "lab",
        "--uplink",
        "5mbit,1ms",
        "--uplink",
        "5mbit,1ms",
    ]
    child = subprocess.Popen(
        [*command, "--duration", "60s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while len(namespaces_of(child.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    assert len(namespaces_of(child.pid)) == 3
    return child


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_interrupted_lab_leaves_nothing(how: signal.Signals, status: int) -> None:
    child = start_lab()
    child.send_signal(how)
    _, complaint = child.communicate(timeout=30)
    assert child.returncode == status
    assert "Traceback" not in complaint
    assert namespaces_of(child.pid) == []


def test_what_a_killed_lab_leaves_the_next_one_removes() -> None:
    child = start_lab()
    child.kill()
    child.communicate()
    left = namespaces_of(child.pid)
    assert len(left) == 3
    files = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}-{child.pid}-*"))
    assert len(files) == 1
    assert {*left, files[0].name} <= set(remove_leftovers())
    assert namespaces_of(child.pid) == []
    assert not files[0].exists()
