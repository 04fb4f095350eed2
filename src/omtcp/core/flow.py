"""Whose connection it is: the two ends, and how they are written."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple


class Flow(NamedTuple):
    """The two ends, as seen from here; addresses are 4 or 16 bytes."""

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int

    @property
    def octets(self) -> bytes:
        """All of it in a fixed form, to be hashed."""
        ports = self.local_port << 16 | self.remote_port
        return self.local + self.remote + ports.to_bytes(4, "big")

    @property
    def version(self) -> int:
        """Of IP."""
        return 4 if len(self.local) == 4 else 6

    @property
    def remote_text(self) -> str:
        """The remote address as people write it."""
        return str(ip_address(self.remote))

    @property
    def local_text(self) -> str:
        """The local address as people write it."""
        return str(ip_address(self.local))

    @property
    def peer(self) -> str:
        """The remote end in text, as 192.0.2.1:80 or [2001:db8::1]:80."""
        text = self.remote_text if self.version == 4 else f"[{self.remote_text}]"
        return f"{text}:{self.remote_port}"
