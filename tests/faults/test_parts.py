"""How many parts an object has, and how large they are, as a store sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.errors import FailureKind
from s3_upload.parts import PartRules
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Answer, Request, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, stored
from tests.noise import LONG_BYTES, long_noise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.config import UploadConfig
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


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
    summary = upload_by(server, ObjectSource.stream(chunks(long_noise()), "long"), PartRules(max_count=8))
    assert stored(server) == {"long": long_noise()}
    assert part_mib(server) == [5, 5, 5, 5, 10, 20, 10 + 1 / MIB]
    assert (summary.uploaded, summary.bytes) == (1, LONG_BYTES)


@pytest.mark.parametrize("rules", [PartRules(max_count=4), PartRules(max_count=4, alike=True)], ids=str)
def test_a_stream_that_says_its_size_has_parts_large_enough_for_it(
    fault_server: StartFaultServer, rules: PartRules
) -> None:
    server = fault_server()
    upload_by(server, ObjectSource.stream(chunks(long_noise()), "long", LONG_BYTES), rules)
    assert stored(server) == {"long": long_noise()}
    assert part_mib(server) == [16, 16, 16, 12 + 1 / MIB]


def test_a_stream_longer_than_a_store_takes_fails_with_what_to_do_and_leaves_nothing(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server()
    rules = PartRules(max_count=8, alike=True)
    summary = upload_by(server, ObjectSource.stream(chunks(long_noise()), "long"), rules)
    [report] = summary.failed
    assert report.outcome == FailureKind.SOURCE
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
        assert report.outcome == FailureKind.SOURCE
        assert "bytes are more than the store takes: 2 parts of 5GiB" in str(report.error)
        assert server.requests == []


def test_a_file_has_as_few_parts_as_a_store_takes(fault_server: StartFaultServer, tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(long_noise())
    server = fault_server()
    upload_by(server, ObjectSource.file(path, "long"), PartRules(max_count=4))
    assert stored(server) == {"long": long_noise()}
    assert part_mib(server) == [16, 16, 16, 12 + 1 / MIB]
    assert PART_BYTES == 5 * MIB


# --- a store that takes fewer parts than S3, as it turns out ------------------------------------------------

TAKES = 4
WORDS = {
    "Swift, Scaleway": ("InvalidArgument", "Part number must be an integer between 1 and 4, inclusive"),
    "a code of its own": ("InvalidPartNumber", "Why."),
    "too many": ("TooManyParts", "Why."),
}


def few_parts(code: str, message: str) -> Callable[[Request], Answer | None]:
    return lambda request: s3_error(400, code, message) if request.part_number > TAKES else None


@pytest.mark.parametrize("words", WORDS)
def test_a_file_that_has_too_many_parts_for_the_store_is_begun_again_with_larger_ones(
    fault_server: StartFaultServer, tmp_path: Path, words: str
) -> None:
    """And the files after it, of all runs of the client, have such from the start."""
    path = tmp_path / "long"
    path.write_bytes(long_noise())
    server = fault_server(few_parts(*WORDS[words]))

    async def main(client: S3Client) -> list[UploadSummary]:
        return [
            await s3_upload_files(client, BUCKET, [ObjectSource.file(path, key) for key in keys], config())
            for keys in (["one"], ["two", "three"])
        ]

    for summary in run(server, main):
        assert summary.failed == ()
    assert stored(server) == dict.fromkeys(("one", "two", "three"), long_noise())
    assert server.model.uploads == {}
    refused = [request for request in server.of("PUT") if request.part_number > TAKES]
    assert {request.key for request in refused} == {"one"}
    for key in ("two", "three"):
        assert sorted(request.part_number for request in server.of("PUT", key)) == [1, 2, 3, 4]


def test_a_stream_that_has_too_many_parts_for_the_store_fails_with_what_to_do(
    fault_server: StartFaultServer,
) -> None:
    """What was sent of it is gone.  The client's next stream has parts that fit."""
    server = fault_server(few_parts(*WORDS["Swift, Scaleway"]))

    async def main(client: S3Client) -> list[UploadSummary]:
        return [
            await s3_upload_files(client, BUCKET, [source], config())
            for source in (
                ObjectSource.stream(chunks(long_noise()), "one"),
                ObjectSource.stream(chunks(long_noise()), "two", LONG_BYTES),
            )
        ]

    failed, succeeded = run(server, main)
    [report] = failed.failed
    said = str(report.error)
    assert report.outcome == FailureKind.TOO_MANY_PARTS
    assert "400 InvalidArgument: Part number must be an integer between 1 and 4, inclusive" in said
    assert "it takes 4 parts: start again with a part_size (--part-size) of at least the whole" in said
    assert "\n" not in said
    assert (succeeded.uploaded, stored(server)) == (1, {"two": long_noise()})
    assert server.model.uploads == {}


def test_a_store_that_refuses_every_part_is_not_asked_for_ever(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "long"
    path.write_bytes(long_noise())
    server = fault_server(lambda request: s3_error(400, "InvalidPartNumber") if request.part_number else None)
    summary = upload_by(server, ObjectSource.file(path, "k"), PartRules())
    [report] = summary.failed
    assert report.outcome == FailureKind.TOO_MANY_PARTS
    assert len([request for request in server.of("POST") if "uploads" in request.query]) == 1
    assert server.model.uploads == {}
