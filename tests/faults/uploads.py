"""Whole uploads to the fault server, and what must hold after every one of them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import uvloop

from s3_upload.api import controls_for, real_runtime, run_upload, s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.config import MIB, UploadConfig
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.retrying.retry import Tuning as RetryTuning
from s3_upload.control.waiting.timeouts import Timeout, Timeouts
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.given import Controls
from tests.faults.actions import Stall

if TYPE_CHECKING:
    from s3_upload.report import AttemptReport, UploadReport, UploadSummary
    from tests.faults.server import FaultServer

T = TypeVar("T")

BUCKET = "bucket"
PART_BYTES = 5 * MIB
BIG = random.Random(3).randbytes(3 * PART_BYTES + 1)
"""Three parts and a byte."""
HANG_S = 60.0
STALL_S = 0.5
"""How long what stalls is waited for, where a test says what does."""


def config(**changes: Any) -> UploadConfig:
    """Nothing adaptive, no hedges or probes, and timeouts that only a hang reaches, unless `changes` says so:
    so that requests can be counted."""
    settings: dict[str, Any] = {
        "timeout": "origin",
        "window": "fixed",
        "hedge": "off",
        "max_outage_s": 0.0,
        "max_in_flight": 8,
        "n_retries": 3,
        "min_timeout": 30.0,
        "multipart_threshold": PART_BYTES,
        "part_size": PART_BYTES,
    }
    return UploadConfig(**(settings | changes))


def client_of(server: FaultServer, **options: Any) -> S3Client:
    options = {"credentials": Credentials("key", "secret"), "endpoint_url": server.url, **options}
    return S3Client(region="us-east-1", **options)


def run(server: FaultServer, main: Callable[[S3Client], Awaitable[T]], **options: Any) -> T:
    """Runs `main` with a client; then no task, no thread of ours and no connection may be left."""

    async def guarded() -> T:
        async with asyncio.timeout(HANG_S):
            async with client_of(server, **options) as client:
                result = await main(client)
                await quiet()
            return result

    try:
        return uvloop.run(guarded())
    finally:
        # A server that stopped reading does not notice that its peer has closed.
        deaf = [r for r in server.requests if isinstance(r.action, Stall) and not r.complete]
        server.wait_until(lambda: server.open_connections <= len(deaf))
        assert server.errors == []


async def quiet() -> None:
    """Nothing that an upload started is left: no task but the caller's, no thread at work."""
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for thread in threading.enumerate():
        if thread.name in {"s3-upload-reader", "s3-upload-source"}:
            await asyncio.to_thread(thread.join, 10.0)
            assert not thread.is_alive()


def upload(
    server: FaultServer,
    files: Any,
    *,
    settings: UploadConfig | None = None,
    bucket: str = BUCKET,
    tls: dict[str, Any] | None = None,
    **arguments: Any,
) -> UploadSummary:
    """`s3_upload_files` to `server`; `files` may be a mapping from key to bytes."""
    if isinstance(files, dict):
        files = sources(files)
    return run(
        server,
        lambda client: s3_upload_files(client, bucket, files, settings or config(), **arguments),
        **(tls or {}),
    )


def quick(controls: Controls, settings: UploadConfig) -> Controls:
    """The same, but retries hardly wait: neither for a store that throttles nor for a node that starts."""
    tuning = RetryTuning(base_throttle_s=0.01, base_stray_s=0.01)
    return msgspec.structs.replace(controls, retry=Retry(settings.n_retries, tuning=tuning))


Stalls = Callable[[str, int, int], bool]
"""Whether the store leaves an attempt without an answer, by operation, bytes of the body and retries."""


class Impatient:
    """A timeout algorithm that gives up soon what stalls. All other attempts have the time of `usual`, or a
    busy machine would cut one that the store answers, and requests could not be counted."""

    def __init__(self, usual: Timeout, stalls: Stalls) -> None:
        self._usual = usual
        self._stalls = stalls

    @property
    def est_MBps(self) -> float:
        return self._usual.est_MBps

    def timeouts(self, *, operation: str, body_bytes: int, retries: int) -> Timeouts:
        usual = self._usual.timeouts(operation=operation, body_bytes=body_bytes, retries=retries)
        if self._stalls(operation, body_bytes, retries):
            return msgspec.structs.replace(usual, total_s=STALL_S)
        return usual

    def observe(self, report: AttemptReport) -> None:
        self._usual.observe(report)


def quick_upload(
    server: FaultServer,
    files: Any,
    *,
    settings: UploadConfig | None = None,
    stalls: Stalls | None = None,
    tls: dict[str, Any] | None = None,
    **arguments: Any,
) -> UploadSummary:
    """As `upload`, with `quick` retries; what `stalls` is given up soon (see `Impatient`)."""
    chosen = settings or config()

    async def main(client: S3Client) -> UploadSummary:
        runtime = real_runtime(chosen)
        controls = quick(controls_for(chosen), chosen)
        if stalls is not None:
            timeout = Impatient(controls.timeout, stalls)
            controls = msgspec.structs.replace(controls, timeout=timeout)
        given = sources(files) if isinstance(files, dict) else files
        try:
            return await run_upload(
                client, BUCKET, given, config=chosen, controls=controls, runtime=runtime, **arguments
            )
        finally:
            runtime.close()

    return run(server, main, **(tls or {}))


def sources(contents: dict[str, bytes]) -> list[ObjectSource]:
    return [ObjectSource.data(body, key) for key, body in contents.items()]


@cache
def big() -> bytes:
    """Five parts, of which the last is an odd one."""
    return b"".join(bytes([n]) * PART_BYTES for n in range(4)) + b"end"


def stored(server: FaultServer) -> dict[str, bytes]:
    return server.model.bodies(BUCKET)


class Reports(list["UploadReport"]):
    """A progress callable that keeps what it is given."""

    def __call__(self, report: UploadReport) -> None:
        self.append(report)

    def of(self, key: str) -> UploadReport:
        [found] = [report for report in self if report.key == key]
        return found
