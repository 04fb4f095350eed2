"""What this layer takes for octets."""

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Memoryviews are contiguous, one-dimensional and of format "B"."""
