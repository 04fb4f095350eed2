"""Preconditions against RFC 9110 section 13."""

import pytest

from omtcp.apps.http.conditional import Verdict, evaluate, file_validators, range_applies
from omtcp.apps.http.dates import format_date

MODIFIED = 1_700_000_000
CURRENT = file_validators(mtime_ns=MODIFIED * 10**9 + 5, size=42, inode=7)
ETAG = CURRENT.etag
BEFORE, EXACT, AFTER = (format_date(MODIFIED + offset) for offset in (-1, 0, 1))

PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED


def test_every_part_of_the_state_is_in_the_tag() -> None:
    state = {"mtime_ns": 1, "size": 2, "inode": 3}
    tags = {file_validators(**state).etag}
    tags.update(file_validators(**{**state, name: 9}).etag for name in state)
    assert len(tags) == 4


def test_last_modified_is_whole_seconds() -> None:
    assert CURRENT.last_modified == "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, PROCEED),
        ({"if-match": "*"}, PROCEED),
        ({"if-match": ETAG}, PROCEED),
        ({"if-match": f'"other", {ETAG}'}, PROCEED),
        ({"if-match": '"other"'}, FAILED),
        ({"if-match": f"W/{ETAG}"}, FAILED),  # strong comparison
        ({"if-match": "rubbish"}, FAILED),
        ({"if-unmodified-since": BEFORE}, FAILED),
        ({"if-unmodified-since": EXACT}, PROCEED),
        ({"if-unmodified-since": "rubbish"}, PROCEED),
        ({"if-none-match": "*"}, NOT_MODIFIED),
        ({"if-none-match": ETAG}, NOT_MODIFIED),
        ({"if-none-match": f'"a,b",W/{ETAG}'}, NOT_MODIFIED),  # weak comparison
        ({"if-none-match": '"other"'}, PROCEED),
        ({"if-none-match": f'"x{ETAG[1:]}'}, PROCEED),
        ({"if-modified-since": BEFORE}, PROCEED),
        ({"if-modified-since": EXACT}, NOT_MODIFIED),
        ({"if-modified-since": AFTER}, NOT_MODIFIED),
        ({"if-modified-since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, NOT_MODIFIED),
        ({"if-modified-since": "Tue Nov 14 22:13:20 2023"}, NOT_MODIFIED),
        ({"if-modified-since": "rubbish"}, PROCEED),
        # Precedence, section 13.2.2.
        ({"if-match": ETAG, "if-unmodified-since": BEFORE}, PROCEED),
        ({"if-match": '"other"', "if-none-match": ETAG}, FAILED),
        ({"if-match": ETAG, "if-none-match": ETAG}, NOT_MODIFIED),
        ({"if-unmodified-since": BEFORE, "if-none-match": ETAG}, FAILED),
        ({"if-none-match": '"other"', "if-modified-since": AFTER}, PROCEED),
        ({"if-none-match": ETAG, "if-modified-since": BEFORE}, NOT_MODIFIED),
    ],
)
def test_verdict(headers: dict[str, str], verdict: Verdict) -> None:
    assert evaluate(headers, CURRENT) is verdict


@pytest.mark.parametrize(
    ("condition", "age", "applies"),
    [
        (None, 0, True),
        (ETAG, 0, True),
        (f" {ETAG} ", 0, True),
        (f"W/{ETAG}", 100, False),
        ('"other"', 100, False),
        (EXACT, 100, True),
        (EXACT, 0.5, False),  # the file may change once more within that second
        (BEFORE, 100, False),
        (AFTER, 100, False),  # an exact match, not a comparison
        ("rubbish", 100, False),
    ],
)
def test_if_range(condition: str | None, age: float, applies: bool) -> None:
    headers = {} if condition is None else {"if-range": condition}
    assert range_applies(headers, CURRENT, MODIFIED + age) is applies
