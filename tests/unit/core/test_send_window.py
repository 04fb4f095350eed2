"""What of a stream may be sent."""

from omtcp.core.scoreboard import Scoreboard
from omtcp.core.send_buffer import SendBuffer
from omtcp.core.send_window import SendWindow

from .sending import MSS, make_subflow


class Stream:
    """A window over so many bytes, of which some were sent and some of these acknowledged."""

    def __init__(self, written: int, *, sent: int = 0, acked: int = 0, right: int = 0) -> None:
        buffer = SendBuffer()
        buffer.write(bytes(written))
        self.board = Scoreboard()
        self.window = SendWindow(buffer, self.board)
        self.window.right = self.window.largest = right
        if sent:
            self.board.record(make_subflow().send(0, 0, sent))
        self.board.acknowledge(acked, [])


def test_a_fin_takes_the_place_behind_the_last_byte() -> None:
    window = Stream(100).window
    assert window.end == 100
    window.closing = True
    assert window.end == 101


def test_it_is_busy_until_all_is_acknowledged() -> None:
    assert not Stream(0).window.busy
    assert Stream(100).window.busy
    assert Stream(100, sent=100, acked=99).window.busy
    assert not Stream(100, sent=100, acked=100).window.busy


def test_a_fin_is_waited_for_as_well() -> None:
    stream = Stream(100, sent=101, acked=100)
    assert not stream.window.fin_acked
    stream.window.closing = True
    assert (stream.window.busy, stream.window.fin_acked) == (True, False)
    stream.board.acknowledge(101, [])
    assert (stream.window.busy, stream.window.fin_acked) == (False, True)


def test_new_data_needs_room() -> None:
    assert Stream(100, sent=40, right=50).window.has_new_data()
    assert not Stream(100, sent=40, right=40).window.has_new_data()
    assert not Stream(100, sent=100, right=200).window.has_new_data()


def test_its_sizes() -> None:
    window = Stream(100, sent=40, acked=10, right=50).window
    assert (window.size, window.usable) == (40, 10)


def test_it_is_stalled_when_nothing_is_on_its_way() -> None:
    assert not Stream(0).window.stalled
    assert Stream(100).window.stalled
    assert not Stream(100, sent=40).window.stalled


class TestHunger:
    def test_a_writer_that_has_more(self) -> None:
        assert Stream(100, sent=40, right=100).window.hungry
        assert not Stream(100, sent=100, right=100).window.hungry

    def test_a_reader_that_lets_its_window_shrink_by_half(self) -> None:
        stream = Stream(100, sent=40, right=100)
        stream.window.look()
        stream.board.acknowledge(40, [])
        assert stream.window.hungry
        stream.window.right = 89
        assert not stream.window.hungry


class TestSillyWindows:
    """RFC 9293 section 3.8.6.2.1."""

    def test_what_fits_is_sent(self) -> None:
        assert Stream(9 * MSS, right=9 * MSS).window.admits(1234, MSS) == 1234

    def test_of_what_does_not_whole_segments(self) -> None:
        assert Stream(9 * MSS, right=2 * MSS + 500).window.admits(4 * MSS, MSS) == 2 * MSS

    def test_a_fin_alone_needs_no_room(self) -> None:
        stream = Stream(MSS, sent=MSS, right=MSS)
        stream.window.closing = True
        assert stream.window.admits(1, MSS) == 1

    def test_less_than_a_segment_if_it_is_half_of_the_largest_and_nothing_is_out(self) -> None:
        assert Stream(MSS, right=600).window.admits(MSS, MSS) == 600
        assert Stream(MSS, sent=100, right=600).window.admits(MSS, MSS) == 0
        stream = Stream(MSS, right=600)
        stream.window.largest = 1202
        assert stream.window.admits(MSS, MSS) == 0

    def test_or_once_when_patience_is_over(self) -> None:
        stream = Stream(MSS, right=100)
        stream.window.largest = 60_000
        assert stream.window.admits(MSS, MSS) == 0
        stream.window.override = True
        assert stream.window.admits(MSS, MSS) == 100
        assert not stream.window.override
        assert stream.window.admits(MSS, MSS) == 0

    def test_nothing_of_a_window_that_is_full_or_was_taken_back(self) -> None:
        for right in (MSS, MSS - 1):
            assert Stream(2 * MSS, sent=MSS, right=right).window.admits(MSS, MSS) == 0
