"""Deadlines: many of them behind one timer, in an event loop whose time passes when told to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Any

from omtcp.apps.http.patience import TICKS, Deadline, Patience


class Loop(asyncio.SelectorEventLoop):
    """Time stands still, and timers are counted."""

    now = 1000.0
    timers = 0

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]  # the base's type variables add nothing here
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    async def wait(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(4):
            await asyncio.sleep(0)


def play(scene: Callable[[Loop], Awaitable[None]]) -> None:
    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def run() -> None:
            await scene(loop)

        runner.run(run())


def test_each_expires_in_its_time_and_once() -> None:
    async def scene(loop: Loop) -> None:
        patience, expired = Patience(), list[int]()
        deadlines = [Deadline(patience, partial(expired.append, at)) for at in (3, 1, 2)]
        for deadline, seconds in zip(deadlines, (3, 1, 2), strict=True):
            deadline.set(seconds)
        for seconds in (1, 2, 3, 4):
            await loop.wait(1)
            assert expired == list(range(1, min(seconds, 3) + 1))

    play(scene)


def test_not_before_its_time_and_hardly_later() -> None:
    async def scene(loop: Loop) -> None:
        expired = list[float]()
        Deadline(Patience(), lambda: expired.append(loop.now)).set(0.99)
        await loop.wait(0.98)
        assert not expired
        await loop.wait(0.01 + 1 / TICKS)
        assert expired

    play(scene)


def test_it_may_be_moved_both_ways() -> None:
    async def scene(loop: Loop) -> None:
        patience, expired = Patience(), list[str]()
        later = Deadline(patience, lambda: expired.append("later"))
        sooner = Deadline(patience, lambda: expired.append("sooner"))
        later.set(2)
        sooner.set(9)
        later.set(5)
        sooner.set(1)
        await loop.wait(2)
        assert expired == ["sooner"]
        await loop.wait(3)
        assert expired == ["sooner", "later"]

    play(scene)


def test_who_has_ended_is_left_alone() -> None:
    async def scene(loop: Loop) -> None:
        patience, expired = Patience(), list[int]()
        second = Deadline(patience, lambda: expired.append(2))
        first = Deadline(patience, second.end)
        third = Deadline(patience, lambda: expired.append(3))
        for deadline in (first, second, third):
            deadline.set(1)
        third.end()
        third.end()
        await loop.wait(1)
        assert expired == []
        first.set(1)  # one that has expired may be set again
        await loop.wait(1)

    play(scene)


def test_an_error_of_one_does_not_spare_the_others() -> None:
    async def scene(loop: Loop) -> None:
        patience, expired, errors = Patience(), list[int](), list[object]()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        Deadline(patience, lambda: expired.append(1 // 0)).set(1)
        Deadline(patience, lambda: expired.append(1)).set(1)
        await loop.wait(1)
        assert expired == [1]
        assert len(errors) == 1

    play(scene)


def test_short_lives_arm_no_timers() -> None:
    async def scene(loop: Loop) -> None:
        patience = Patience()
        for _ in range(100):
            deadline = Deadline(patience, lambda: None)
            deadline.set(20)
            deadline.set(300)
            deadline.end()
            loop.now += 0.001
        assert loop.timers <= 3

    play(scene)
