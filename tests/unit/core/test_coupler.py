"""When shares are dealt out, and what of."""

import pytest

from omtcp.core.config import Config, Coupling, Mode
from omtcp.core.congestion.coupling import COUPLINGS, Share
from omtcp.core.coupler import Coupler
from omtcp.core.shared_bottleneck import SharedBottlenecks
from omtcp.core.subflow import PathState
from omtcp.trace.events import Event, WindowChanged

from .sending import MS, MSS, make_subflow

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


class TestFused:
    def losing(self, rig: Rig, *members: int) -> list[int]:
        """Every subflow has a window out, and the given ones lose; the windows after that."""
        for subflow in rig.subflows:
            subflow.send(0, 0, subflow.controller.cwnd)
        for index in members:
            rig.coupler.on_loss(100 * MS, rig.subflows[index])
        return [subflow.controller.cwnd for subflow in rig.subflows]

    def test_one_path_s_loss_is_the_others_congestion(self) -> None:
        """The window of the path that lost is recovery's business."""
        rig = Rig(Coupling.FUSED, 50, 50, 50)
        assert self.losing(rig, A) == [100 * MSS, 50 * MSS, 50 * MSS]
        assert rig.subflows[B].in_recovery
        assert rig.subflows[B].reduction is not None

    def test_once_per_round_trip(self) -> None:
        rig = Rig(Coupling.FUSED, 50, 50)
        assert self.losing(rig, A, A) == [100 * MSS, 50 * MSS]

    def test_a_path_without_anything_under_way_is_left_alone(self) -> None:
        rig = Rig(Coupling.FUSED, 50, 50)
        rig.coupler.on_loss(0, rig.subflows[A])
        assert rig.subflows[B].controller.cwnd == 100 * MSS

    def test_other_couplings_leave_other_windows_alone(self) -> None:
        """P11."""
        for coupling in set(Coupling) - {Coupling.FUSED}:
            rig = Rig(coupling, 50, 50)
            assert self.losing(rig, A) == [100 * MSS, 100 * MSS]

    def test_the_window_s_change_is_reported(self) -> None:
        rig = Rig(Coupling.FUSED, 50, 50)
        self.losing(rig, A)
        assert rig.events == [WindowChanged(B, 50 * MSS, 50 * MSS, "coupled")]


class TestAuto:
    def rig(self, *groups: tuple[int, ...], paths: int = 3) -> Rig:
        """A coupler that was told who shares what."""
        rig = Rig(Coupling.AUTO, *[50] * paths)
        assert rig.coupler.bottlenecks is not None
        rig.coupler.bottlenecks.groups = [[rig.subflows[i] for i in group] for group in groups]
        rig.coupler.on_delivered(0)
        return rig

    def test_all_are_on_their_own_at_first(self) -> None:
        rig = Rig(Coupling.AUTO, 50, 50)
        rig.coupler.on_delivered(0)
        assert rig.shares() == [1, 1]

    def test_a_group_is_fused_and_the_rest_is_not(self) -> None:
        rig = self.rig((A, C), (B,))
        assert rig.shares() == [0.5, 1, 0.5]
        assert rig.subflows[A].controller.clock == pytest.approx(0.5 ** (1 / 3))
        assert rig.subflows[B].controller.clock is None

    def test_so_are_its_losses(self) -> None:
        rig = self.rig((A, C), (B,))
        assert TestFused().losing(rig, A) == [100 * MSS, 100 * MSS, 50 * MSS]

    @pytest.mark.parametrize(("turn", "alone", "fused"), [(True, 1.0, 0.85), (False, 0.1, 0.15)])
    def test_suspects_grow_by_turns(
        self, monkeypatch: pytest.MonkeyPatch, turn: bool, alone: float, fused: float
    ) -> None:
        monkeypatch.setattr(SharedBottlenecks, "turn", lambda self, now, subflow: turn)
        assert self.rig((A, C), (B,)).shares() == pytest.approx([fused, alone, fused])

    def test_paths_that_come_and_go(self) -> None:
        rig = self.rig((A, B), paths=2)
        late = make_subflow(C, rtt_ms=50)
        rig.subflows.append(late)
        rig.coupler.add(late)
        rig.coupler.on_delivered(1)
        assert rig.shares() == [0.5, 0.5, 1]
        rig.coupler.forget(rig.subflows.pop(A))
        rig.coupler.on_delivered(2)
        assert rig.shares() == [1, 1]
