"""Uplinks in an event loop: what is damaged is repaired, and somebody hears which go and come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omtcp.errors import SetupError
from omtcp.net.plumbing import Plumbing
from omtcp.net.watch import UplinkWatch

_log = logging.getLogger("omtcp.aio")


@contextmanager
def watched(
    plumbing: Plumbing,
    watch: UplinkWatch,
    handle_path: Callable[[int, bool], None],
    on_look: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Meanwhile uplinks that come back are repaired, and `handle_path` hears which go and come.

    `on_look` is called first whenever something may have been repaired.
    """
    loop = asyncio.get_running_loop()

    def tell(changes: list[tuple[int, bool]]) -> None:
        for index, up in changes:
            uplink = plumbing.paths[index].uplink
            _log.warning("path %s is %s", uplink, "up" if up else "down")
            handle_path(index, up)

    def on_readable() -> None:
        try:
            changes = watch.handle_readable()
        except SetupError as error:
            _log.warning("%s", error)
            changes = watch.poll_changes()
        on_look()
        tell(changes)

    loop.add_reader(watch.fileno(), on_readable)
    try:
        yield
    finally:
        loop.remove_reader(watch.fileno())
