"""RFC 6528's properties."""

from hypothesis import given
from hypothesis import strategies as st

from omtcp.core.isn import initial_sequence_number
from omtcp.wire.seq import SEQ_MODULUS, seq_diff

SECRET = bytes(range(16))
LOCAL = bytes([192, 0, 2, 1])
REMOTE = bytes([198, 51, 100, 7])


def isn(
    *,
    secret: bytes = SECRET,
    local: bytes = LOCAL,
    local_port: int = 80,
    remote: bytes = REMOTE,
    remote_port: int = 40000,
    now: int = 0,
) -> int:
    return initial_sequence_number(
        secret=secret,
        local=local,
        local_port=local_port,
        remote=remote,
        remote_port=remote_port,
        now=now,
    )


@given(st.integers(0, 10**18), st.integers(0, 10**12))
def test_ticks_every_four_microseconds(now: int, later: int) -> None:
    ticks = (now + later) // 4000 - now // 4000
    assert (isn(now=now + later) - isn(now=now) - ticks) % SEQ_MODULUS == 0


def test_reincarnation_of_a_connection_starts_later() -> None:
    second = 1_000_000_000
    assert seq_diff(isn(now=5 * second), isn(now=4 * second)) == 250_000


def test_depends_on_every_part() -> None:
    values = {
        isn(),
        isn(secret=bytes(16)),
        isn(local=REMOTE),
        isn(local_port=81),
        isn(remote=LOCAL),
        isn(remote_port=40001),
        isn(local=bytes(16), remote=bytes(16)),
    }
    assert len(values) == 7
    assert all(0 <= value < SEQ_MODULUS for value in values)


def test_known_value() -> None:
    """As `openssl mac -macopt size:4 ... BLAKE2BMAC` computes it, so the layout is pinned too."""
    assert isn() == isn()
    assert isn() == 0x5B0EB31E
