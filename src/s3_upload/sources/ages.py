"""Ages and dates as people write them: `newer_than`, `older_than`, also of `clean` and `jobs`.

A duration counts back from the moment at which the run begins.  A date without a zone is that of the clock on
the wall, as for `find -newermt` and rclone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from s3_upload.units import SECONDS

_PIECE = r"(\d+(?:\.\d+)?)\s*(ms|min|mo|s|m|h|d|w|y)\s*"
_SECONDS = SECONDS | {"w": 7 * 86_400.0, "mo": 30 * 86_400.0, "y": 365 * 86_400.0}
"""A month has 30 days and a year 365, as in rclone."""
MAX_AGE_S = 1e12
"""Some 30,000 years: what is older was mistyped."""
WANTED = "give an age such as 36h, 7d or 1d12h, or a date such as 2026-01-31 or 2026-01-31T12:00:00Z"

When = str | datetime | timedelta
"""A moment, or how long ago it was."""


def moment_ns(when: When, now_ns: int) -> int:
    """The moment that `when` names, in nanoseconds since 1970; `now_ns` is now. Raises `ValueError`, which
    says what it must be."""
    if isinstance(when, timedelta):
        return now_ns - round(when.total_seconds() * 1e9)
    if isinstance(when, datetime):
        return _ns_of(when)
    text = when.strip()
    if _is_age(text):
        return now_ns - round(parse_age_s(text) * 1e9)
    if re.fullmatch(r"@\d+(\.\d+)?", text):  # as `date -d` has it
        return round(float(text[1:]) * 1e9)
    try:
        return _ns_of(datetime.fromisoformat(text))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text or repr(text)} is no age and no date: {WANTED}") from None


def parse_age_s(text: str) -> float:
    """Seconds, of "90s", "1.5h" or "1d12h". A number alone is none: 2026 would be 34 minutes. Raises
    `ValueError`."""
    if not _is_age(text.strip()):
        raise ValueError(f"{text} is no age: give a number and its unit, such as 36h, 7d or 1d12h")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PIECE, text))
    if seconds >= MAX_AGE_S:
        raise ValueError(f"{text} is more than 30,000 years")
    return seconds


def _is_age(text: str) -> bool:
    return re.fullmatch(rf"(?:{_PIECE})+", text) is not None


def _ns_of(when: datetime) -> int:
    """Whole microseconds stay whole, which a float of seconds would not."""
    since = when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since // timedelta(microseconds=1)) * 1_000
