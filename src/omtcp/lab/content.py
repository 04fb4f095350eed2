"""The files that are downloaded: bytes that cannot be mistaken for one another."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 24


class Content:
    """A file of `size` bytes, the same for the same size, and the digest of any prefix.

    The bytes are a hash's output, so a segment that lands in the wrong place or twice changes the
    digest.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self.path = directory / f"{size}.bin"
        self.size = size
        digest = hashlib.sha256()
        with self.path.open("wb") as file:
            for start in range(0, size, _BLOCK):
                block = hashlib.shake_128(b"omtcp lab %d" % start)
                data = block.digest(min(_BLOCK, size - start))
                digest.update(data)
                file.write(data)
        self.digest = digest.hexdigest()

    def prefix_digest(self, length: int) -> str:
        """SHA-256 of the first `length` bytes."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while length > 0 and (data := file.read(min(length, _BLOCK))):
                digest.update(data)
                length -= len(data)
        return digest.hexdigest()
