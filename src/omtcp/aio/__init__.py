"""asyncio on top of the driver: servers and transports."""

from omtcp.aio.server import Server, serve
from omtcp.aio.transport import Transport

__all__ = ["Server", "Transport", "serve"]
