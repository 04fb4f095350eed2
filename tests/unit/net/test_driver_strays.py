"""ICMP errors go by the addresses of routers, so one may come to a process that is not meant."""

from __future__ import annotations

import asyncio

import pytest

from omtcp.wire.icmp import IcmpKind, encode_icmp_error

from .loopback import Ends, JumpingLoop, damaged, run

ROUTER = bytes([192, 0, 2, 254])
MTU = 1300


async def with_data_under_way(ends: Ends) -> bytes:
    """The first packet of what a connection sends and nobody receives."""
    ends.connect()
    await ends.settle()
    ends.tuns[0].other = None
    ends.tuns[0].written.clear()
    ends.accepted[0].write(bytes(5000))
    ends.driver.wake(ends.accepted[0])
    await ends.settle()
    return ends.tuns[0].written[0]


def error_about(packet: bytes, kind: IcmpKind = IcmpKind.TOO_BIG) -> bytes:
    return encode_icmp_error(ROUTER, kind, packet, mtu=MTU)


def about_somebody_else(packet: bytes) -> bytes:
    """The same packet, to another port."""
    return packet[:22] + b"\x00\x07" + packet[24:]


def test_an_error_about_a_connection_of_somebody_else_is_passed_on() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        strays: list[bytes] = []
        packet = await with_data_under_way(ends)
        stray = error_about(about_somebody_else(packet))
        ends.tuns[0].put(stray)  # nobody to pass it on to
        await ends.settle()
        ends.driver.on_stray = strays.append
        ends.tuns[0].put(stray)
        ends.tuns[0].put(error_about(packet))
        ends.tuns[0].put(error_about(about_somebody_else(packet), IcmpKind.UNREACHABLE))
        await asyncio.sleep(0.01)  # what comes thick is looked for once in a while
        assert strays == [stray]
        ends.close()

    run(main)


def test_an_error_that_was_passed_on_is_heeded() -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        packet = await with_data_under_way(ends)
        ends.tuns[0].written.clear()
        ends.driver.handle_stray(error_about(packet))
        assert ends.tuns[0].written, "nothing was sent again"
        assert ends.accepted[0].sender is not None
        assert ends.accepted[0].sender.subflows[0].mss <= MTU - 40
        ends.close()

    run(main)


@pytest.mark.parametrize("spoil", [damaged, lambda octets: octets[:30], lambda octets: b""])
def test_what_is_passed_on_may_be_anything(spoil: object) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        packet = await with_data_under_way(ends)
        assert callable(spoil)
        ends.driver.handle_stray(spoil(error_about(packet)))
        ends.driver.handle_stray(packet)
        ends.close()

    run(main)
