"""What the operator wanted so far, for workers that are started later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from omtcp.control.protocol import VERBS, Request


class StandingOrders:
    """The last request of each verb for each path, in the order in which they came.

    Whatever a verb sets, the last word counts, and words about other things change nothing about
    it; so these have the same effect as all of them, and there are few.
    """

    def __init__(self) -> None:
        self._orders: dict[tuple[str, int | None], Request] = {}

    def note(self, request: Request, index: int | None = None) -> None:
        """A request was carried out, about path `index` or about all."""
        key = (request.verb, index)
        self._orders.pop(key, None)  # the last one stands last
        self._orders[key] = request

    def forget(self, index: int) -> None:
        """There is no such path any more."""
        for key in [key for key in self._orders if key[1] == index]:
            del self._orders[key]

    def requests(self, name_of: Callable[[int], str]) -> tuple[Request, ...]:
        """All of them; `name_of` says what a path is called by now.

        Forced where that can be: what was allowed then may only seem wrong now.
        """
        return tuple(
            _made_again(request, None if index is None else name_of(index))
            for (_, index), request in self._orders.items()
        )


def _made_again(request: Request, name: str | None) -> Request:
    arguments = dict(request.arguments)
    if name is not None:
        arguments["path"] = name
    if "force" in VERBS[request.verb]:
        arguments["force"] = True
    return replace(request, arguments=arguments)
