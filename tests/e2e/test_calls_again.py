"""`upload` and its like, called again: by a journal, and by what the store has of a file in parts."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from s3_upload import ConfigError, Journal, UploadSummary, sync_files
from tests.e2e.test_calls import (
    at,
    call,
    src,  # noqa: F401 - a fixture
)
from tests.faults.model import StoredObject, Upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer


@call
@pytest.mark.parametrize("as_path", [True, False])
def test_a_second_call_with_the_same_journal_sends_nothing(
    call: Callable[..., UploadSummary],
    fault_server: StartFaultServer,
    src: Path,  # noqa: F811
    as_path: bool,
) -> None:
    for path in (src / "a.txt", src / "sub" / "b"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    server, path = fault_server(), src.parent / "of.journal"
    journal = path if as_path else Journal(path)
    assert call(src, "s3://bucket/p", journal=journal, **at(server)).uploaded == 2
    asked = len(server.requests)
    again = call(src, "s3://bucket/p", journal=journal, progress=True, **at(server))
    assert (again.sources, len(server.requests)) == (0, asked)
    assert any(note.startswith("2 files were uploaded by earlier runs") for note in again.notes)


@call
@pytest.mark.parametrize("silently", [False, True])
def test_what_a_store_has_of_a_file_in_parts_is_gone_on_with_without_a_journal(
    call: Callable[..., UploadSummary], fault_server: StartFaultServer, tmp_path: Path, *, silently: bool
) -> None:
    """Also where it lists keys encoded and does not say so, as Ceph does."""
    (tmp_path / "my big").write_bytes(body := os.urandom(11 << 20))
    server = fault_server()
    server.model.encodes_silently = silently
    part = StoredObject(body[: 5 << 20], 5 << 20, hashlib.md5(body[: 5 << 20]).hexdigest())
    server.model.uploads["elsewhere"] = Upload("bucket", "my big", {}, {1: part})
    settings = {"multipart_threshold": "5MiB", "part_size": "5MiB", "resume_multipart": True}
    summary = call(tmp_path / "my big", "s3://bucket/", **settings, **at(server))
    assert any("went on with an upload in parts" in note for note in summary.notes), summary.notes


def test_a_sync_needs_no_journal(src: Path) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="journal: sync_files asks the store what is there"):
        asyncio.run(sync_files(src, "s3://bucket/p", journal=src.parent / "j"))  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
