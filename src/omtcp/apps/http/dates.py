"""HTTP dates (RFC 9110 section 5.6.7), whole seconds since the epoch."""

from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache


def format_date(seconds: float) -> str:
    """The IMF-fixdate form, the only one that may be sent."""
    return formatdate(seconds, usegmt=True)


def current_date(seconds: float) -> str:
    """The same of a clock, which is asked many times a second."""
    return _of_second(int(seconds))


@lru_cache(maxsize=2)
def _of_second(seconds: int) -> str:
    return format_date(seconds)


def parse_date(text: str) -> int | None:
    """Any of the three forms a recipient must accept, or None for what is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:  # asctime names no zone; it is UTC by definition
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
