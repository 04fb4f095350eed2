"""When shares are dealt out, and what of."""

from collections.abc import Callable

import pytest

from omtcp.core.config import Config, Coupling, Mode
from omtcp.core.congestion.coupling import COUPLINGS, Share
from omtcp.core.coupler import Coupler
from omtcp.core.shared_bottleneck import SharedBottlenecks
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event

from .sending import MS, MSS, SECOND, make_subflow

A, B, C = 0, 1, 2


class Rig:
    """A coupler over subflows of given round trips."""

    def __init__(self, coupling: Coupling, *rtts_ms: float, fair: float = 1.0) -> None:
        self.subflows = [make_subflow(i, rtt_ms=rtt) for i, rtt in enumerate(rtts_ms)]
        config = Config(mode=Mode.POOLED, coupling=coupling, fair=fair)
        self.events: list[Event] = []
        self.coupler = Coupler(config, self.subflows, self.events.append)

    def shares(self) -> list[float]:
        return [subflow.growth for subflow in self.subflows]


def test_equal_paths_under_lia() -> None:
    rig = Rig(Coupling.LIA, 50, 50)
    rig.coupler.on_delivered(0)
    assert rig.shares() == [0.25, 0.25]


def test_fair_is_passed_on() -> None:
    rig = Rig(Coupling.SHARED, 50, 50, fair=1.5)
    rig.coupler.on_delivered(0)
    assert rig.shares() == [0.75, 0.75]


def test_a_path_out_of_use_takes_no_part() -> None:
    rig = Rig(Coupling.LIA, 50, 50, 50)
    rig.subflows[C].state = PathState.SUSPECT
    rig.coupler.on_delivered(0)
    assert rig.shares()[:2] == [0.25, 0.25]


def test_nor_does_one_without_a_round_trip() -> None:
    rig = Rig(Coupling.LIA, 50, 0)
    rig.coupler.on_delivered(0)
    assert rig.shares() == [1, 1]


def test_anew_once_per_shortest_round_trip() -> None:
    rig = Rig(Coupling.LIA, 50, 20)
    rig.coupler.on_delivered(0)
    before = rig.shares()
    rig.subflows[A].controller.cwnd *= 3
    rig.coupler.on_delivered(20 * MS - 1)
    assert rig.shares() == before
    rig.coupler.on_delivered(20 * MS)
    assert rig.shares() != before


def test_and_at_once_after_a_loss() -> None:
    rig = Rig(Coupling.LIA, 50, 50)
    rig.coupler.on_delivered(0)
    rig.subflows[A].controller.cwnd //= 2
    rig.coupler.on_loss(0, rig.subflows[A])
    rig.coupler.on_delivered(1)
    assert rig.shares() == pytest.approx([1 / 9 * 2, 4 / 9])


def test_loss_intervals() -> None:
    """The longer of the last one and the present one, in delivered bytes."""
    rig = Rig(Coupling.OLIA, 50, 50)
    a = rig.subflows[A]
    a.delivered = 70 * MSS
    rig.coupler.on_loss(0, a)
    a.delivered = 100 * MSS
    assert rig.coupler._flow(a).loss_interval == 70 * MSS
    a.delivered = 150 * MSS
    assert rig.coupler._flow(a).loss_interval == 80 * MSS


def test_the_backoff_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUPLINGS, "balia", lambda flows, fair: [Share(0.5, 1.25)] * len(flows))
    rig = Rig(Coupling.BALIA, 50, 50)
    rig.coupler.on_delivered(0)
    a = rig.subflows[A].controller
    a.on_loss(now=0, in_flight=a.cwnd)
    assert a.cwnd == 100 * MSS - 62_500


def test_uncoupled_paths_keep_whole_shares() -> None:
    rig = Rig(Coupling.UNCOUPLED, 50, 20)
    rig.coupler.on_delivered(0)
    assert rig.shares() == [1, 1]


