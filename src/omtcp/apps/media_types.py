"""Content types by file name."""

import mimetypes

# Not the host's tables: the answer should depend on the name alone.
_TYPES = mimetypes.MimeTypes()
for _type, _suffixes in {
    "application/gzip": ".gz",
    "application/vnd.debian.binary-package": ".deb",
    "application/x-7z-compressed": ".7z",
    "application/x-iso9660-image": ".iso",
    "application/x-rpm": ".rpm",
    "application/yaml": ".yaml .yml",
    "application/zstd": ".zst",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg .opus",
    "font/woff2": ".woff2",
    "image/avif": ".avif",
    "image/webp": ".webp",
    "text/markdown": ".md",
    "video/x-matroska": ".mkv",
}.items():
    for _suffix in _suffixes.split():
        _TYPES.add_type(_type, _suffix)

_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/octet-stream",
    "compress": "application/x-compress",
}


def media_type(name: bytes) -> str:
    """The Content-Type for a file name.

    A compressed file is offered as what it is, not as its content with a Content-Encoding:
    whoever downloads an archive wants the archive.
    """
    # Only the suffix counts, and a name with a colon would be taken for a URL.
    guessed, encoding = _TYPES.guess_type("x/" + name.decode("utf-8", "replace"))
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    if guessed is None:
        return "application/octet-stream"
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
