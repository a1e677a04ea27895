"""Parts of files that are too big for the memory: hashed, and sent in slices as they are read again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.sources.files import Reader
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Early, Reset, Rule, Stall, s3_error
from tests.faults.uploads import BUCKET, Reports, config, quiet, run, stored, upload
from tests.noise import LONG_BYTES, long_noise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer, Tls

PARTS, PART_BYTES = 8, 8 * MIB
SLICED = config(part_size=PART_BYTES, max_in_flight_bytes=16 * MIB, max_in_flight=PARTS, grace_s=0.2)
"""Two parts would fit into this memory."""
PART_2 = {"partNumber": "2"}


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of eight parts, the last of them an odd one."""
    path = tmp_path / "big.bin"
    path.write_bytes(long_noise())
    return path


def test_as_many_parts_are_in_flight_as_requests_may_be_whatever_their_size(
    fault_server: StartFaultServer, big: Path
) -> None:
    """None is ever answered: all of them are there at the same time, in the memory of two."""
    server = fault_server([Rule(Stall(), method="PUT")], keep_bodies=False)

    async def main(client: S3Client) -> None:
        task = asyncio.ensure_future(s3_upload_files(client, BUCKET, [ObjectSource.file(big, "big")], SLICED))
        await asyncio.to_thread(
            server.wait_until, lambda: sum(request.complete for request in server.of("PUT")) == PARTS
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await quiet()

    run(server, main)
    assert server.model.uploads == {}


@pytest.mark.parametrize(
    ("options", "secure"),
    [({}, False), ({}, True), ({"checksum": "off"}, False), ({"checksum_algorithm": "SHA256"}, True)],
    ids=str,
)
def test_what_is_sent_in_slices_is_what_is_in_the_file(
    fault_server: StartFaultServer, tls: Tls, big: Path, options: dict[str, Any], secure: bool
) -> None:
    server = fault_server(tls=tls.server_context if secure else None)
    options = {**options, "verify": str(tls.ca_file)} if secure else options
    reports = Reports()
    summary = upload(server, [ObjectSource.file(big, "big")], settings=SLICED, progress=reports, tls=options)
    assert stored(server) == {"big": long_noise()}
    assert (summary.uploaded, summary.bytes, reports.of("big").bytes) == (1, LONG_BYTES, LONG_BYTES)
    assert reports.of("big").etag.strip('"') == server.model.objects[f"{BUCKET}/big"].etag


@pytest.mark.parametrize(
    "action",
    [Reset(), Reset(3 * MIB), Early(s3_error(500, "InternalError")), s3_error(400, "BadDigest")],
    ids=str,
)
def test_a_part_in_slices_is_sent_again_from_its_begin(
    fault_server: StartFaultServer, big: Path, action: Action
) -> None:
    server = fault_server([Rule(action, query=PART_2, attempt=1)])
    upload(server, [ObjectSource.file(big, "big")], settings=SLICED)
    assert stored(server) == {"big": long_noise()}
    assert len([request for request in server.of("PUT") if request.part_number == 2]) == 2


def test_where_streams_hold_the_memory_a_big_part_is_not_read_whole(
    fault_server: StartFaultServer, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part may always be read, so that the run does not stand still; but in slices."""
    server = fault_server()
    whole: list[int] = []
    read_part = Reader.read_part

    def noted(self: Reader, path: str, offset: int, size: int, identity: Any) -> Any:
        whole.append(size)
        return read_part(self, path, offset, size, identity)

    monkeypatch.setattr(Reader, "read_part", noted)

    async def main(client: S3Client) -> None:
        done = asyncio.Event()
        waits = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            await waits.wait()
            yield b"x"

        streams = [ObjectSource.stream(slow(), str(number)) for number in range(4)]
        settings = config(part_size=PART_BYTES, max_in_flight_bytes=16 * MIB, max_in_flight=PARTS)
        task = asyncio.ensure_future(
            s3_upload_files(
                client, BUCKET, [*streams, ObjectSource.file(big, "big")], settings, lambda _: done.set()
            )
        )
        await done.wait()
        assert list(stored(server)) == ["big"]
        waits.set()
        await task

    run(server, main)
    assert not any(whole)
