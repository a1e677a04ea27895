"""How many parts an object has, and how large they are, as a store sees it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from s3_upload.config import MIB
from s3_upload.errors import FailureKind
from s3_upload.parts import PartRules
from s3_upload.source import ObjectSource
from s3_upload.upload import s3_upload_files
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from s3_upload.client import S3Client
    from s3_upload.config import UploadConfig
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

LONG = random.Random(14).randbytes(60 * MIB + 1)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 3 * MIB):
        yield data[start : start + 3 * MIB]


def upload_by(
    server: FaultServer, source: ObjectSource, rules: PartRules, settings: UploadConfig | None = None
) -> UploadSummary:
    """With a client that knows these rules of the store."""

    async def main(client: S3Client) -> UploadSummary:
        client.parts.rules = rules
        return await s3_upload_files(client, BUCKET, [source], settings or config())

    return run(server, main)


def part_mib(server: FaultServer) -> list[float]:
    """The sizes of the parts that came, by their numbers."""
    parts = sorted((request.part_number, len(request.body)) for request in server.of("PUT"))
    return [size / MIB for _, size in parts]


def test_the_parts_of_a_long_stream_grow(fault_server: StartFaultServer) -> None:
    server = fault_server()
    summary = upload_by(server, ObjectSource.stream(chunks(LONG), "long"), PartRules(max_count=8))
    assert stored(server) == {"long": LONG}
    assert part_mib(server) == [5, 5, 5, 5, 10, 20, 10 + 1 / MIB]
    assert (summary.uploaded, summary.bytes) == (1, len(LONG))


def test_the_parts_of_a_stream_grow_no_further_than_memory_allows(fault_server: StartFaultServer) -> None:
    server = fault_server()
    settings = config(max_in_flight_bytes=16 * MIB)
    upload_by(server, ObjectSource.stream(chunks(LONG), "long"), PartRules(max_count=10), settings)
    assert stored(server) == {"long": LONG}
    assert part_mib(server) == [5, 5, 5, 5, 5, 8, 8, 8, 8, 3 + 1 / MIB]


@pytest.mark.parametrize("rules", [PartRules(max_count=4), PartRules(max_count=4, alike=True)], ids=str)
def test_a_stream_that_says_its_size_has_parts_large_enough_for_it(
    fault_server: StartFaultServer, rules: PartRules
) -> None:
    server = fault_server()
    upload_by(server, ObjectSource.stream(chunks(LONG), "long", len(LONG)), rules)
    assert stored(server) == {"long": LONG}
    assert part_mib(server) == [16, 16, 16, 12 + 1 / MIB]


def test_a_stream_longer_than_a_store_takes_fails_with_what_to_do_and_leaves_nothing(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server()
    rules = PartRules(max_count=8, alike=True)
    summary = upload_by(server, ObjectSource.stream(chunks(LONG), "long"), rules)
    [report] = summary.failed
    assert report.outcome == FailureKind.SOURCE.value
    said = str(report.error)
    assert "longer than 41,943,040 bytes, all that the store's 8 parts can hold" in said
    assert "start again with a larger part_size (--expected-size)" in said
    assert "\n" not in said
    assert stored(server) == {}
    assert server.model.uploads == {}


def test_what_is_larger_than_a_store_takes_fails_before_anything_is_sent(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2 * 5 * 1024 * MIB + 1)
    rules = PartRules(max_count=2)
    for source in (ObjectSource.file(path, "k"), ObjectSource.stream(chunks(b"x"), "k", 1 << 60)):
        server = fault_server()
        summary = upload_by(server, source, rules)
        [report] = summary.failed
        assert report.outcome == FailureKind.SOURCE.value
        assert "bytes are more than the store takes: 2 parts of 5GiB" in str(report.error)
        assert server.requests == []


def test_a_file_has_as_few_parts_as_a_store_takes(fault_server: StartFaultServer, tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(LONG)
    server = fault_server()
    upload_by(server, ObjectSource.file(path, "long"), PartRules(max_count=4))
    assert stored(server) == {"long": LONG}
    assert part_mib(server) == [16, 16, 16, 12 + 1 / MIB]
    assert PART_BYTES == 5 * MIB
