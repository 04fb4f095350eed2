"""All receivers of a run begin at one moment."""

from collections.abc import Callable
from typing import cast

from omtcp.lab.receiver import Receiver, begin_together


class Fake:
    """Notes in `log` what it is asked; processes are for the tests on the real kernel."""

    def __init__(self, name: str, log: list[tuple[str, str]]) -> None:
        self._name = name
        self._note: Callable[[tuple[str, str]], None] = log.append
        self.begins_at: list[int] = []

    def wait_for(self, word: str, timeout: float) -> str:
        assert timeout > 0
        self._note((self._name, word))
        return word

    def begin(self, at_ns: int) -> None:
        self._note((self._name, "begin"))
        self.begins_at.append(at_ns)


def test_nobody_begins_before_all_are_ready_and_then_all_at_once() -> None:
    log: list[tuple[str, str]] = []
    fakes = [Fake("measured", log), Fake("competitor", log)]

    at_ns = begin_together(cast(Receiver, fake) for fake in fakes)

    assert log == [
        ("measured", "ready"),
        ("competitor", "ready"),
        ("measured", "begin"),
        ("competitor", "begin"),
    ]
    assert [fake.begins_at for fake in fakes] == [[at_ns], [at_ns]]
