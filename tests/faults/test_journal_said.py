"""From Python: what is said of objects is another than before, so all of them are sent again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import Credentials, upload
from s3_upload.request_fields import CustomerKey, RequestFields
from s3_upload.sources.content_type import Guess
from tests.faults.test_journal import OLD_NS

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer


@pytest.mark.parametrize("first", [{}, {"preserve": "mtime"}])
@pytest.mark.parametrize("more", [{}, {"default_request": lambda _: None}], ids=["guessed", "of one's own"])
def test_with_other_times_kept_all_are_sent_again(
    fault_server: StartFaultServer, tmp_path: Path, first: dict[str, Any], more: dict[str, Any]
) -> None:
    server = fault_server()
    (tmp_path / "src").mkdir()
    for name in ("a", "b"):
        (tmp_path / "src" / name).write_text("body")
        os.utime(tmp_path / "src" / name, ns=(OLD_NS, OLD_NS))

    def uploaded(**how: Any) -> int:
        where: dict[str, Any] = {
            "endpoint_url": server.url,
            "region": "us-east-1",
            "credentials": Credentials("k", "s"),
        }
        return upload(
            tmp_path / "src", "s3://bucket", journal=tmp_path / "journal", **where, **how, **more
        ).uploaded

    second = {} if first else {"preserve": "mtime"}
    assert [uploaded(**first), uploaded(**first), uploaded(**second)] == [2, 0, 2]


def test_another_key_of_sse_c_is_something_else_that_is_said_and_is_not_told() -> None:
    keys = [CustomerKey(byte * 32) for byte in (b"1", b"2", b"1")]
    first, second, same = (Guess(RequestFields(sse_customer_key=key)).said for key in keys)
    assert first != second
    assert first == same
    for key in keys:
        assert key.base64 not in first
        assert key.md5_base64 not in first
