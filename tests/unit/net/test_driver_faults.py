"""A bug that one connection meets is the end of that one; the driver goes on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from omtcp.core.connection import Connection
from omtcp.core.events import Closed
from omtcp.core.state import State
from omtcp.errors import LocalError

from .loopback import Ends, JumpingLoop, run

pytestmark = pytest.mark.interpreted


def broken(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def break_verb(patch: pytest.MonkeyPatch, bad: Connection, verb: str) -> None:
    """From now on `verb` fails for `bad`, and for no other."""
    whole = getattr(Connection, verb)

    def perhaps(connection: Connection, *arguments: Any) -> Any:
        return (broken if connection is bad else whole)(connection, *arguments)

    patch.setattr(Connection, verb, perhaps)


async def by_a_segment(ends: Ends, client: Connection, server: Connection) -> None:
    client.write(b"request")
    ends.client.wake(client)


async def by_the_application(ends: Ends, client: Connection, server: Connection) -> None:
    ends.driver.wake(server)


async def by_a_timer(ends: Ends, client: Connection, server: Connection) -> None:
    ends.endpoint.settle(ends.driver.clock(), server)
    ends.loop.jumping.now += 10
    ends.driver.wake(ends.accepted[1])


@pytest.mark.parametrize(
    ("verb", "trigger"),
    [
        ("handle_segment", by_a_segment),
        ("poll_transmit", by_the_application),
        ("poll_event", by_the_application),
        ("poll_timeout", by_the_application),
        ("handle_timeout", by_a_timer),
    ],
)
def test_the_others_go_on(
    verb: str,
    trigger: Callable[[Ends, Connection, Connection], Coroutine[Any, Any, None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        first, second = ends.connect(), ends.connect()
        await ends.settle()
        bad, good = ends.accepted
        with monkeypatch.context() as patch:
            break_verb(patch, bad, verb)
            await trigger(ends, first, bad)
            await ends.settle()
        (closed,) = [event for connection, event in ends.events if connection is bad][1:]
        assert isinstance(closed, Closed)
        assert isinstance(closed.error, LocalError)
        assert [record.exc_info is not None for record in caplog.records] == [True]
        assert list(ends.endpoint.connections.values()) == [good]

        good.write(b"still here")
        ends.driver.wake(good)
        await ends.settle()
        assert second.read() == b"still here"
        first.write(b"are you?")
        ends.client.wake(first)
        await ends.settle()
        assert first.state is State.CLOSED, "a segment for a connection that is gone is refused"
        ends.close()

    run(main)


def test_a_bug_before_there_is_a_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(loop: JumpingLoop) -> None:
        ends = Ends(loop)
        with monkeypatch.context() as patch:
            patch.setattr(ends.endpoint, "_accept", broken)
            ends.connect()
            await ends.settle()
        assert [record.exc_info is not None for record in caplog.records] == [True]
        second = ends.connect()
        await ends.settle()
        assert second.state is State.ESTABLISHED
        ends.close()

    run(main)
