"""Bandwidths and times as people write them (sizes: tests/unit/test_cli_options.py)."""

from __future__ import annotations

import re

import pytest

from s3_upload.config import UploadConfig
from s3_upload.errors import ConfigError
from s3_upload.pace import Pace
from s3_upload.units import Bandwidth, parse_bandwidth, parse_time_s, show_rate, show_time


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("20MB/s", 20e6), ("20 MB/s", 20e6), ("20MB", 20e6), ("1.5MB/s", 1.5e6), ("500kB/s", 5e5),
        ("1MiB/s", 2.0**20), ("100Mbit/s", 12.5e6), ("1 gbit/s", 125e6), ("20000", 2e4), ("16kB/s", 16e3),
    ],
)  # fmt: skip
def test_a_rate(text: str, bytes_per_s: float) -> None:
    assert parse_bandwidth(text) == Bandwidth(bytes_per_s=bytes_per_s)


def test_a_share_of_the_link_and_none() -> None:
    assert parse_bandwidth("80%") == parse_bandwidth(" 80 % ") == Bandwidth(share=0.8)
    assert parse_bandwidth("") is None


@pytest.mark.parametrize("text", ["fast", "-1MB/s", "20MB/h", "15kB/s", "0%", "101%", "%", "1e6", "inf"])
def test_anything_else_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=f"max_bandwidth = '{re.escape(text)}': must be [^\n]*$"):
        UploadConfig(max_bandwidth=text)


def test_a_pace_can_be_changed_and_refuses_nonsense() -> None:
    pace = Pace("background", "20MB/s")
    pace.max_bandwidth = "1MB/s"
    assert pace.bandwidth == Bandwidth(bytes_per_s=1e6)
    with pytest.raises(ConfigError, match="max_bandwidth = 'much': must be a bandwidth such as"):
        pace.max_bandwidth = "much"
    assert repr(pace) == "<Pace background max_bandwidth=1MB/s>"
    pace.limit("")
    assert pace.bandwidth is None
    with pytest.raises(ConfigError, match="share = 'all'"):
        Pace("all")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300.0),
        ("5m", 300.0),
        ("1.5 s", 1.5),
        ("250ms", 0.25),
        ("2H", 7200.0),
        ("0", 0.0),
        ("1d", 86400.0),
    ],
)
def test_a_time(text: str, seconds: float) -> None:
    assert parse_time_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5q", "m", "-1", "1:30", "1e3", "inf"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: give seconds"):
        parse_time_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300.0, "5m"), (90.0, "90s"), (7200.0, "2h"), (0.0, "0s"), (0.25, "0.25s"), (604_800.0, "7d")],
)
def test_a_time_is_shown_as_it_is_read(seconds: float, text: str) -> None:
    assert show_time(seconds) == text
    assert parse_time_s(text) == seconds


@pytest.mark.parametrize(
    ("rate", "one", "two"),
    [
        (0.0, "0 B/s", "0 B/s"), (850.0, "850 B/s", "850 B/s"), (999.4, "999 B/s", "999 B/s"),
        (999.6, "1 kB/s", "1 kB/s"), (85_000.0, "85 kB/s", "85 kB/s"), (99_499.0, "99 kB/s", "99 kB/s"),
        (99_500.0, "0.1 MB/s", "0.10 MB/s"), (27_340_000.0, "27.3 MB/s", "27.34 MB/s"),
        (1_234_500_000.0, "1,234.5 MB/s", "1,234.50 MB/s"),
    ],
)  # fmt: skip
def test_a_rate_is_in_megabytes_as_far_as_these_tell_anything(rate: float, one: str, two: str) -> None:
    assert (show_rate(rate), show_rate(rate, 2)) == (one, two)
