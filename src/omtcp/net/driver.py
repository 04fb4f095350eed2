"""The loop between TUN devices and the core: read, feed, drain, arm one timer.

It lives inside an asyncio event loop. When nothing happens it has one file descriptor per path
registered and at most one timer armed, and costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from omtcp.core.config import SECOND
from omtcp.core.connection import Connection, Transmit
from omtcp.core.endpoint import Endpoint
from omtcp.core.events import Closed, Event
from omtcp.core.paths import Paths
from omtcp.core.strangers import Reply
from omtcp.errors import LocalError, PathError, WireError
from omtcp.net.doorman import Doorman, is_syn
from omtcp.net.tun import PACKET_SIZE, PayloadError, Tun
from omtcp.wire.header import HeaderWriter
from omtcp.wire.packet import IcmpPacket, TcpPacket, parse_packet
from omtcp.wire.pure_ack import AckFold
from omtcp.wire.train import packets

READ_BATCH = 128
"""Packets read before the core is asked what to send: ACKs are folded, then acted on once."""
SEND_BATCH = 16
"""Segments one connection may send before the others have their turn."""
SEND_ROUND = 128
"""Segments that all may send before packets are read again: each draws an ACK, and the device has
room for some hundreds only."""
TURN = 16
"""Rounds of reading and sending before the event loop runs other tasks."""
LOOK_NS = 1_000_000
"""How long packets that come thick wait to be read together: what the loop's timers resolve."""
THICK = 8
"""Packets per look for which this is worth it. It is not at some ten megabits: there a burst every
millisecond, with silence in between, is spared by a full queue that others meet, and gets more than
its share of the link."""

WRITERS_MOST = 1024
"""Connections whose headers are remembered; most of many are idle, and would keep them in vain."""

TELL_NS = 60 * SECOND
"""How often the log says that there is a crowd."""

_log = logging.getLogger("omtcp.net")
_T = TypeVar("_T")


