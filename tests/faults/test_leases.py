"""A bandwidth cap is its run's own: other runs on the same client, at the same time or later, are free."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.http1 import tcp_info
from tests.faults.actions import Delay, Rule
from tests.faults.uploads import BUCKET, config, run, sources, stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadReport
    from s3_upload.sources.source import ObjectSource
    from tests.conftest import StartFaultServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SO_MAX_PACING_RATE is Linux's")

SLOW = {f"slow-{n}": bytes(70_000) for n in range(8)}
OTHER = {f"other-{n}": bytes(70_000) for n in range(40)}


def paces(client: S3Client) -> set[int]:
    """SO_MAX_PACING_RATE of all connections of the client."""
    return {
        int.from_bytes(
            connection.socket.getsockopt(socket.SOL_SOCKET, tcp_info.SO_MAX_PACING_RATE, 8), sys.byteorder
        )
        for pool in client._pools.values()
        for connection in pool._all
    }


class Beside:
    """A capped run that has begun, and does not end before another has."""

    def __init__(self, client: S3Client) -> None:
        self._begun, self._may_end = asyncio.Event(), asyncio.Event()
        self._run = asyncio.ensure_future(
            s3_upload_files(
                client, BUCKET, self._sources(), config(max_bandwidth="5MB/s"), lambda _: self._begun.set()
            )
        )

    async def _sources(self) -> AsyncIterator[ObjectSource]:
        first, *rest = sources(SLOW)
        yield first
        await self._may_end.wait()
        for source in rest:
            yield source

    async def begun(self) -> None:
        await self._begun.wait()

    async def end(self) -> None:
        self._may_end.set()
        await self._run


def test_a_capped_run_holds_no_other_run_on_its_client(fault_server: StartFaultServer) -> None:
    """Neither at once nor when the capped run looks at its pace again, which it does meanwhile."""
    server = fault_server([Rule(Delay(0.2), key="other-0")])
    seen: set[int] = set()

    async def main(client: S3Client) -> None:
        capped = Beside(client)
        await capped.begun()
        assert max(paces(client)) < tcp_info.UNLIMITED

        def look(_: UploadReport) -> None:
            seen.update(paces(client))

        await s3_upload_files(client, BUCKET, sources(OTHER), config(max_in_flight=4), look)
        await capped.end()
        assert paces(client) == {tcp_info.UNLIMITED}, "the run is over"

    run(server, main)
    assert stored(server) == SLOW | OTHER
    assert seen == {tcp_info.UNLIMITED}, "the free run was held back"
