"""HTTP dates (RFC 9110 section 5.6.7), whole seconds since the epoch."""

from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime


def format_date(seconds: float) -> str:
    """The IMF-fixdate form, the only one that may be sent."""
    return formatdate(seconds, usegmt=True)


def parse_date(text: str) -> int | None:
    """Any of the three forms a recipient must accept, or None for what is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:  # asctime names no zone; it is UTC by definition
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
