"""Parts of streams that are too big for the memory: they wait in temporary files."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB
from s3_upload.errors import FailureKind
from s3_upload.parts import PartRules
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer import spool
from s3_upload.transfer.spool import SpooledPart
from tests.faults.actions import Action, Early, Reset, Rule, s3_error
from tests.faults.uploads import BUCKET, config, run, stored
from tests.noise import LONG_BYTES, long_noise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

LITTLE = config(max_in_flight_bytes=16 * MIB)
GROWING = PartRules(max_count=10)
SIZES_MIB = [5, 5, 5, 5, 5, 10, 20, 5 + 1 / MIB]
"""Of parts of LONG_BYTES by these rules: the sixth and seventh do not fit into that memory three times."""


@pytest.fixture(autouse=True)
def spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SpooledPart]]:
    """The parts that went to the disk; in the end all of them are closed, and nothing is left there."""
    made: list[SpooledPart] = []

    class Kept(SpooledPart):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(spool, "SpooledPart", Kept)
    yield made
    assert all(part.closed for part in made)
    assert list(tmp_path.iterdir()) == []


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 3 * MIB):
        yield data[start : start + 3 * MIB]


def upload(server: FaultServer, *sources: ObjectSource, **options: Any) -> UploadSummary:
    async def main(client: S3Client) -> UploadSummary:
        client.parts.rules = GROWING
        return await s3_upload_files(client, BUCKET, list(sources), LITTLE)

    return run(server, main, **options)


def stream(key: str = "long", data: bytes | None = None) -> ObjectSource:
    return ObjectSource.stream(chunks(long_noise() if data is None else data), key)


@pytest.mark.parametrize(
    ("options", "secure"),
    [({}, False), ({}, True), ({"checksum": "off"}, False), ({"checksum_algorithm": "SHA256"}, True)],
    ids=str,
)
def test_what_waited_on_the_disk_is_what_came(
    fault_server: StartFaultServer,
    tls: Tls,
    spooled: list[SpooledPart],
    options: dict[str, Any],
    secure: bool,
) -> None:
    server = fault_server(tls=tls.server_context if secure else None)
    options = {**options, "verify": str(tls.ca_file)} if secure else options
    summary = upload(server, stream(), **options)
    assert stored(server) == {"long": long_noise()}
    assert (summary.uploaded, summary.bytes) == (1, LONG_BYTES)
    parts = sorted((request.part_number, len(request.body)) for request in server.of("PUT"))
    assert [size / MIB for _, size in parts] == SIZES_MIB
    assert [len(part) for part in spooled] == [10 * MIB, 20 * MIB, 5 * MIB + 1]


@pytest.mark.parametrize(
    "action",
    [Reset(), Reset(3 * MIB), Early(s3_error(500, "InternalError")), s3_error(400, "BadDigest")],
    ids=str,
)
def test_a_part_on_the_disk_is_sent_again(fault_server: StartFaultServer, action: Action) -> None:
    server = fault_server([Rule(action, query={"partNumber": "7"}, attempt=1)])
    upload(server, stream())
    assert stored(server) == {"long": long_noise()}


def test_a_stream_that_fails_leaves_nothing_on_the_disk(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), query={"partNumber": "6"})])
    summary = upload(server, ObjectSource.data(b"x", "good"), stream())
    assert [report.key for report in summary.failed] == ["long"]
    assert server.model.uploads == {}


def test_a_short_stream_of_which_much_was_expected_stays_in_memory(
    fault_server: StartFaultServer, spooled: list[SpooledPart]
) -> None:
    server = fault_server()

    async def main(client: S3Client) -> UploadSummary:
        settings = config(max_in_flight_bytes=16 * MIB, part_size=300 * MIB)
        return await s3_upload_files(client, BUCKET, [stream(data=b"short"), stream("l2")], settings)

    assert run(server, main).uploaded == 2
    assert stored(server) == {"long": b"short", "l2": long_noise()}
    assert [len(part) for part in spooled] == [LONG_BYTES]
    assert [request.part_number for request in server.of("PUT")] == [0, 0]


def test_many_streams_share_the_disk_that_they_may_have(
    fault_server: StartFaultServer, spooled: list[SpooledPart], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    real = SpooledPart.append

    def append(self: SpooledPart, *arguments: Any) -> None:
        nonlocal most
        real(self, *arguments)
        most = max(most, sum(len(part) for part in spooled if not part.closed))

    monkeypatch.setattr(spool, "MAX_BYTES", 32 * MIB)
    monkeypatch.setattr(SpooledPart, "append", append)
    server = fault_server()
    summary = upload(server, *(stream(str(number)) for number in range(3)))
    assert summary.uploaded == 3
    assert stored(server) == {str(number): long_noise() for number in range(3)}
    assert most <= 32 * MIB


def test_two_streams_that_begin_at_once_count_the_same_room(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much there is has to be looked up once: neither may go on before it is known."""
    real, looks = spool._limit_bytes, 0
    both_there = threading.Event()

    def limit() -> int:
        nonlocal looks
        looks += 1
        both_there.wait(0.5)
        return real()

    kept: list[spool.Spool] = []
    made = spool.Spool.__init__

    def remembered(self: spool.Spool, *arguments: Any) -> None:
        made(self, *arguments)
        kept.append(self)

    monkeypatch.setattr(spool, "_limit_bytes", limit)
    monkeypatch.setattr(spool.Spool, "__init__", remembered)
    server = fault_server()
    assert upload(server, stream("one"), stream("two")).uploaded == 2
    [spooling] = kept
    assert looks == 1
    assert (spooling._disk._held_bytes, spooling._disk._holders) == (0, 0)


def test_without_a_place_on_the_disk_the_stream_fails_with_what_to_do(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    server = fault_server()
    summary = upload(server, stream(), ObjectSource.data(b"x", "good"))
    [report] = summary.failed
    said = str(report.error)
    assert report.outcome == FailureKind.SOURCE
    assert f"long: {tmp_path / 'missing'}: No such file or directory: parts of a stream" in said
    assert "name another place (TMPDIR) or give more memory (max_in_flight_bytes)" in said
    assert "\n" not in said
    assert stored(server) == {"good": b"x"}
    assert server.model.uploads == {}
