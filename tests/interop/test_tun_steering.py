"""Which queue of a TUN device a packet comes out of: what `omtcp serve --workers` is built on.

The kernel chooses by a hash of addresses and ports that is the same in both directions and on every
device, unless a queue has sent packets of that flow lately. Neither is written down anywhere, so
this is where it is found out if a kernel does otherwise.
"""

from __future__ import annotations

import os
import select
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from omtcp.net.tun import PACKET_SIZE, Tun
from omtcp.wire.header import HeaderWriter
from omtcp.wire.tcp import ACK, SYN, Segment

from .hosts import CLIENT, SERVED, Namespace

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root"),
]

QUEUES = 3
PORTS = range(20_000, 20_200)
PORTS_END = 44
"""Behind the ports of a TCP packet, whatever the family."""
FORGOTTEN = 3.0
"""Seconds after which the kernel forgets who sent packets of a flow."""


@dataclass
class Host:
    """Two devices with as many queues each, and one by which clients' packets come in."""

    namespace: Namespace
    family: int
    devices: list[list[Tun]]
    feed: Tun

    def packet(
        self, port: int, *, reply: bool = False, flags: int = SYN, label: int = 0, payload: int = 0
    ) -> bytes:
        client, served = (ip_address(address[self.family]).packed for address in (CLIENT, SERVED))
        ends = (served, client, 80, port) if reply else (client, served, port, 80)
        segment = Segment(
            source_port=ends[2],
            destination_port=ends[3],
            seq=1,
            ack=1,
            flags=flags,
            window=1000,
            payload=(bytes(payload),),
            length=payload,
        )
        return HeaderWriter(*ends, flow_label=label).packet(segment)

    def send_to(self, device: int) -> None:
        """What comes in for the served address goes to that device from now on."""
        name = self.devices[device][0].name
        self.namespace.ip(f"route replace {SERVED[self.family]} dev {name}")

    def queues_of(
        self, device: int, flags: int = SYN, *, label: int = 0, payload: int = 0
    ) -> dict[int, int]:
        """By port, the queue at which a client's packet comes out."""
        self.send_to(device)
        found = {}
        for port in PORTS:
            packet = self.packet(port, flags=flags, label=label, payload=payload)
            assert self.feed.write_packet(packet)
            found[port] = self.queue_with(device, port)
        return found

    def queue_with(self, device: int, port: int) -> int:
        """The queue of a device where the packet from a port comes out; others are lost."""
        buffer = bytearray(PACKET_SIZE)
        while ready := select.select(self.devices[device], [], [], 5)[0]:
            for tun in ready:
                got = tun.read_into(buffer)
                if got is not None and port.to_bytes(2) in buffer[:PORTS_END]:
                    return self.devices[device].index(tun)
        raise AssertionError(f"nothing from port {port}")

    def reply(self, device: int, queues: dict[int, int]) -> None:
        """Every flow is answered by the queue that is named for it."""
        for port, queue in queues.items():
            tun = self.devices[device][queue]
            assert tun.write_packet(self.packet(port, reply=True, flags=SYN | ACK))
        while self.feed.read_into(bytearray(PACKET_SIZE)) is not None:
            pass


@contextmanager
def host(family: int) -> Iterator[Host]:
    with ExitStack() as stack:
        namespace = Namespace("queues")
        stack.callback(namespace.remove)
        namespace.write_sysctl("net/ipv4/ip_forward", "1")
        namespace.write_sysctl("net/ipv6/conf/all/forwarding", "1")
        for name in ("all", "default"):
            namespace.write_sysctl(f"net/ipv4/conf/{name}/rp_filter", "0")
        with namespace.inside():
            feed = stack.enter_context(Tun.open("feed"))
            devices = []
            for number in range(2):
                opened = [
                    stack.enter_context(Tun.open(f"queues{number}", multi_queue=True))
                    for _ in range(QUEUES)
                ]
                devices.append(opened)
        for tun in (feed, *(tuns[0] for tuns in devices)):
            namespace.write_sysctl(f"net/ipv6/conf/{tun.name}/addr_gen_mode", "1")
            namespace.ip(f"link set {tun.name} up")
        namespace.ip(f"route add {CLIENT[family]} dev feed")
        yield Host(namespace, family, devices, feed)


@pytest.mark.parametrize("family", [4, 6])
def test_a_flow_has_one_queue_on_all_devices_for_ever(family: int) -> None:
    with host(family) as made:
        first = made.queues_of(0)
        assert set(Counter(first.values())) == set(range(QUEUES))
        assert made.queues_of(1) == first, "each device has a mind of its own"
        for device in (0, 1):
            made.reply(device, first)
        for device in (0, 1):
            assert made.queues_of(device, ACK) == first, "answers moved the flow"
        time.sleep(2 * FORGOTTEN)
        for device in (0, 1):
            assert made.queues_of(device, ACK) == first, "idleness moved the flow"


@pytest.mark.parametrize("family", [4, 6])
def test_what_else_is_in_a_packet_matters_not(family: int) -> None:
    """Kernels change the flow label of a connection when they think that its path is broken."""
    with host(family) as made:
        first = made.queues_of(0)
        assert made.queues_of(0, ACK, payload=700) == first
        assert made.queues_of(0, ACK, label=0xABCDE) == first


def test_flows_spread_evenly() -> None:
    with host(4) as made:
        shares = Counter(made.queues_of(0).values())
    assert max(shares.values()) < 1.5 * len(PORTS) / QUEUES


def test_a_queue_that_somebody_still_holds_keeps_its_flows() -> None:
    """A worker that dies takes its descriptors along; those of the supervisor are others."""
    with host(4) as made:
        first = made.queues_of(0)
        for tun in made.devices[0]:
            os.close(os.dup(tun.fileno()))
        assert made.queues_of(0) == first


def test_a_queue_that_is_closed_moves_flows() -> None:
    """Why the supervisor holds them all."""
    with host(4) as made:
        queues = list(made.devices[0])
        first = made.queues_of(0)
        made.devices[0].pop(0).close()
        later = made.queues_of(0)
        spared = [port for port, queue in first.items() if queue]
        assert any(made.devices[0][later[port]] is not queues[first[port]] for port in spared)
