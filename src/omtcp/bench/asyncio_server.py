"""The file server of `omtcp serve` on the kernel's TCP: the same HTTP, another stack below.

python -m omtcp.bench.asyncio_server DIR ADDRESS PORT
"""

import asyncio
import contextlib
import sys

from omtcp.apps.fileserver import FileServer
from omtcp.lab.processes import die_with_parent, say

_BACKLOG = 4096


async def serve(root: str, address: str, port: int) -> None:
    """Serve `root` until cancelled."""
    files = FileServer(root)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(files.protocol, address, port, backlog=_BACKLOG)
    async with server:
        say("ready")
        await server.serve_forever()


def main() -> None:
    die_with_parent()
    root, address, port = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(root, address, int(port)))


if __name__ == "__main__":
    main()
