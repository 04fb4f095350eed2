"""Initial sequence numbers that nobody off the path can guess (RFC 6528)."""

from hashlib import blake2b

from omtcp.wire.seq import SEQ_MASK

TICK_NS = 4000
"""RFC 9293 section 3.4.1: the clock of the ISN ticks every 4 µs."""


def initial_sequence_number(
    *,
    secret: bytes,
    local: bytes,
    local_port: int,
    remote: bytes,
    remote_port: int,
    now: int,
) -> int:
    """ISN = M + F(localip, localport, remoteip, remoteport, secretkey) (RFC 6528 section 3).

    Addresses are packed, 4 or 16 bytes; `secret` is 16 to 64 random bytes kept while the host
    is up; `now` is in nanoseconds. F is BLAKE2b in its keyed mode, a pseudo-random function.
    """
    ports = local_port.to_bytes(2) + remote_port.to_bytes(2)
    digest = blake2b(local + remote + ports, key=secret, digest_size=4).digest()
    return (now // TICK_NS + int.from_bytes(digest)) & SEQ_MASK
