"""What the operator of a sender does during a run: it switches the scheduling policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from time import monotonic_ns
from types import TracebackType
from typing import NamedTuple

from omtcp.control.client import ask
from omtcp.core.config import Policy
from omtcp.errors import LocalError, OmtcpError
from omtcp.link.spec import parse_time


class Switch(NamedTuple):
    """To `policy`, so long after the first SYN; `text` is as it was written."""

    at_ns: int
    policy: str
    text: str


def parse_switch(text: str) -> Switch:
    """`TIME=POLICY`, as 2s=redundant."""
    at, _, policy = text.partition("=")
    if policy not in tuple(Policy):
        raise LocalError(f"{text!r}: no policy {policy!r} ({', '.join(Policy)})")
    return Switch(parse_time(at), policy, text)


class Switches:
    """Makes them when their time comes, through the control socket, as `omtcp path policy` does."""

    def __init__(self, socket: Path | None, switches: Sequence[Switch], start_ns: int) -> None:
        """`start_ns`: the time of the first SYN on the monotonic clock."""
        self.errors: list[str] = []
        """Why some could not be made, once it has been left."""
        self._socket = socket
        wait = (start_ns - monotonic_ns()) / 1e9
        self._timers = [
            Timer(max(wait + switch.at_ns / 1e9, 0), self._make, [switch]) for switch in switches
        ]

    def __enter__(self) -> Switches:
        for timer in self._timers:
            timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for timer in self._timers:
            timer.cancel()
            timer.join()

    def _make(self, switch: Switch) -> None:
        try:
            if self._socket is None:
                raise LocalError("this sender has no control socket")
            ask(self._socket, "policy", {"name": switch.policy})
        except OmtcpError as error:
            self.errors.append(f"{switch.text}: {error}")
