"""pmd-pytcp, in process, on a TUN device: an endless body for each connection.

python -m omtcp.bench.peers.pmd_pytcp DEVICE ADDRESS/LENGTH GATEWAY PORT
"""

import asyncio
import contextlib
import sys
from typing import Any

from pmd_net_addr import Ip4Address, Ip4IfAddr
from pmd_pytcp import socket, stack

from omtcp.bench.peers.endless import AHEAD, BLOCK, HEAD
from omtcp.lab.processes import die_with_parent, say

_PATIENCE_S = 10


async def _answer(connection: Any) -> None:
    with contextlib.suppress(OSError):
        await connection.recv(65_536)
        await connection.send(HEAD)
        # Its send never waits: the application must, or the buffer grows and nobody else runs.
        session = connection._tcp_session
        while True:
            if len(session._tx.buffer) < AHEAD:
                await connection.send(BLOCK)
            else:
                await asyncio.sleep(0.001)


async def _serve(device: str, address: str, gateway: str, port: int) -> None:
    stack.init()
    interface = stack.initialize_interface__tun(interface_name=device)
    host = Ip4IfAddr(address)
    stack.add_interface(
        **interface, ip4_support=True, ip4_host=host, ip4_dhcp=False, ip6_support=False
    )
    stack.route.replace_default(gateway=Ip4Address(gateway), protocol=stack.RouteProtocol.STATIC)
    await stack.start()
    own = host.address
    async with asyncio.timeout(_PATIENCE_S):  # it looks first whether somebody else has the address
        while own not in stack.local_ip4_unicast():
            await asyncio.sleep(0.05)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((address.partition("/")[0], port))
    listener.listen()
    say("ready")
    answers = set()
    while True:
        connection, _ = await listener.accept()
        answers.add(asyncio.create_task(_answer(connection)))


def main() -> None:
    die_with_parent()
    device, address, gateway, port = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(device, address, gateway, int(port)))


if __name__ == "__main__":
    main()
