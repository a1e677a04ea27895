"""What a URL shows in messages."""

from __future__ import annotations

import pytest

from s3_upload.urls import shown


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://host:80/path", "http://host:80/path"),
        ("http://host:80/path?token=x", "http://host:80/path?…"),
        ("http://host/path?mail=a@b", "http://host/path?…"),
        ("http://user:password@host:80/path?token=x", "http://***@host:80/path?…"),
        ("user:pass/word@host", "***@host"),
        ("http://user:sec?ret@host", "http://***@host"),
        # Where a password ends that holds all of these cannot be known.
        ("http://user:sec?ret/x@host:99999", "http://***"),
        ("http://user:se/c#ret@host?token=x", "http://***"),
        ("user:12?34/x@host", "***"),
    ],
)
def test_no_part_of_a_password_or_a_query_is_shown(url: str, what: str) -> None:
    assert shown(url) == what
