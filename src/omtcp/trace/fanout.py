"""One sink in front of several."""

from omtcp.trace.events import Event, Sink


def fan_out(*sinks: Sink | None) -> Sink | None:
    """A sink that passes every event to all that are not None; None if there are none.

    None is what the core takes for "no tracing", so that events are not even built.
    """
    present = tuple(sink for sink in sinks if sink is not None)
    if len(present) <= 1:
        return present[0] if present else None

    def deliver(now: int, connection: int, event: Event) -> None:
        for sink in present:
            sink(now, connection, event)

    return deliver
