"""A sender, a network that does whatever it is told, and the plainest model of a receiver.

Segments are 10 bytes long, so that a set of integers can stand for what has arrived. Time passes
only as told; on its way through it every deadline of the sender is served, as a driver would.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from tests.models import runs

from omtcp.core.config import Config, Mode, Policy
from omtcp.core.paths import Paths
from omtcp.core.sender import Sender
from omtcp.core.subflow import PathState
from omtcp.core.transmission import PING
from omtcp.trace.events import Event

MSS = 10
MS = 1_000_000
SECOND = 1000 * MS
BLOCKS = 3
WAKES_AT_ONCE = 3
"""A path given up may leave another alone, for which other deadlines hold; but not on and on."""
MOST_PATHS = 6
CALM_LIMIT_NS = 600 * SECOND
"""Virtual time within which a network that behaves must have carried everything."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One segment on its way to the receiver."""

    path: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgment on its way back; `right` is the edge of the receive window."""

    ack: int
    blocks: tuple[tuple[int, int], ...]
    right: int


class Receiver:
    """Acknowledges every segment at once, with a DSACK (RFC 2883) and the newest blocks first."""

    def __init__(self, capacity: int, sack: bool) -> None:
        self.capacity = capacity
        self.sack = sack
        self.edge = 0
        self.above: set[int] = set()
        """Arrived out of order."""
        self._recent: list[int] = []
        """Places of the newest arrivals, newest first."""

    def accept(self, start: int, end: int) -> Ack:
        """A segment arrives."""
        duplicate = [n for n in range(start, end) if n < self.edge or n in self.above]
        limit = self.edge + self.capacity
        self.above.update(n for n in range(start, end) if self.edge <= n < limit)
        while self.edge in self.above:
            self.above.remove(self.edge)
            self.edge += 1
        if start in self.above:
            self._recent = [start, *(n for n in self._recent if n != start)][:20]
        return self.acknowledge(runs(set(duplicate))[:1])

    def acknowledge(self, duplicates: list[tuple[int, int]] | None = None) -> Ack:
        """What it says now."""
        islands = runs(self.above)
        blocks = list(duplicates or [])
        for place in self._recent:
            for island in islands:
                if island[0] <= place < island[1] and island not in blocks[bool(duplicates) :]:
                    blocks.append(island)
        blocks = blocks[:BLOCKS] if self.sack else []
        return Ack(self.edge, tuple(blocks), self.edge + self.capacity)

    def renege(self) -> None:
        """Throw away what arrived out of order (RFC 2018 section 8)."""
        self.above.clear()
        self._recent.clear()


class World:
    """The whole: tell it what happens, then ask `check`, and in the end `calm_down`."""

    def __init__(
        self,
        *,
        paths: int = 2,
        sack: bool = True,
        mode: Mode = Mode.PRIMARY,
        policy: Policy = Policy.POOLED,
        congestion: str = "reno",
        capacity: int = 400,
        seed: int = 0,
    ) -> None:
        self.seed = seed
        self.multipath = sack
        self.now = 5 * SECOND
        self.events: list[Event] = []
        self.paths = Paths([MSS] * paths)
        self.sender = Sender(
            Config(mode=mode, policy=policy, congestion=congestion, user_timeout_ns=1 << 62),
            self.paths,
            first=0,
            multipath=sack,
            sack=sack,
            random=lambda: 0.5,
            report=self.events.append,
        )
        self.receiver = Receiver(capacity, sack)
        self.sender.window.right = capacity
        self._window_ack = 0
        self.network: list[Packet] = []
        self.acks: list[Ack] = []
        self.written = 0
        self._company = False
        """Whether other paths ever joined that of the handshake."""
        self.most_right = capacity
        """The furthest right edge that the sender was ever told."""

    # The application

    def write(self, size: int) -> None:
        """`size` more bytes to send."""
        if not self.sender.window.closing:
            self.sender.write(bytes(size))
            self.written += size

    def close(self) -> None:
        """A FIN after them."""
        self.sender.close()

    # The sender's driver

    def transmit(self, limit: int = 1000) -> None:
        """Put what the sender wants to send on the network, at most `limit` plans."""
        self.sender.settle(self.now)
        for _ in range(limit):
            before = self.sender.board.nxt
            plan = self.sender.transmission.poll(self.now)
            if plan is None:
                return
            assert plan.start < plan.end
            assert self.paths[plan.subflow.index].open, f"a closed path (seed {self.seed})"
            if plan.kind == PING:
                assert plan.end <= self.sender.board.una
            else:
                alone = len(self.sender.subflows) == 1
                assert plan.subflow.state is PathState.ACTIVE or alone
                self._check_window(plan.start, plan.end, new=plan.end > before)
            for start in range(plan.start, plan.end, plan.subflow.mss):
                end = min(start + plan.subflow.mss, plan.end)
                self.network.append(Packet(plan.subflow.index, start, end))
        assert limit < 1000, f"the sender does not stop sending (seed {self.seed})"

    def _check_window(self, start: int, end: int, *, new: bool) -> None:
        """New data stays within the window, repeated data within what the window once was."""
        sender = self.sender
        allowed = sender.window.right if new else self.most_right
        fin = sender.window.closing and end == sender.buffer.end + 1
        assert end - fin <= max(allowed, start if fin else 0)

    def pass_time(self, duration_ns: int) -> None:
        """Let time pass, serving every deadline on the way."""
        until = self.now + duration_ns
        while (at := self.sender.deadline(self.now)) is not None and at <= until:
            self.now = max(self.now, at)
            self.serve()
        self.now = until

    def serve(self) -> None:
        """Serve the timers now; what that makes due at once is served too, and then nothing is."""
        for _ in range(WAKES_AT_ONCE):
            assert self.sender.on_timers(self.now)
            self.transmit()
            again = self.sender.deadline(self.now)
            if again is None or again > self.now:
                return
        raise AssertionError(f"a busy loop at {self.now} (seed {self.seed})")

    # The network

    def link(self, path: int, *, up: bool) -> None:
        """The host reports on the link of `path`; the network may carry over it all the same."""
        if path < len(self.paths):
            self.paths[path].up = up
        self.sender.on_path(self.now, path, up)

    # The operator

    def set_policy(self, policy: Policy) -> None:
        """Schedule otherwise; without pooled mode it means nothing."""
        self.sender.set_policy(policy)

    def add(self, cost: int) -> None:
        """One more path, if there are not many yet."""
        if len(self.paths) < MOST_PATHS:
            self.paths.add(MSS, cost=cost)
            self.sender.on_paths(self.now)

    def operate(self, verb: str, index: int, *, force: bool, cost: int = 0) -> None:
        """What an endpoint does to its table: drain, undrain or remove a path, or set its cost."""
        if index >= len(self.paths) or self.paths[index].removed:
            return
        if verb in ("drain", "remove") and self.paths.is_last(index) and not force:
            return
        path = self.paths[index]
        if verb == "remove":
            path.removed = True
        elif verb == "cost":
            path.cost = cost
        else:
            path.drained = verb == "drain"
        self.sender.on_paths(self.now)

    def deliver(self, index: int, *, duplicate: bool = False) -> None:
        """Segment `index` of those under way arrives."""
        packet = self.network[index] if duplicate else self.network.pop(index)
        self.acks.append(self.receiver.accept(packet.start, packet.end))

    def deliver_ack(self, index: int) -> None:
        """Acknowledgment `index` of those under way arrives."""
        self.take(self.acks.pop(index))

    def take(self, ack: Ack) -> None:
        """What a connection does with an acknowledgment before the sender sees it."""
        sender = self.sender
        una = sender.board.una
        if ack.ack < una and not ack.blocks:
            return
        old_right = sender.window.right
        if ack.ack >= self._window_ack:
            self._window_ack = ack.ack
            sender.window.right = ack.right
            self.most_right = max(self.most_right, ack.right)
        if ack.ack == una and sender.board.flights and sender.window.right == old_right:
            sender.on_duplicate_ack(self.now)
        sender.on_ack(self.now, max(ack.ack, una), list(ack.blocks))

    # Judgement

    def check(self) -> None:
        """Everything that must hold between any two calls."""
        self._check_places()
        self._check_accounts()
        self._check_membership()
        board = self.sender.board
        assert 0 <= board.una <= board.nxt <= self.sender.window.end
        assert board.una <= self.receiver.edge + (self.sender.window.closing and 1)

    def _check_places(self) -> None:
        """Every byte of [una, nxt) is in flight, lost or SACKed, and in one place only."""
        board = self.sender.board
        places = [
            *((start, end) for start, end, _ in board.flights),
            *((start, end) for start, end, _ in board.lost),
            *board.sacked,
        ]
        assert all(start < end for start, end in places)
        covered = [n for start, end in places for n in range(start, end)]
        assert sorted(covered) == list(range(board.una, board.nxt)), f"seed {self.seed}"

    def _check_membership(self) -> None:
        """The subflows are those of the table, and the primary is one that may be used."""
        subflows = self.sender.subflows
        indices = [subflow.index for subflow in subflows]
        for subflow in subflows:
            assert subflow.drained == (not self.paths[subflow.index].open), f"seed {self.seed}"
        if self.multipath:
            wanted = [path.index for path in self.paths]
            self._company |= len(indices) > 1
            alone = len(indices) == 1 and not (wanted and self._company)
            assert indices == wanted or alone
        assert self.sender.chooser.primary in subflows
        assert self.sender.best in subflows
        usable = [subflow for subflow in subflows if not subflow.drained]
        assert not usable or not self.sender.best.drained, f"seed {self.seed}"

    def _check_accounts(self) -> None:
        ledger = self.sender.ledger
        copies = [
            (start, end, send)
            for subflow in self.sender.subflows
            for start, end, send in ledger.held(subflow)
        ]
        flights = [*self.sender.board.flights, *copies]
        outstanding: dict[int, int] = {}
        for start, end, send in flights:
            assert send.start <= start < end <= send.end
            outstanding[id(send)] = outstanding.get(id(send), 0) + end - start
        for subflow in self.sender.subflows:
            sends = [send for send in subflow.sends if send.outstanding]
            flying = sum(end - start for start, end, send in flights if send.subflow is subflow)
            assert subflow.in_flight == flying - subflow.inflated, f"seed {self.seed}"
            assert all(send.outstanding == outstanding.pop(id(send), 0) for send in sends)
            assert subflow.order.edge <= subflow.position
            assert all(end <= subflow.position for _, end in subflow.order.islands)
            assert subflow.controller.cwnd >= subflow.mss
            assert subflow.rto_at is not None or not flying
        assert not outstanding

    def calm_down(self) -> None:
        """From now on the network behaves: everything must arrive, and soon."""
        self.network.clear()
        self.acks.clear()
        if not self.paths.rotation():
            self.paths.add(MSS)
            self.sender.on_paths(self.now)
        self.receiver.capacity = max(self.receiver.capacity, 4 * MSS)
        self.close()
        arrivals: list[tuple[int, int, Packet | Ack]] = []
        count = 0
        limit = self.now + CALM_LIMIT_NS
        while not self.sender.window.fin_acked:
            self.transmit()
            for packet in self.network:
                heappush(arrivals, (self.now + (20 + 15 * packet.path) * MS, count, packet))
                count += 1
            self.network.clear()
            self.check()
            self._step(arrivals, count)
            count += 1
            assert self.now < limit, f"stuck (seed {self.seed}): {self.sender.board.una}"
        self._check_end()

    def _step(self, arrivals: list[tuple[int, int, Packet | Ack]], count: int) -> None:
        """Go to the next arrival or deadline."""
        times = [at for at, _, _ in arrivals[:1]]
        deadline = self.sender.deadline(self.now)
        if deadline is not None:
            times.append(deadline)
        if not arrivals and self.sender.window.stalled:  # the connection probes a closed window
            times.append(self.now + self.sender.best.rtt.rto_ns)
        assert times, f"nothing will ever happen again (seed {self.seed})"
        self.now = max(self.now, min(times))
        if deadline is not None and deadline <= self.now:
            self.serve()
        elif arrivals:
            _, _, what = heappop(arrivals)
            if isinstance(what, Packet):
                answer = self.receiver.accept(what.start, what.end)
                heappush(arrivals, (self.now + 20 * MS, count, answer))
            else:
                self.take(what)
        else:
            self.take(self.receiver.acknowledge())

    def _check_end(self) -> None:
        self.sender.settle(self.now)
        self.check()
        assert self.receiver.edge == self.written + 1
        assert not self.sender.window.busy
        assert [subflow.in_flight for subflow in self.sender.subflows] == [0] * len(
            self.sender.subflows
        )
