"""`resume_multipart`: what is gone on with where only the store knows of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.errors import summary_of
from s3_upload.report import UploadSummary
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Held, Rule, Stall
from tests.faults.test_journal import begun_elsewhere, parts_sent, slices, tree
from tests.faults.uploads import BUCKET, big, config, run, upload

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request


def test_parts_are_known_while_there_is_no_room_for_one_in_memory(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """The store keeps no checksums of them: their MD5s have to be computed."""
    is_full, goes_on, parts = threading.Event(), threading.Event(), slices(big())
    others = [ObjectSource.data(bytes(4 << 20), f"other{n}") for n in range(3)]

    def script(request: Request) -> Held | None:
        if request.key != "big":
            return Held(goes_on) if request.key else None
        if "partNumber" in request.query or request.method == "POST":
            goes_on.set()
        return Held(is_full) if request.method == "GET" else None

    server, files = fault_server(script), tree(tmp_path / "files", {"big": big()})
    begun_elsewhere(server, {n: parts[n] for n in (1, 2, 4)})

    def asked(method: str, key: str, count: int = 1) -> bool:
        found = [r for r in server.requests if r.method == method and r.key.startswith(key)]
        return len(found) >= count

    async def one_after_the_other() -> Any:
        yield files[0]
        await asyncio.to_thread(server.wait_until, lambda: asked("GET", "big"))
        for other in others:
            yield other
        await asyncio.to_thread(server.wait_until, lambda: asked("PUT", "other", len(others)))
        is_full.set()

    settings = config(max_in_flight_bytes=16 << 20)
    assert upload(server, one_after_the_other(), settings=settings, resume_multipart=True).uploaded == 4
    assert parts_sent(server) == [3, 5]


@pytest.mark.parametrize("stalls", ["", "2"], ids=["no part", "a part"])
def test_what_is_interrupted_is_left_for_the_next_run_only_with_parts_by_which_it_is_known(
    fault_server: StartFaultServer, tmp_path: Path, stalls: str
) -> None:
    server = fault_server([Rule(Stall(), method="PUT", query={"partNumber": stalls or None})])
    files = tree(tmp_path / "files", {"big": big()})

    def had() -> bool:
        # There are two at a time: the third is asked for when one is known to be stored.
        return len(parts_sent(server)) >= (3 if stalls else 2)

    async def main(client: S3Client) -> bool:
        settings = config(grace_s=0.0, max_in_flight=2)
        uploading = s3_upload_files(client, BUCKET, files, settings, resume_multipart=True)
        task = asyncio.create_task(uploading)
        await asyncio.to_thread(server.wait_until, had)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as stopped:
            await task
        summary = summary_of(stopped.value)
        assert isinstance(summary, UploadSummary)
        return any("left in the store for the next run" in note for note in summary.notes)

    assert run(server, main) is bool(stalls)
    assert len(server.model.uploads) == bool(stalls)
    server.set_script(None)
    assert upload(server, files, resume_multipart=True).uploaded == 1
    assert server.model.uploads == {}
