"""What is held of bodies that are through: nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from s3_upload import ObjectSource, S3Client, own_process, s3_upload_files
from s3_upload.cli.main import main
from s3_upload.config import MIB
from tests.faults.actions import Action, Delay, Request, Reset, Rule, Stall
from tests.faults.uploads import BUCKET, config, run, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from s3_upload.report import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer

WORKERS = 8
TURNS = 10
"""Of the loop, which it takes a worker from the report to its wait for more work."""


def test_idle_workers_hold_no_body(fault_server: StartFaultServer) -> None:
    """While one upload is still under way: the others' workers wait for work that does not come."""
    bodies = [b"%d" % number * 1000 for number in range(3 * WORKERS)]
    sources = [ObjectSource.data(body, f"{number}") for number, body in enumerate(bodies)]
    unused = [sys.getrefcount(body) for body in bodies]

    def script(request: Request) -> Action | None:
        return Stall() if request.key == "0" and request.attempt == 1 else None

    async def idle(client: S3Client) -> list[int]:
        done, others = asyncio.Event(), []

        def progress(report: UploadReport) -> None:
            others.append(report.key)
            if len(others) == len(bodies) - 1:
                done.set()

        uploading: asyncio.Task[UploadSummary] = asyncio.create_task(
            s3_upload_files(client, BUCKET, sources, config(max_in_flight=WORKERS), progress)
        )
        await done.wait()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert not uploading.done()
        held = [sys.getrefcount(body) for body in bodies]
        server.close_connections(reset=True)  # and the one that stalls is tried again
        await uploading
        return held

    server = fault_server(script)
    assert run(server, idle)[1:] == unused[1:]


def test_bodies_of_which_it_is_asked_whether_they_have_arrived_are_bounded_with_the_others(
    fault_server: StartFaultServer,
) -> None:
    """A store that takes each and loses its answer; what is asked then takes longer than to read the next."""
    server = fault_server([Rule(Reset(stored=True), method="PUT"), Rule(Delay(0.3), method="HEAD")])
    settings = config(n_retries=0, max_in_flight=64, max_in_flight_bytes=16 * MIB, multipart_threshold=MIB)
    bodies = dict.fromkeys(map(str, range(32)), bytes(MIB))
    assert upload(server, bodies, settings=settings).uploaded == 32
    # Some come twice: on a connection that was waiting its reset is no failure.
    begun_s = {put.key: put.started_s for put in reversed(server.of("PUT"))}
    settled_s = {asked.key: asked.answered_s for asked in server.of("HEAD")}
    held = [sum(begun_s[key] <= now_s < settled_s[key] for key in bodies) for now_s in begun_s.values()]
    assert max(held) <= 16


def test_a_command_in_the_tests_own_process_has_it_give_freed_memory_back(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be set for all tests that follow.  (That there is one heap is set for them anyway.)"""
    server, chosen = fault_server(), list[int]()
    monkeypatch.setattr(own_process, "_mallopt", lambda option, _value: chosen.append(option))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / "a").write_bytes(b"a")
    flags = ["--region", "us-east-1", "--endpoint-url", server.url, "--quiet"]
    assert main([str(tmp_path / "a"), f"s3://{BUCKET}/a", *flags]) == 0
    assert stored(server) == {"a": b"a"}
    assert chosen == [own_process.M_ARENA_MAX]
