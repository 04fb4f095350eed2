"""One sink in front of several."""

from omtcp.trace.events import Event, PathRestored
from omtcp.trace.fanout import fan_out

Got = list[tuple[int, int, Event]]


def test_every_sink_gets_every_event() -> None:
    one: Got = []
    other: Got = []
    sink = fan_out(lambda *event: one.append(event), None, lambda *event: other.append(event))
    assert sink is not None
    event = PathRestored(path=1)
    sink(5, 6, event)
    assert one == other == [(5, 6, event)]


def test_a_single_sink_stands_for_itself_and_none_for_none() -> None:
    got: Got = []

    def only(now: int, connection: int, event: Event) -> None:
        got.append((now, connection, event))

    assert fan_out(None, only, None) is only
    assert fan_out() is None
    assert fan_out(None) is None
