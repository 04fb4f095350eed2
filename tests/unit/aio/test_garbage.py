"""A connection that is over leaves nothing behind that only the cyclic collector could find."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from omtcp.aio.server import Server
from omtcp.apps.fileserver import FileServer
from omtcp.core.connection import Connection
from omtcp.core.events import Event

from ..net.loopback import Ends, JumpingLoop, run  # noqa: TID252  # tests are no package


def test_a_visit_leaves_no_cycle(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    files = FileServer(str(tmp_path))

    async def main(loop: JumpingLoop) -> None:
        def on_event(connection: Connection, event: Event) -> None:
            server.on_event(connection, event)

        def on_accept(connection: Connection) -> None:
            server.on_accept(connection)

        ends = Ends(loop, on_event=on_event, on_accept=on_accept)
        server = Server(files.protocol, ends.endpoint, {0: "eth0"}.get)
        server.attach(ends.driver)

        async def visit() -> None:
            client = ends.connect()
            client.write(b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            ends.client.wake(client)
            await ends.settle()
            assert client.read().endswith(b"content")
            client.close()
            ends.client.wake(client)
            await ends.settle()
            await asyncio.sleep(90)  # beyond TIME-WAIT

        await visit()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await visit()
            gc.collect()
            left = [thing for thing in gc.garbage if type(thing).__module__.startswith("omtcp")]
            assert left == []
        finally:
            gc.set_debug(0)
            gc.enable()
            gc.garbage.clear()
        ends.close()

    run(main)
