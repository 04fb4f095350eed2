"""When shares are dealt out, and what of."""

import pytest

from omtcp.core.config import Config, Coupling, Mode
from omtcp.core.congestion.coupling import COUPLINGS, Share
from omtcp.core.coupler import Coupler
from omtcp.core.subflow import PathState

from .sending import MS, MSS, make_subflow

A, B, C = 0, 1, 2


class Rig:
    """A coupler over subflows of given round trips."""

    def __init__(self, coupling: Coupling, *rtts_ms: float, fair: float = 1.0) -> None:
        self.subflows = [make_subflow(i, rtt_ms=rtt) for i, rtt in enumerate(rtts_ms)]
        config = Config(mode=Mode.POOLED, coupling=coupling, fair=fair)
        self.coupler = Coupler(config, self.subflows, None)

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
    rig.coupler.on_loss(rig.subflows[A])
    rig.coupler.on_delivered(1)
    assert rig.shares() == pytest.approx([1 / 9 * 2, 4 / 9])


def test_loss_intervals() -> None:
    """The longer of the last one and the present one, in delivered bytes."""
    rig = Rig(Coupling.OLIA, 50, 50)
    a = rig.subflows[A]
    a.delivered = 70 * MSS
    rig.coupler.on_loss(a)
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
