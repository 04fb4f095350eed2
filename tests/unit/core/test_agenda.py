"""The agenda against a dictionary, and what it keeps of those who are gone."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.agenda import Agenda


class Owner:
    """Something that can be referred to weakly."""


def test_the_earliest_first_and_each_once() -> None:
    agenda = Agenda[str]()
    for owner, at in (("b", 20), ("a", 10), ("b", 30), ("c", 15), ("c", 5)):
        agenda.put(owner, at)
    assert len(agenda) == 3
    assert agenda.next_at() == 5
    assert [agenda.pop_due(12) for _ in range(3)] == ["c", "a", None]
    assert agenda.next_at() == 20
    assert agenda.pop_due(20) == "b"
    assert (agenda.next_at(), agenda.pop_due(99), len(agenda)) == (None, None, 0)


def test_it_holds_on_to_nobody() -> None:
    """Not to who was removed, and not to who moved to an earlier time and was dealt with."""
    agenda = Agenda[Owner]()
    removed, moved = Owner(), Owner()
    watched = [weakref.ref(removed), weakref.ref(moved)]
    agenda.put(removed, 7200)
    agenda.put(moved, 7200)
    agenda.put(moved, 1)
    agenda.remove(removed)
    assert agenda.pop_due(1) is moved
    del removed, moved
    gc.collect()
    assert [ref() for ref in watched] == [None, None]


def test_places_left_behind_do_not_add_up() -> None:
    agenda = Agenda[str]()
    agenda.put("idle", 7200)
    for at in range(100_000, 0, -1):
        agenda.put("busy", at)
    assert len(agenda._heap) < 100
    assert agenda.pop_due(1) == "busy"
    assert agenda.next_at() == 7200


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 100)),
            st.tuples(st.just("remove"), st.integers(0, 5), st.just(0)),
            st.tuples(st.just("pop"), st.just(0), st.integers(0, 100)),
        ),
        max_size=200,
    )
)
def test_against_a_dictionary(steps: list[tuple[str, int, int]]) -> None:
    agenda = Agenda[int]()
    model: dict[int, int] = {}
    for verb, owner, at in steps:
        if verb == "put":
            agenda.put(owner, at)
            model[owner] = min(at, model.get(owner, at))
        elif verb == "remove":
            agenda.remove(owner)
            model.pop(owner, None)
        else:
            popped = agenda.pop_due(at)
            if popped is None:
                assert not model or min(model.values()) > at
            else:
                assert model.pop(popped) <= min(model.values(), default=at)
        assert agenda.next_at() == min(model.values(), default=None)
        assert len(agenda) == len(model)
