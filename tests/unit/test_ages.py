"""Ages and dates as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.sources.ages import WANTED, moment_ns, parse_age_s

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("5m", timedelta(minutes=5)),
        ("5min", timedelta(minutes=5)),
        (" 36 h ", timedelta(hours=36)),
        ("1d12h", timedelta(hours=36)),
        ("1d 12h", timedelta(hours=36)),
        ("2w", timedelta(days=14)),
        ("2mo", timedelta(days=60)),
        ("1y", timedelta(days=365)),
    ],
)
def test_an_age_counts_back_from_now(text: str, ago: timedelta) -> None:
    assert moment_ns(text, NOW_NS) == moment_ns(ago, NOW_NS) == moment_ns(NOW - ago, NOW_NS)
    assert parse_age_s(text) == ago.total_seconds()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.25+01:00", datetime(2026, 1, 31, 11, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31).astimezone()),
        ("2026-01-31 12:30", datetime(2026, 1, 31, 12, 30).astimezone()),
        ("@1700000000.5", datetime.fromtimestamp(1_700_000_000.5, UTC)),
    ],
)
def test_a_date_without_a_zone_is_local(text: str, moment: datetime) -> None:
    assert moment_ns(text, NOW_NS) == moment_ns(moment, 0)


@pytest.mark.parametrize("text", ["", "7", "2026", "20260x", "1d7", "soon", "5 M", "-3d", "2026-13-01"])
def test_what_is_neither_is_refused_with_what_to_give(text: str) -> None:
    with pytest.raises(ValueError, match="is no age and no date") as caught:
        moment_ns(text, NOW_NS)
    assert str(caught.value).endswith(WANTED)
    with pytest.raises(ValueError, match="is no age: give a number and its unit"):
        parse_age_s(text)


@pytest.mark.parametrize("text", ["99999999y", f"{10**400}d", "32000y"])
def test_what_is_older_than_30_000_years_is_said_to_be(text: str) -> None:
    for read in (parse_age_s, lambda text: moment_ns(text, NOW_NS)):
        with pytest.raises(ValueError, match=f"^{text} is more than 30,000 years$"):
            read(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_microsecond_is_lost(moment: datetime) -> None:
    whole, rest = divmod(moment_ns(moment, 0), 10**9)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole, microseconds=rest // 1_000) == moment


def test_a_long_row_of_digits_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="is no age"):
        moment_ns("1" * 50_000 + "x", NOW_NS)
