"""A connection's subflows, kept in step with the paths of its endpoint while both live.

The table of paths says what is wanted; `follow` compares and does what is missing. A path that came
gets a subflow, which is pinged before it carries data. A path that is drained gets nothing more,
not even pings; what is under way over it is waited for. What a removed path had under way goes to
the others at once. A connection that keeps to one path (P1) moves to another one instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from omtcp.core.config import Config
from omtcp.core.congestion import make_controller
from omtcp.core.congestion.base import initial_window
from omtcp.core.losses import Kind, Losses
from omtcp.core.paths import Path, Paths
from omtcp.core.pings import Pings
from omtcp.core.primary import PrimaryChooser
from omtcp.core.rtt import RttEstimator
from omtcp.core.scoreboard import Scoreboard
from omtcp.core.subflow import PathState, Subflow
from omtcp.trace.events import Event, PathChosen

ROTATE_AFTER = 2
"""Timeouts in a row after which a connection that keeps to one path tries another."""


class Founder:
    """Makes subflows, those that a connection begins with and those that join it."""

    __slots__ = (
        "_config",
        "paths",
        "segment_size",
    )

    def __init__(self, config: Config, paths: Paths, segment_size: Callable[[int], int]) -> None:
        """`segment_size` says how much payload a segment takes on a path of a given size."""
        self._config = config
        self.paths = paths
        self.segment_size = segment_size

    def found(self, path: Path) -> Subflow:
        """A subflow for `path`, over which nothing has been heard."""
        mss = self.segment_size(path.size)
        subflow = Subflow(
            path.index,
            mss,
            make_controller(self._config.congestion, mss=mss),
            RttEstimator(min_rto_ns=self._config.min_rto_ns),
            path.tally,
        )
        subflow.cost = path.cost
        subflow.drained = not path.open
        return subflow

    def begin(self, first: int) -> Subflow:
        """The subflow that a new connection begins with.

        That is the one over `first`, the path of the handshake, unless it was closed meanwhile.
        """
        if not self.paths[first].open:
            first = next(iter(self.paths.rotation(first)), first)
        return self.found(self.paths[first])


class Follower(Protocol):
    """Keeps something about each subflow."""

    def add(self, subflow: Subflow) -> None:
        """One more, already in the list of them."""

    def forget(self, subflow: Subflow) -> None:
        """One that is no longer in the list."""


class Membership:
    """Lets subflows join, pause and leave, and tells those who keep something about them.

    A connection begins with the path of its handshake. Short answers and idle connections need no
    other, and they are many: so the other paths join when one of them is to be asked something.
    """

    __slots__ = (
        "_board",
        "_chooser",
        "_followers",
        "_founder",
        "_losses",
        "_multipath",
        "_paths",
        "_pings",
        "_report",
        "_subflows",
        "complete",
    )

    def __init__(
        self,
        founder: Founder,
        subflows: list[Subflow],
        *,
        multipath: bool,
        board: Scoreboard,
        losses: Losses,
        pings: Pings,
        chooser: PrimaryChooser,
        followers: Sequence[Follower] = (),
        report: Callable[[Event], None] | None,
    ) -> None:
        """`subflows` is the list that all parts of the sender look at; it changes in place.

        `followers` are told of changes beside the pings and the choice of the primary.
        """
        self._founder = founder
        self._paths = founder.paths
        self._subflows = subflows
        self._multipath = multipath
        self._board = board
        self._losses = losses
        self._pings = pings
        self._chooser = chooser
        self._followers: Sequence[Follower] = (pings, chooser, *followers)
        self._report = report
        self.complete = not multipath or len(founder.paths) == 1
        """Whether all paths that may be used have joined."""

    def gather(self, window_size: int) -> None:
        """Have all paths join; `window_size` is the receive window."""
        if self.complete:
            return
        self.complete = True
        here = {subflow.index for subflow in self._subflows}
        for path in self._paths:
            if path.index not in here:
                self._join(path)
        self._subflows.sort(key=lambda subflow: subflow.index)
        self._chooser.on_company(window_size)

    def follow(self, now: int, window_size: int) -> None:
        """Do what the table asks for; `window_size` is the receive window."""
        if not self._multipath:
            self._follow_alone(now, self._subflows[0])
            return
        self.complete = True
        unwanted = {subflow.index: subflow for subflow in self._subflows}
        for path in self._paths:
            subflow = unwanted.pop(path.index, None)
            if subflow is None:
                self._join(path)
            else:
                subflow.cost = path.cost
                if path.drained:
                    subflow.drained = True
                elif subflow.drained:
                    self._undrain(now, subflow)
        for subflow in unwanted.values():
            self._take_back(subflow)
            subflow.drained = True
        if self._chooser.primary.drained:
            gone = self._chooser.primary.index in unwanted
            self._chooser.replace(now, window_size, "removed" if gone else "drained")
        for subflow in unwanted.values():
            self._leave(subflow)

    def _join(self, path: Path) -> None:
        subflow = self._founder.found(path)
        self._subflows.append(subflow)
        for follower in self._followers:
            follower.add(subflow)

    def _undrain(self, now: int, subflow: Subflow) -> None:
        """Go on where it stopped, if that was a moment ago; else begin as an untried path does."""
        subflow.drained = False
        fresh = now - subflow.heard_at <= subflow.rtt.rto_ns
        if subflow.state is PathState.ACTIVE and not subflow.timeouts and fresh:
            return
        if subflow.state is PathState.ACTIVE and not subflow.in_flight:
            subflow.state = PathState.UNTRIED
            subflow.silent_since = None
            subflow.timeouts = 0
            subflow.rtt.reset_backoff()
            subflow.controller.restart(initial_window(subflow.mss), now)
        self._pings.hasten(now, subflow)

    def _take_back(self, subflow: Subflow) -> None:
        """What it has under way goes out again over the others."""
        self._losses.take(subflow, None, Kind.REMOVED)
        subflow.order.advance(subflow.position)
        subflow.recovery_position = subflow.position

    def _leave(self, subflow: Subflow) -> None:
        """The last one stays, as a place that carries nothing, until another one joins."""
        if len(self._subflows) > 1:
            self._subflows.remove(subflow)
            for follower in self._followers:
                follower.forget(subflow)

    # Connections that keep to one path

    def _follow_alone(self, now: int, subflow: Subflow) -> None:
        path = self._paths[subflow.index]
        subflow.cost = path.cost
        subflow.drained = not path.open
        if path.removed:
            subflow.begin_episode()
            self._losses.take(subflow, None, Kind.REMOVED)
            subflow.order.advance(subflow.position)
            subflow.timer_base = now
        self.settle_alone(now)

    def settle_alone(self, now: int) -> None:
        """If the path of the only subflow may not be used any more, take another one.

        Not before everything under way has arrived, for what went over the other path would
        overtake it and make it look lost; but at once if something is lost.
        """
        subflow = self._subflows[0]
        if not subflow.drained or (subflow.outstanding and not self._board.lost):
            return
        removed = self._paths[subflow.index].removed
        if self._move(subflow, "removed" if removed else "drained"):
            subflow.controller.restart(initial_window(subflow.mss), now)

    def on_link_down(self, now: int, subflow: Subflow) -> None:
        """The link of the only subflow's path went down."""
        if self._move(subflow, "down"):
            self._losses.resend(now, subflow)
            subflow.controller.restart(initial_window(subflow.mss), now)

    def on_timeout(self, subflow: Subflow) -> None:
        """The only subflow timed out, maybe: after some of that in a row it tries another path."""
        if subflow.timeouts >= ROTATE_AFTER:
            self._move(subflow, "timeout")

    def _move(self, subflow: Subflow, reason: str) -> bool:
        """Whether there was another path to move the only subflow to."""
        index = self._next_after(subflow.index)
        if index is None:
            return False
        path = self._paths[index]
        subflow.timeouts = 0
        subflow.index = index
        subflow.cost = path.cost
        subflow.drained = False
        subflow.tally = path.tally
        subflow.doubt = None
        subflow.mss = self._founder.segment_size(path.size)
        subflow.controller.set_mss(subflow.mss)
        if self._report:
            self._report(PathChosen(index, -1, reason, ()))
        return True

    def _next_after(self, index: int) -> int | None:
        """The path behind `index` in the order of cost, and then the cheapest again."""
        order = self._paths.rotation()
        here = (self._paths[index].cost, index)
        behind = [other for other in order if (self._paths[other].cost, other) > here]
        following = next(iter(behind + order), None)
        return None if following == index else following
