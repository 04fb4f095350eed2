"""Conditional requests (RFC 9110 section 13): is the answer wanted at all, and in parts?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from omtcp.apps.http.dates import format_date, parse_date

_ENTITY_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Verdict(Enum):
    """What the preconditions leave of a GET or HEAD."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What tells one state of a file from another; `modified` is seconds since the epoch."""

    etag: str
    modified: int

    @property
    def last_modified(self) -> str:
        """The Last-Modified field."""
        return format_date(self.modified)


def file_validators(*, mtime_ns: int, size: int, inode: int) -> Validators:
    """Validators of a file; the entity tag is strong."""
    return Validators(etag=f'"{mtime_ns:x}-{size:x}-{inode:x}"', modified=mtime_ns // 1_000_000_000)


def evaluate(headers: Mapping[str, str], current: Validators) -> Verdict:
    """The preconditions of a GET or HEAD, in the order of section 13.2.2, If-Range apart."""
    if "if-match" in headers:
        if not _matches(headers["if-match"], current.etag, weak=False):
            return Verdict.FAILED
    elif "if-unmodified-since" in headers:
        limit = parse_date(headers["if-unmodified-since"])
        if limit is not None and current.modified > limit:
            return Verdict.FAILED
    if "if-none-match" in headers:
        if _matches(headers["if-none-match"], current.etag, weak=True):
            return Verdict.NOT_MODIFIED
    elif "if-modified-since" in headers:
        limit = parse_date(headers["if-modified-since"])
        if limit is not None and current.modified <= limit:
            return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def range_applies(headers: Mapping[str, str], current: Validators, now: float) -> bool:
    """Whether If-Range, if there is one, lets the Range field count (section 13.1.5)."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if _ENTITY_TAG.fullmatch(condition):
        return condition == current.etag  # strong comparison: a weak tag never equals ours
    # A date is a strong validator only once the second it names is over (section 8.8.2.2).
    return parse_date(condition) == current.modified and now - current.modified >= 1


def _matches(field: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags, or `*`, includes `etag`, which is strong."""
    if field.strip() == "*":
        return True
    listed = (match.group() for match in _ENTITY_TAG.finditer(field))
    return any(tag == etag or (weak and tag == f"W/{etag}") for tag in listed)
