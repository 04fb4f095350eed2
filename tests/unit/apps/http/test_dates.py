"""HTTP dates, RFC 9110 section 5.6.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omtcp.apps.http.dates import format_date, parse_date


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_all_three_forms(text: str) -> None:
    assert parse_date(text) == 784111777


@given(st.integers(0, 253402300799))
def test_there_and_back(seconds: int) -> None:
    assert parse_date(format_date(seconds)) == seconds


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d{1,9} \w{3} \d{1,9} \d+:\d+:\d+ [-+\w]+"))
def test_any_text_is_a_date_or_none(text: str) -> None:
    parsed = parse_date(text)
    assert parsed is None or isinstance(parsed, int)
