"""How this omtcp was built."""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

PURE = "pure Python"

_SAMPLE = "omtcp.core.sender"


def is_compiled() -> bool:
    """Whether the protocol is compiled (`make wheel`) or runs as Python."""
    spec = find_spec(_SAMPLE)
    return spec is not None and (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))


def form() -> str:
    """The same in words, for people."""
    return "compiled" if is_compiled() else PURE
