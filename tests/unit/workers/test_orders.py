"""Standing orders: whoever hears them in the end is where those are who heard all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omtcp.control.protocol import Request
from omtcp.workers.orders import StandingOrders


def request(verb: str, path: int, cost: int = 0) -> Request:
    arguments: dict[str, str | int | bool] = {"path": f"path{path}"}
    if verb == "cost":
        arguments["cost"] = cost
    return Request(verb, arguments)


class Paths:
    """What the verbs set."""

    def __init__(self) -> None:
        self.drained: dict[str, bool] = {}
        self.cost: dict[str, int] = {}

    def obey(self, order: Request) -> None:
        path = order.text("path")
        match order.verb:
            case "drain" | "undrain":
                self.drained[path] = order.verb == "drain"
            case "cost":
                self.cost[path] = order.number("cost") or 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drain", "undrain", "cost"]), st.integers(0, 2), st.integers(0, 9)
        ),
        max_size=30,
    )
)
def test_few_have_the_effect_of_all(said: list[tuple[str, int, int]]) -> None:
    orders, heard_all = StandingOrders(), Paths()
    for verb, path, cost in said:
        order = request(verb, path, cost)
        heard_all.obey(order)
        orders.note(order, path)
    late = Paths()
    kept = orders.requests(lambda index: f"path{index}")
    for order in kept:
        late.obey(order)
    assert (late.drained, late.cost) == (heard_all.drained, heard_all.cost)
    assert len(kept) <= 9


def test_they_follow_the_path_and_go_with_it() -> None:
    orders = StandingOrders()
    orders.note(request("cost", 0, 5), 0)
    orders.note(request("drain", 1), 1)
    orders.forget(0)
    (kept,) = orders.requests(lambda index: "eth1@10.9.9.9")
    assert kept.arguments == {"path": "eth1@10.9.9.9", "force": True}


def test_what_is_about_no_path_is_kept_as_it_was() -> None:
    orders = StandingOrders()
    orders.note(Request("list", {"interval_ms": 1}))
    orders.forget(0)
    assert orders.requests(lambda index: "x") == (Request("list", {"interval_ms": 1}),)
