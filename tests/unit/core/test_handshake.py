"""What follows from the two SYNs."""

import pytest

from omtcp.core.config import Config
from omtcp.core.handshake import MINIMUM_MSS, Agreement, scale_for
from omtcp.wire.tcp import SYN, Segment


def syn(
    *,
    mss: int | None = 1460,
    window_scale: int | None = 7,
    sack_permitted: bool = True,
    timestamps: tuple[int, int] | None = (1, 0),
) -> Segment:
    return Segment(
        source_port=1,
        destination_port=2,
        seq=0,
        ack=0,
        flags=SYN,
        window=65535,
        mss=mss,
        window_scale=window_scale,
        sack_permitted=sack_permitted,
        timestamps=timestamps,
    )


@pytest.mark.parametrize(
    ("window", "shift"),
    [(0, 0), (0xFFFF, 0), (0x10000, 1), (1 << 20, 5), (4 << 20, 7), (1 << 40, 14)],
)
def test_scale_for(window: int, shift: int) -> None:
    assert scale_for(window) == shift
    assert window >> shift <= 0xFFFF or shift == 14


def test_everything_offered() -> None:
    agreed = Agreement.from_syn(syn(), Config(receive_buffer_max=1 << 20), 4)
    assert agreed == Agreement(
        mss=1460, send_shift=7, receive_shift=5, scaling=True, sack=True, timestamps=True
    )


@pytest.mark.parametrize(("version", "mss"), [(4, 536), (6, 1220)])
def test_a_bare_syn(version: int, mss: int) -> None:
    bare = syn(mss=None, window_scale=None, sack_permitted=False, timestamps=None)
    agreed = Agreement.from_syn(bare, Config(), version)
    assert agreed == Agreement(
        mss=mss, send_shift=0, receive_shift=0, scaling=False, sack=False, timestamps=False
    )
    assert agreed.segment_size(1460) == mss


def test_scaling_needs_both_ends() -> None:
    agreed = Agreement.from_syn(syn(window_scale=None), Config(receive_buffer_max=4 << 20), 4)
    assert not agreed.scaling
    assert agreed.receive_shift == 0


def test_a_shift_of_zero_still_agrees_to_scaling() -> None:
    agreed = Agreement.from_syn(syn(window_scale=0), Config(receive_buffer_max=4 << 20), 4)
    assert (agreed.scaling, agreed.send_shift, agreed.receive_shift) == (True, 0, 7)


def test_an_excessive_shift_counts_as_fourteen() -> None:
    """RFC 7323 section 2.3."""
    assert Agreement.from_syn(syn(window_scale=200), Config(), 4).send_shift == 14


def test_timestamps_may_be_declined() -> None:
    assert not Agreement.from_syn(syn(), Config(timestamps=False), 4).timestamps


def test_an_absurdly_small_mss_is_raised() -> None:
    agreed = Agreement.from_syn(syn(mss=1, timestamps=None), Config(), 4)
    assert agreed.segment_size(1460) == MINIMUM_MSS


@pytest.mark.parametrize(
    ("path_mss", "timestamps", "size"),
    [(1460, None, 1460), (1460, (1, 0), 1448), (1400, (1, 0), 1388), (9000, (1, 0), 1448)],
)
def test_segment_size_leaves_room_for_options(
    path_mss: int, timestamps: tuple[int, int] | None, size: int
) -> None:
    agreed = Agreement.from_syn(syn(timestamps=timestamps), Config(), 4)
    assert agreed.segment_size(path_mss) == size
