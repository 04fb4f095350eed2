"""What this layer takes for octets."""

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Memoryviews are contiguous, one-dimensional and of format "B"."""

View: TypeAlias = memoryview
"""The same by a name of ours: mypyc does not find the built-in one where a dataclass names it."""