class Driver:
    """Runs one endpoint over its TUN devices."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        tuns: Sequence[Tun | None],
        on_event: Callable[[Connection, Event], None],
        on_accept: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._tuns: list[Tun | None] = list(tuns)
        """By path; None where the path was removed."""
        self._on_event = on_event
        self._on_accept = on_accept
        self._buffer = bytearray(PACKET_SIZE)
        self._view = memoryview(self._buffer)
        self._acks = AckFold()
        self._writers: dict[Connection, list[HeaderWriter]] = {}
        self._watched: list[int] = []
        """Paths that are looked at every LOOK_NS instead of being waited for."""
        self._read_at = 0
        self._slack_ns = 0
        """For how long the ACKs of who had a turn since may wait."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._strangers: list[tuple[bytes, bool]] = []
        """SYNs that were read, and whether their checksums are known to be right."""
        self._doorman = Doorman()
        self._told_at = -TELL_NS
        self._soon = False
        self._draining = False
        self._turn: Connection | None = None
        """Who has its turn in a drain, and so needs no other for what it does meanwhile."""
        self.on_stray: Callable[[bytes], object] | None = None
        """Is given ICMP errors that matter to a connection that is not here."""
        self.malformed = 0
        """Packets dropped because they could not be parsed."""
        self.refused = 0
        """Packets that a device had no room for."""

    @property
    def shed(self) -> int:
        """SYNs that were dropped in a crowd, for want of time."""
        return self._doorman.shed

    @staticmethod
    def clock() -> int:
        """The time the core is given."""
        return time.monotonic_ns()

    @property
    def paths(self) -> Paths:
        """Those of the endpoint."""
        return self._endpoint.paths

    def start(self) -> None:
        """Begin to read."""
        for path, tun in enumerate(self._tuns):
            if tun is not None:
                self._loop.add_reader(tun.fileno(), self._on_readable, path)

    def stop(self) -> None:
        """Stop reading; whatever is under way is left to itself."""
        for tun in self._tuns:
            if tun is not None and tun.fileno() >= 0:
                self._loop.remove_reader(tun.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self, connection: Connection) -> None:
        """The application called a verb of `connection`: send what came of it soon."""
        if connection is self._turn:
            return
        self._endpoint.touch(connection)
        if not self._draining:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._on_soon)

    def handle_path(self, path: int, up: bool) -> None:
        """The link of `path` went down, or came up."""
        now = self.clock()
        self._endpoint.handle_path(now, path, up)
        self._drain(now)
        self._arm(now)

    def handle_stray(self, octets: bytes) -> None:
        """An ICMP error that came to another driver may matter to a connection of ours."""
        with suppress(WireError):
            packet = parse_packet(octets, checksum_valid=False)
            if isinstance(packet, IcmpPacket):
                message = packet.message
                self.operate(lambda now: self._endpoint.handle_icmp(now, message))

    def add_path(self, tun: Tun, mtu: int, *, cost: int, up: bool, name: str) -> int:
        """One more path, over `tun`; returns its index. LocalError as `Endpoint.add_path` says."""

        def add(now: int) -> int:
            path = self._endpoint.add_path(now, mtu, cost=cost, up=up, name=name)
            self._tuns.append(tun)
            self._loop.add_reader(tun.fileno(), self._on_readable, path)
            return path

        return self.operate(add)

    def remove_path(self, path: int, *, force: bool = False) -> None:
        """A path is no more; its device may be closed then. LocalError if it must not go."""

        def remove(now: int) -> None:
            self._endpoint.remove_path(now, path, force=force)
            tun, self._tuns[path] = self._tuns[path], None
            if tun is not None:
                self._loop.remove_reader(tun.fileno())

        self.operate(remove)

    def operate(self, verb: Callable[[int], _T]) -> _T:
        """Call a verb of the endpoint with the time, and send what comes of it."""
        now = self.clock()
        try:
            return verb(now)
        finally:
            self._drain(now)
            self._arm(now)

    def flush(self) -> None:
        """Send now what is to be sent."""
        now = self.clock()
        self._drain(now)
        self._arm(now)

    def _on_soon(self) -> None:
        self._soon = False
        self.flush()

    def _on_readable(self, path: int) -> None:
        """Packets wait. Where they come thick, look in a while instead of waiting for each."""
        before, self._read_at = self._read_at, self.clock()
        count = self._look(path)
        tun = self._tuns[path]
        thick = self._read_at - before < LOOK_NS // THICK and 0 <= count < READ_BATCH
        if thick and self._slack_ns >= LOOK_NS and tun is not None:
            self._loop.remove_reader(tun.fileno())
            self._watched.append(path)
        self._arm(self._read_at)

    def _look(self, path: int) -> int:
        """Read what there is and send what follows; how many packets the last batch had.

        Less than none if the device cannot be read any more.
        """
        self._slack_ns = SECOND
        count = READ_BATCH
        turns = TURN
        while count == READ_BATCH and turns:
            turns -= 1
            now = self.clock()
            count = self._read(now, path)
            if count:
                self._drain(now)
        return count

    def _look_again(self) -> None:
        """Look at the paths that are watched; wait again for those where little comes."""
        watched, self._watched = self._watched, []
        for path in watched:
            count = self._look(path)
            tun = self._tuns[path]
            if tun is None or count < 0:
                continue
            if count >= THICK and self._slack_ns >= LOOK_NS:
                self._watched.append(path)
            else:
                self._loop.add_reader(tun.fileno(), self._on_readable, path)

    def _read(self, now: int, path: int) -> int:
        """Feed up to a batch of packets to the core; how many there were, -1 if that failed."""
        tun = self._tuns[path]
        if tun is None:
            return -1
        read_into, fold = tun.read_into, self._acks.take
        buffer, view = self._buffer, self._view
        welcome = not self._endpoint.crowded or self._crowd(now)
        count = 0
        try:
            while count < READ_BATCH and (got := read_into(buffer)) is not None:
                count += 1
                length, checksum_valid = got
                packet = view[:length]
                if fold(packet, checksum_valid=checksum_valid):
                    continue
                if is_syn(packet):
                    if welcome:
                        self._strangers.append((bytes(packet), checksum_valid))
                    else:
                        self._doorman.shed += 1
                else:
                    for ack in self._acks.before(packet):
                        self._feed(now, ack, path)
                    self._parse(now, packet, checksum_valid, path)
        except PathError as error:
            _log.warning("%s", error)
            self._loop.remove_reader(tun.fileno())
            count = -1
        self._feed_acks(now, path)
        if self._strangers:
            self._admit(now, path)
        return count

    def _crowd(self, now: int) -> bool:
        """More knock than can be remembered; whether there is time for them."""
        if now - self._told_at >= TELL_NS:
            self._told_at = now
            _log.warning("too many handshakes under way: SYNs are answered with cookies")
        return self._doorman.look(now)

    def _admit(self, now: int, path: int) -> None:
        """SYNs come after all that was read with them, and in a crowd only if there is time."""
        strangers, self._strangers = self._strangers, []
        doorman, endpoint = self._doorman, self._endpoint
        welcome = True
        for number, (octets, checksum_valid) in enumerate(strangers):
            if not welcome:
                doorman.shed += len(strangers) - number
                return
            before = self.clock()
            self._parse(now, memoryview(octets), checksum_valid, path)
            self._send_replies()
            if endpoint.crowded:
                welcome = doorman.spend(self.clock() - before)

    def _feed_acks(self, now: int, path: int) -> None:
        for packet in self._acks.drain():
            self._feed(now, packet, path)

    def _parse(self, now: int, octets: memoryview, checksum_valid: bool, path: int) -> None:
        try:
            packet = parse_packet(octets, checksum_valid=checksum_valid)
        except WireError:
            self.malformed += 1
            return
        if isinstance(packet, TcpPacket):
            self._feed(now, packet, path)
        elif isinstance(packet, IcmpPacket):
            known = self._endpoint.handle_icmp(now, packet.message)
            if not known and self.on_stray is not None:
                self.on_stray(bytes(octets))

    def _feed(self, now: int, packet: TcpPacket, path: int) -> None:
        if packet.destination != self._endpoint.address:
            return
        try:
            self._endpoint.handle_segment(now, packet.source, packet.segment, path)
        except Exception:
            self._fail(self._endpoint.find(packet.source, packet.segment))

    def _fail(self, connection: Connection | None) -> None:
        """A bug of ours, just caught, ends the connection that met it and no other."""
        self._slack_ns = 0
        self._turn = None
        if connection is None:
            _log.exception("internal error")
            return
        _log.exception("%s: internal error", connection.flow.peer)
        self._endpoint.discard(connection)
        self._writers.pop(connection, None)
        self._on_event(connection, Closed(LocalError("internal error")))

    def _drain(self, now: int) -> None:
        """Send and tell what there is, or a round of it; the rest follows soon."""
        self._draining = True
        try:
            left = self._drain_round(now)
        finally:
            self._draining = False
        if left <= 0:
            self._flush_soon()

    def _drain_round(self, now: int) -> int:
        """How much of the round is left over."""
        endpoint = self._endpoint
        self._send_replies()
        while (accepted := endpoint.poll_accept()) is not None:
            self._on_accept(accepted)
        left = SEND_ROUND
        while left > 0 and (connection := endpoint.next_ready()) is not None:
            try:
                left -= self._drain_connection(now, connection)
            except Exception:
                self._fail(connection)
        return left

    def _send_replies(self) -> None:
        while (reply := self._endpoint.poll_reply()) is not None:
            self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        flow, segment, path = reply
        writer = HeaderWriter(flow.local, flow.remote, flow.local_port, flow.remote_port)
        tun = self._tuns[path]
        if tun is None:
            return
        try:
            self.refused += not tun.write(writer.header(segment), (), 1, writer.ip_header_length)
        except PathError as error:
            _log.debug("%s", error)

    def _drain_connection(self, now: int, connection: Connection) -> int:
        """Give `connection` its turn; return by how much that shortens the round.

        Events first, since they lead to writes; and those that sending led to, such as the last.
        """
        self._tell(connection)
        sent = 0
        while sent < SEND_BATCH and (transmit := connection.poll_transmit(now)) is not None:
            sent += self._send(transmit)
        if connection.has_events and sent < SEND_BATCH:
            self._tell(connection)
        if sent >= SEND_BATCH or connection.changed:
            self._endpoint.touch(connection)
            return sent
        self._endpoint.settle(now, connection)
        self._slack_ns = min(self._slack_ns, connection.slack_ns)
        if connection.over:
            self._writers.pop(connection, None)
        return sent + 1

    def _tell(self, connection: Connection) -> None:
        self._turn = connection
        while (event := connection.poll_event()) is not None:
            self._on_event(connection, event)
        self._turn = None

    def _send(self, transmit: Transmit) -> int:
        """Write a segment of any length; return how many writes it took."""
        connection, path, segment, segment_size = transmit
        tun = self._tuns[path]
        if tun is None:  # decided before the path was removed
            return 0
        writer = self._writer(connection, path)
        train = packets(writer, segment, segment_size, tun.most)
        count = 0
        try:
            count, refused = tun.write_all(train, segment_size, writer.ip_header_length)
            self.refused += refused
        except PayloadError as error:
            _log.warning("%s: %s", connection.flow.peer, error)
            connection.abort()
            self._endpoint.touch(connection)
        except PathError as error:
            _log.debug("%s", error)  # like loss: the path will be suspected
        return count

    def _writer(self, connection: Connection, path: int) -> HeaderWriter:
        writers = self._writers.get(connection)
        if writers is None:
            if len(self._writers) >= WRITERS_MOST:
                self._writers.clear()
            writers = self._writers[connection] = []
        while len(writers) <= path:
            flow = connection.flow
            writers.append(
                HeaderWriter(
                    flow.local,
                    flow.remote,
                    flow.local_port,
                    flow.remote_port,
                    # RFC 6437: a label per flow; one per path lets routers balance them apart.
                    flow_label=hash((flow.remote, flow.remote_port, len(writers))) & 0xFFFFF,
                )
            )
        return writers[path]

    # The timer

    def _arm(self, now: int) -> None:
        """Have `_on_timer` called in time; a timer that is armed for earlier does as well."""
        at = self._endpoint.poll_timeout()
        if self._watched and (at is None or at > now + LOOK_NS):
            at = now + LOOK_NS
        if at is None:
            return
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(at - now, 0) / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._look_again()  # first: what arrived may be what a deadline waits for
        now = max(self.clock(), self._timer_at)
        while (connection := self._endpoint.poll_due(now)) is not None:
            try:
                connection.handle_timeout(now)
            except Exception:
                self._fail(connection)
        self._drain(now)
        self._arm(now)
