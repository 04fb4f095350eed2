"""TCP options: the general parser and encoder.

Known are those of RFC 9293 (MSS), RFC 7323 (window scale, timestamps), RFC 2018 (SACK) and
RFC 5482 (user timeout). The layouts that nearly every segment has are handled in `tcp`, faster.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Protocol

from omtcp.errors import WireError
from omtcp.wire.buffer import Buffer

END = 0
NO_OPERATION = 1
MSS = 2
WINDOW_SCALE = 3
SACK_PERMITTED = 4
SACK = 5
TIMESTAMPS = 8
USER_TIMEOUT = 28

MAX_OPTIONS = 40
MAX_WINDOW_SCALE = 14

_LENGTHS = {MSS: 4, WINDOW_SCALE: 3, SACK_PERMITTED: 2, TIMESTAMPS: 10, USER_TIMEOUT: 4}

_VALUE16 = Struct("!H")
_VALUES32 = Struct("!II")
_ENCODE_MSS = Struct("!BBH")
_ENCODE_TIMESTAMPS = Struct("!BBII")

_USUAL_SYN = Struct("!HHIIIHBB")
_USUAL_MSS, _USUAL_STAMPS, _USUAL_SCALE = 0x0204, 0x0402_080A, 0x0103
USUAL_SYN_LENGTH = _USUAL_SYN.size
"""MSS, SACK-permitted, timestamps, NOP, window scale: what most of the Internet's SYNs have."""


class OptionFields(Protocol):
    """What the options of a segment become; `tcp.Segment` says what the values mean."""

    mss: int | None
    window_scale: int | None
    sack_permitted: bool
    sack: tuple[tuple[int, int], ...]
    timestamps: tuple[int, int] | None
    user_timeout: int | None


def parse_options(data: Buffer, into: OptionFields) -> None:
    """Read the options area `data` of a TCP header into the fields of `into`.

    Unknown kinds are skipped (RFC 9293 section 3.2, MUST-6); of an option that is there twice the
    last counts. A window scale above 14 is read as 14 (RFC 7323 section 2.3). Raises WireError
    if a length is below 2, beyond the header, or not that of the kind.
    """
    for kind, value in _split(data):
        if kind == TIMESTAMPS:
            into.timestamps = _VALUES32.unpack(value)
        elif kind == SACK:
            into.sack = parse_sack_blocks(value)
        elif kind == MSS:
            (into.mss,) = _VALUE16.unpack(value)
        elif kind == WINDOW_SCALE:
            into.window_scale = min(value[0], MAX_WINDOW_SCALE)
        elif kind == SACK_PERMITTED:
            into.sack_permitted = True
        elif kind == USER_TIMEOUT:
            (into.user_timeout,) = _VALUE16.unpack(value)


def parse_usual_syn(data: Buffer, at: int, into: OptionFields) -> bool:
    """Read the options that stand at `at` if they are the usual ones of a SYN; False if not."""
    first, mss, middle, value, echo, last, length, scale = _USUAL_SYN.unpack_from(data, at)
    if (first, middle, last, length) != (_USUAL_MSS, _USUAL_STAMPS, _USUAL_SCALE, 3):
        return False
    into.mss = mss
    into.sack_permitted = True
    into.timestamps = (value, echo)
    into.window_scale = min(scale, MAX_WINDOW_SCALE)
    return True


def _split(data: Buffer) -> Iterator[tuple[int, Buffer]]:
    """The options of `data` as (kind, value), lengths checked, padding left out."""
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        if kind == END:
            return
        if kind == NO_OPERATION:
            at += 1
            continue
        length = data[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end or length != _LENGTHS.get(kind, length):
            raise WireError(f"TCP option {kind} has length {length}")
        yield kind, data[at + 2 : at + length]
        at += length


def parse_sack_blocks(value: Buffer) -> tuple[tuple[int, int], ...]:
    """The blocks of a SACK option, from its value; WireError unless whole, and at least one."""
    if not value or len(value) % 8:
        raise WireError(f"SACK option with {len(value)} octets of blocks")
    return tuple(_VALUES32.iter_unpack(value))


def encode_options(fields: OptionFields, *, syn: bool) -> bytes:
    """The options area for `fields`, a multiple of 4 and at most 40 octets.

    MSS, window scale and SACK-permitted belong to SYN segments and are left out of others. They
    come in the order that most of the Internet's SYNs have, so that no middlebox is surprised.
    As many SACK blocks are written, from the first, as there is room for (RFC 2018 section 3).
    """
    if syn:
        usual = _encode_usual_syn(fields)
        if usual is not None:
            return usual
    parts = []
    if syn and fields.mss is not None:
        parts.append(_ENCODE_MSS.pack(MSS, 4, fields.mss))
    # SACK-permitted, where there is any, is the two octets that align the timestamps.
    permitted = syn and fields.sack_permitted
    if permitted:
        parts.append(b"\x04\x02" if fields.timestamps else b"\x01\x01\x04\x02")
    if fields.timestamps:
        parts.append(b"" if permitted else b"\x01\x01")
        parts.append(_ENCODE_TIMESTAMPS.pack(TIMESTAMPS, 10, *fields.timestamps))
    if syn and fields.window_scale is not None:
        parts.append(bytes((NO_OPERATION, WINDOW_SCALE, 3, fields.window_scale)))
    if fields.user_timeout is not None:
        parts.append(_ENCODE_MSS.pack(USER_TIMEOUT, 4, fields.user_timeout))
    options = b"".join(parts)
    return options + _encode_sack(fields.sack, MAX_OPTIONS - len(options))


def _encode_usual_syn(fields: OptionFields) -> bytes | None:
    """What the general encoder makes of the usual options of a SYN; None if these are others."""
    stamps, scale = fields.timestamps, fields.window_scale
    if not stamps or scale is None or fields.mss is None or not fields.sack_permitted:
        return None
    if fields.sack or fields.user_timeout is not None:
        return None
    value, echo = stamps
    return _USUAL_SYN.pack(
        _USUAL_MSS, fields.mss, _USUAL_STAMPS, value, echo, _USUAL_SCALE, 3, scale
    )


def _encode_sack(blocks: tuple[tuple[int, int], ...], room: int) -> bytes:
    blocks = blocks[: max(0, room - 4) // 8]
    if not blocks:
        return b""
    edges = b"".join(_VALUES32.pack(*block) for block in blocks)
    return bytes((NO_OPERATION, NO_OPERATION, SACK, 2 + len(edges))) + edges
