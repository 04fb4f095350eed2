"""PyTCP 2.7, in process, on a TAP device: an endless body for each connection.

python -m omtcp.bench.peers.pytcp DEVICE ADDRESS/LENGTH GATEWAY PORT
"""

import contextlib
import os
import sys
import threading
import time
from typing import Any

from pytcp import TcpIpStack, config
from pytcp.lib import socket

from omtcp.bench.peers.endless import AHEAD, BLOCK, HEAD
from omtcp.lab.processes import die_with_parent, say


def _answer(connection: Any) -> None:
    with contextlib.suppress(Exception):  # its socket errors share no base class
        connection.recv(65_536)
        connection.send(HEAD)
        session = connection.tcp_session
        while True:
            # Its send never waits: the application must.
            if len(session._tx_buffer) < AHEAD:
                connection.send(BLOCK)
            else:
                time.sleep(0.001)


def main() -> None:
    die_with_parent()
    device, address, gateway, port = sys.argv[1:]
    config.LOG_CHANEL = set()
    stack = TcpIpStack(interface=device, ip4_address=address, ip4_gateway=gateway)
    config.IP6_SUPPORT = False
    stack.start()
    listener = socket.socket(family=socket.AF_INET4, type=socket.SOCK_STREAM)
    listener.bind((address.partition("/")[0], int(port)))
    listener.listen()
    say("ready")
    try:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()
    except KeyboardInterrupt:
        os._exit(0)  # its threads would keep the process for seconds


if __name__ == "__main__":
    main()
