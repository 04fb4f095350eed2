"""The timer table against the plainest model of it, a dict."""

from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.timers import Timer, TimerTable


def test_empty() -> None:
    table = TimerTable()
    assert table.next_timeout() is None
    assert table.expired(10**18) == []
    assert table.get(Timer.PERSIST) is None
    table.stop(Timer.PERSIST)
    assert table.next_timeout() is None


def test_earliest_wins_and_moving_it_uncovers_the_next() -> None:
    table = TimerTable()
    table.set(Timer.RETRANSMIT, 100)
    table.set(Timer.DELAYED_ACK, 40)
    assert table.next_timeout() == 40
    table.set(Timer.DELAYED_ACK, 200)
    assert table.next_timeout() == 100
    table.stop(Timer.RETRANSMIT)
    assert table.next_timeout() == 200


def test_expired_pops_in_order_of_time_then_of_kind() -> None:
    table = TimerTable()
    table.set(Timer.METRICS, 5)
    table.set(Timer.PRIMARY, 7)
    table.set(Timer.RETRANSMIT, 7)
    table.set(Timer.PERSIST, 8)
    assert table.expired(4) == []
    assert table.expired(7) == [Timer.METRICS, Timer.RETRANSMIT, Timer.PRIMARY]
    assert table.expired(7) == []
    assert table.next_timeout() == 8


def test_two_timers_at_the_same_instant_survive_one_being_stopped() -> None:
    table = TimerTable()
    table.set(Timer.METRICS, 5)
    table.set(Timer.PRIMARY, 5)
    table.stop(Timer.METRICS)
    assert table.next_timeout() == 5


def test_stop_all() -> None:
    table = TimerTable()
    table.set(Timer.METRICS, 5)
    table.stop_all()
    assert table.next_timeout() is None
    assert table.get(Timer.METRICS) is None


operations = st.lists(
    st.tuples(
        st.sampled_from(["set", "stop", "expire", "ask"]),
        st.sampled_from(list(Timer)),
        st.integers(0, 20),
    )
)


@given(operations)
def test_like_a_dict(ops: list[tuple[str, Timer, int]]) -> None:
    table = TimerTable()
    model: dict[Timer, int] = {}
    for op, timer, at in ops:
        if op == "set":
            table.set(timer, at)
            model[timer] = at
        elif op == "stop":
            table.stop(timer)
            model.pop(timer, None)
        elif op == "expire":
            due = sorted((due_at, t) for t, due_at in model.items() if due_at <= at)
            assert table.expired(at) == [t for _, t in due]
            for _, t in due:
                del model[t]
        else:
            assert table.next_timeout() == min(model.values(), default=None)
        assert table.get(timer) == model.get(timer)
    assert table.next_timeout() == min(model.values(), default=None)