class TestAuto:
    def rig(self, *groups: tuple[int, ...], paths: int = 3) -> Rig:
        """A coupler that was told who shares what."""
        rig = Rig(Coupling.AUTO, *[50] * paths)
        self.judge(rig, *groups)
        rig.coupler.on_delivered(0)
        return rig

    def judge(self, rig: Rig, *groups: tuple[int, ...]) -> None:
        assert rig.coupler.bottlenecks is not None
        rig.coupler.bottlenecks.groups = [[rig.subflows[i] for i in group] for group in groups]

    def resting(self, rig: Rig) -> list[int]:
        return [subflow.index for subflow in rig.subflows if subflow.resting]

    def delivers(self, rig: Rig, *rates: int) -> None:
        for subflow, rate in zip(rig.subflows, rates, strict=True):
            subflow.rate.on_sample(SECOND, rate, SECOND, subflow.rtt.srtt_ns)

    def test_all_are_on_their_own_at_first(self) -> None:
        rig = Rig(Coupling.AUTO, 50, 50)
        rig.coupler.on_delivered(0)
        assert rig.shares() == [1, 1]
        assert self.resting(rig) == []

    def test_of_a_group_one_carries_data(self) -> None:
        rig = self.rig((A, C), (B,))
        assert self.resting(rig) == [C]
        assert rig.shares() == [1, 1, 1]

    def test_who_carries_begins_as_after_a_loss(self) -> None:
        rig = Rig(Coupling.AUTO, 50, 50, 50)
        rig.subflows[A].send(0, 0, 100 * MSS)
        self.judge(rig, (A, B), (C,))
        rig.coupler.on_delivered(10 * SECOND)
        windows = [subflow.controller.cwnd for subflow in rig.subflows]
        assert windows == [50 * MSS, 100 * MSS, 100 * MSS]
        self.judge(rig, (A, B, C))  # no more than once
        rig.coupler.on_delivered(20 * SECOND)
        assert rig.subflows[A].controller.cwnd == 50 * MSS

    def test_unless_it_had_one_just_now(self) -> None:
        rig = Rig(Coupling.AUTO, 50, 50)
        self.judge(rig, (A, B))
        rig.coupler.on_loss(9 * SECOND, rig.subflows[A])
        rig.coupler.on_delivered(10 * SECOND)
        assert rig.subflows[A].controller.cwnd == 100 * MSS

    def test_the_others_are_used_again_when_they_have_parted(self) -> None:
        rig = self.rig((A, C), (B,))
        self.judge(rig, (A,), (B,), (C,))
        rig.coupler.on_delivered(SECOND)
        assert self.resting(rig) == []

    @pytest.mark.parametrize(
        "fails",
        [
            lambda subflow: setattr(subflow, "state", PathState.SUSPECT),
            lambda subflow: setattr(subflow, "drained", True),
            lambda subflow: setattr(subflow, "timeouts", 1),
        ],
        ids=["suspect", "drained", "timeout"],
    )
    def test_and_at_once_when_who_carries_cannot(self, fails: Callable[[Subflow], None]) -> None:
        """Not only when shares are dealt again: until then nobody would carry anything."""
        rig = self.rig((A, B, C))
        fails(rig.subflows[A])
        assert self.resting(rig) == []
        rig.coupler.on_delivered(SECOND)
        assert self.resting(rig) == [A, C]

    def test_who_carries_goes_on(self) -> None:
        rig = self.rig((A, B), (C,))
        rig.subflows[A].state = PathState.SUSPECT
        rig.coupler.on_delivered(SECOND)
        rig.subflows[A].state = PathState.ACTIVE
        rig.coupler.on_delivered(2 * SECOND)
        assert self.resting(rig) == [A]
        self.judge(rig, (A, B, C))
        rig.coupler.on_delivered(3 * SECOND)
        assert self.resting(rig) == [A, C]

    def test_but_not_if_it_loses_much(self) -> None:
        rig = self.rig((A, B), (C,))
        for _ in range(40):
            rig.subflows[A].loss_share.on_event()
        assert rig.subflows[A].lossy
        rig.coupler.on_delivered(SECOND)
        assert self.resting(rig) == [A]

    def test_nor_if_another_is_cheaper(self) -> None:
        rig = self.rig((A, B), (C,))
        rig.subflows[A].cost = 1
        rig.coupler.on_delivered(SECOND)
        assert self.resting(rig) == [A]

    def test_the_nearest_of_those_that_deliver_much(self) -> None:
        rig = Rig(Coupling.AUTO, 50, 20, 10)
        self.delivers(rig, 10_000_000, 9_000_000, 2_000_000)
        self.judge(rig, (A, B, C))
        rig.coupler.on_delivered(2 * SECOND)
        assert self.resting(rig) == [A, C]

    @pytest.mark.interpreted
    def test_suspects_grow_and_use_their_windows_by_turns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns: list[bool | None] = [True, False, None]
        monkeypatch.setattr(SharedBottlenecks, "turn", lambda _, now, flow: turns[flow.index])
        rig = self.rig((A,), (B,), (C,))
        assert rig.shares() == [1.0, 0.1, 1.0]
        assert [subflow.space for subflow in rig.subflows] == [100 * MSS, 75 * MSS, 100 * MSS]
        turns = [False, True, None]
        rig.coupler.on_delivered(SECOND)
        assert rig.shares() == [0.1, 1.0, 1.0]
        assert [subflow.space for subflow in rig.subflows] == [75 * MSS, 100 * MSS, 100 * MSS]

    def test_paths_that_come_and_go(self) -> None:
        rig = self.rig((A, B), paths=2)
        late = make_subflow(C, rtt_ms=50)
        rig.subflows.append(late)
        rig.coupler.add(late)
        rig.coupler.on_delivered(1)
        assert self.resting(rig) == [B]
        gone = rig.subflows.pop(A)
        gone.drained = True
        rig.coupler.forget(gone)
        assert self.resting(rig) == []


def test_a_loss_changes_no_other_window() -> None:
    """P11, whatever the coupling."""
    for coupling in Coupling:
        rig = Rig(coupling, 50, 50)
        rig.coupler.on_loss(100 * MS, rig.subflows[A])
        assert [subflow.controller.cwnd for subflow in rig.subflows] == [100 * MSS] * 2
