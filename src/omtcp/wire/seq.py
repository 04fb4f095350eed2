"""Sequence numbers: arithmetic modulo 2**32, and the way in and out of it.

Everything above this layer counts stream offsets in unbounded ints; only packets carry 32 bits.
Comparison follows RFC 9293 section 3.4 in the form that RFC 1982 gives it: of two numbers the
later one is at most 2**31 - 1 ahead. Exactly 2**31 apart neither is later, as in RFC 1982.
"""

SEQ_BITS = 32
SEQ_MODULUS = 1 << SEQ_BITS
SEQ_MASK = SEQ_MODULUS - 1
_HALF = SEQ_MODULUS >> 1


def seq_add(a: int, n: int) -> int:
    """The sequence number `n` octets after `a`; `n` may be negative or larger than 2**32."""
    return (a + n) & SEQ_MASK


def seq_diff(a: int, b: int) -> int:
    """How far `a` is ahead of `b`, in -2**31 .. 2**31 - 1 (RFC 9293 section 3.4).

    Opposite points of the circle, 2**31 apart, give -2**31 both ways round.
    """
    return ((a - b + _HALF) & SEQ_MASK) - _HALF


def seq_lt(a: int, b: int) -> bool:
    """Whether `a` is earlier than `b`; false both ways for numbers 2**31 apart (RFC 1982)."""
    return 0 < ((b - a) & SEQ_MASK) < _HALF


def seq_le(a: int, b: int) -> bool:
    """Whether `a` is earlier than or equal to `b`."""
    return ((b - a) & SEQ_MASK) < _HALF


def unwrap(seq32: int, near: int) -> int:
    """The unbounded value congruent to `seq32` modulo 2**32 that is nearest to `near`.

    The result lies in `near` - 2**31 .. `near` + 2**31 - 1 and is negative when `near` is small
    and `seq32` lies before it.
    """
    return near + ((seq32 - near + _HALF) & SEQ_MASK) - _HALF
