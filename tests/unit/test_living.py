"""The search for what could show a secret."""

from __future__ import annotations

import gc

import pytest

from s3_upload import Credentials, CustomerKey, RequestFields, S3Client
from tests.living import of_ours, reprs_of_ours


def test_what_the_collector_does_not_know_is_found_where_it_is_held() -> None:
    credentials = Credentials("AKID", "secret")
    client = S3Client(credentials=credentials)
    assert not gc.is_tracked(credentials)
    assert [thing for thing in of_ours() if thing is client]
    assert [thing for thing in of_ours() if thing is credentials]
    assert "AKID" in reprs_of_ours(S3Client, Credentials)


def test_a_search_that_misses_what_it_is_about_fails() -> None:
    fields = RequestFields(sse_customer_key=CustomerKey(b"x" * 32))
    assert repr(fields) in reprs_of_ours(CustomerKey)

    class NeverMade:
        pass

    with pytest.raises(AssertionError, match="not looked at"):
        reprs_of_ours(NeverMade)
