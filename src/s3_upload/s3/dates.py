"""The dates that stores tell: when an answer was sent, when an object was written. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
_FIRST_YEAR = 2006
"""That of S3; a store that says less does not know the time."""


def date_s(text: str) -> float | None:
    """A Date header (RFC 9110 §5.6.7, the form that servers must send) in seconds since the epoch."""
    found = re.fullmatch(_DATE, text)
    if found is None or found[2] not in _MONTHS or int(found[3]) < _FIRST_YEAR:
        return None
    day, year, hour, minute, second = map(int, found.group(1, 3, 4, 5, 6))
    try:
        when = datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return when.timestamp()


def iso_time_s(text: str) -> float | None:
    """Seconds since the epoch of a time as listings write it (RFC 3339), None for anything else."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
