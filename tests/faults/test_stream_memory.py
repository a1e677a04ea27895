"""Streams are begun as memory allows: however many there are, and however they give their bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.streams import MAX_STREAMS
from tests.e2e.peak import peak_of
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, stored, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer

LIMIT_BYTES = 16 * MIB
SMALL_MEMORY = config(max_in_flight_bytes=LIMIT_BYTES)
NO_CHECKSUMS = {"checksum": "off"}
"""For a server that keeps no bodies, and so could not verify them."""
QUIET_TURNS = 200
"""Of the loop, without anything new: as many as a stream needs to be begun, many times over."""


class Door:
    """Streams that give nothing before it is opened, and how many of them were asked."""

    def __init__(self) -> None:
        self.begun = 0
        self._open = asyncio.Event()

    async def stream(self, body: bytes) -> AsyncIterator[bytes]:
        self.begun += 1
        await self._open.wait()
        yield body

    async def quiet(self) -> int:
        """How many streams are begun when no more come."""
        seen, turns = -1, 0
        while turns < QUIET_TURNS:
            turns = turns + 1 if self.begun == seen else 0
            seen = self.begun
            await asyncio.sleep(0)
        return seen

    def open(self) -> None:
        self._open.set()


@pytest.mark.parametrize(
    ("size", "memory", "most"),
    [
        (None, LIMIT_BYTES, LIMIT_BYTES // PART_BYTES),
        (None, 10 * PART_BYTES, 10),
        (4 * MIB, LIMIT_BYTES, 4),
        (100, LIMIT_BYTES, MAX_STREAMS),
    ],
    ids=["size unknown", "more memory", "known to be smaller", "known to be small"],
)
def test_slow_streams_are_begun_only_as_memory_and_their_bound_allow(
    fault_server: StartFaultServer, size: int | None, memory: int, most: int
) -> None:
    server = fault_server()
    count = 2 * most
    body = b"x" * (size or 100)

    async def main(client: S3Client) -> UploadSummary:
        door = Door()

        async def sources() -> AsyncIterator[ObjectSource]:
            for n in range(count):
                yield ObjectSource.stream(door.stream(body), str(n), size)

        settings = config(max_in_flight_bytes=memory)
        uploading = asyncio.create_task(s3_upload_files(client, BUCKET, sources(), settings))
        assert await door.quiet() == most
        door.open()
        summary: UploadSummary = await uploading
        assert door.begun == count
        return summary

    assert run(server, main).uploaded == count
    assert len(stored(server)) == count


@pytest.mark.parametrize("chunk_bytes", [100_000, 1_000_000, 6_000_000])
def test_what_streams_have_given_and_is_not_sent_keeps_to_the_bound(
    fault_server: StartFaultServer, chunk_bytes: int
) -> None:
    """But for one chunk of each stream that is begun, which is as large as its caller makes it."""
    server = fault_server(keep_bodies=False)
    count, size = 20, 6_000_000
    given = most = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal given, most
        for start in range(0, size, chunk_bytes):
            await asyncio.sleep(0)
            chunk = bytes(min(chunk_bytes, size - start))
            given += len(chunk)
            sent = sum(request.body_bytes for request in server.of("PUT") if request.complete)
            most = max(most, given - sent)
            yield chunk

    files = [ObjectSource.stream(chunks(), str(n)) for n in range(count)]
    summary = upload(server, files, settings=SMALL_MEMORY, tls=NO_CHECKSUMS)
    assert (summary.uploaded, given) == (count, count * size)
    assert most <= LIMIT_BYTES + (LIMIT_BYTES // PART_BYTES) * chunk_bytes


def test_streams_that_wait_for_room_get_it_before_new_ones_begin(fault_server: StartFaultServer) -> None:
    """What is begun is finished first: the last stream begins when the first ones are through."""
    server = fault_server(keep_bodies=False)
    count, parts = 12, 4
    begun: list[int] = []
    most = 0

    async def chunks(number: int) -> AsyncIterator[bytes]:
        nonlocal most
        begun.append(number)
        most = max(most, len(begun))
        for _ in range(parts):
            await asyncio.sleep(0)
            yield bytes(PART_BYTES)
        begun.remove(number)

    files = [ObjectSource.stream(chunks(n), str(n)) for n in range(count)]
    assert upload(server, files, settings=SMALL_MEMORY, tls=NO_CHECKSUMS).uploaded == count
    assert most <= LIMIT_BYTES // PART_BYTES


def test_a_file_goes_while_streams_give_nothing(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """They hold all of the memory; the file goes all the same, and the run does not stand still."""
    server = fault_server()
    (tmp_path / "f").write_bytes(b"file")

    async def main(client: S3Client) -> UploadSummary:
        door = Door()
        stored_file = asyncio.Event()
        streams = [ObjectSource.stream(door.stream(b"x"), str(n)) for n in range(LIMIT_BYTES // PART_BYTES)]
        uploading = asyncio.create_task(
            s3_upload_files(
                client,
                BUCKET,
                [*streams, ObjectSource.file(tmp_path / "f", "file")],
                config(max_in_flight_bytes=LIMIT_BYTES),
                progress=lambda _: stored_file.set(),
            )
        )
        await stored_file.wait()
        assert list(stored(server)) == ["file"]
        door.open()
        return await uploading

    assert run(server, main).uploaded == 1 + LIMIT_BYTES // PART_BYTES


def test_the_peak_memory_of_many_streams_is_that_of_the_bound(fault_server: StartFaultServer) -> None:
    server = fault_server(record=False, keep_bodies=False)

    def peak_bytes(count: int) -> int:
        numbers = (str(number) for number in (count, 6_000_000, 1_000_000, LIMIT_BYTES))
        return peak_of("stream_probe", server.url, *numbers)

    one, many = peak_bytes(1), peak_bytes(60)
    assert many - one < 3 * LIMIT_BYTES, f"{one / 1e6:.0f} MB for one stream, {many / 1e6:.0f} MB for 60"
