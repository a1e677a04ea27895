"""The library against a real store: names, sizes and fields arrive as they were, and memory stays flat."""

from __future__ import annotations

import asyncio
import random
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.config import MIB, UploadConfig
from s3_upload.errors import FailureKind, RunError
from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.walk import files_recursive
from tests.e2e.peak import peak_of
from tests.faults.actions import Answer, Rule, s3_error

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.report import UploadReport, UploadSummary
    from tests.conftest import StartFaultServer
    from tests.store import Store

PART_BYTES = 5 * MIB
CONFIG = UploadConfig(multipart_threshold=PART_BYTES, part_size=PART_BYTES, hedge="off")
ODD_NAMES = [
    "ü n+&=%", "a b", "%20", "plus+", "hash#", "what?", "quote'\"", "<tag>", "日本語", "🙂", "tilde~",
    "$@!*()", "semi;colon:comma,", "[brackets]{braces}", "dot.", ".hidden", "-dash", "x" * 200, "caret^`|",
]  # fmt: skip
MEMORY_OBJECTS = 30_000
MEMORY_GROWTH_BYTES = 5_000_000
HELD_BYTES = 100_000_000


def upload(store: Store, bucket: str, files: Any, **arguments: Any) -> UploadSummary:
    async def main() -> UploadSummary:
        credentials = arguments.pop("credentials", Credentials(store.access_key, store.secret_key))
        async with S3Client(
            endpoint_url=store.endpoint_url, region="us-east-1", credentials=credentials
        ) as client:
            return await s3_upload_files(client, bucket, files, CONFIG, **arguments)

    return asyncio.run(main())


def test_a_tree_with_odd_names_arrives(store: Store, bucket: str, tmp_path: Path) -> None:
    expected: dict[str, bytes] = {}
    for number, name in enumerate(ODD_NAMES):
        for relative in (name, f"sub {name}/{name}"):
            path = tmp_path / relative
            path.parent.mkdir(exist_ok=True)
            body = b"" if number % 5 == 0 else relative.encode() * 20
            path.write_bytes(body)
            expected[f"pre fix/{relative}"] = body
    summary = upload(store, bucket, files_recursive(tmp_path, "pre fix"))
    summary.raise_for_failures()
    assert store.objects(bucket) == expected
    assert (summary.uploaded, summary.bytes) == (len(expected), sum(map(len, expected.values())))


def test_sizes_around_the_multipart_threshold_arrive(store: Store, bucket: str, tmp_path: Path) -> None:
    noise = random.Random(8).randbytes(3 * PART_BYTES + 1)
    sizes = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES + 1]
    for size in sizes:
        (tmp_path / str(size)).write_bytes(noise[:size])

    async def chunks() -> Any:
        for start in range(0, len(noise), 999_999):
            yield noise[start : start + 999_999]

    files = [*files_recursive(tmp_path), ObjectSource.stream(chunks(), "stream", len(noise))]
    upload(store, bucket, files).raise_for_failures()
    assert store.objects(bucket) == {str(size): noise[:size] for size in sizes} | {"stream": noise}


def test_fields_are_read_back_as_they_were_given(store: Store, bucket: str) -> None:
    fields = RequestFields(
        content_type="text/x-odd; charset=utf-8",
        cache_control="max-age=60, must-revalidate",
        metadata={
            "plain": "v",
            "Mixed-Case": "A b=c;d",
            "empty": "",
            "percent": "100%+&",
            "wide": "a  b   c",
        },
    )
    files = [ObjectSource.data(b"small", "small"), ObjectSource.data(b"other", "other")]

    async def two_parts() -> Any:
        yield bytes(PART_BYTES)
        yield b"end"

    files.append(ObjectSource.stream(two_parts(), "parts"))
    upload(
        store, bucket, files, default_request=lambda source: None if source.key == "other" else fields
    ).raise_for_failures()
    for key, size in (("small", 5), ("parts", PART_BYTES + 3)):
        found = store.client.head_object(Bucket=bucket, Key=key)
        assert found["ContentLength"] == size
        assert found["ContentType"] == fields.content_type
        # Names of headers have no case; a store may write them as it likes, and add its own.
        # White space that a header would lose is encoded by RFC 2047.
        metadata = {
            name.lower(): str(make_header(decode_header(value))) for name, value in found["Metadata"].items()
        }
        metadata.pop("mtime", None)
        assert metadata == {name.lower(): value for name, value in fields.metadata.items()}
    other = store.client.head_object(Bucket=bucket, Key="other")
    assert "plain" not in other["Metadata"]


@pytest.mark.parametrize(
    ("default_request", "types"),
    [
        (None, ["application/json", "x/own", "text/html", ""]),  # guessed, unless told
        (lambda source: None, ["", "x/own", "", ""]),
        (lambda source: RequestFields(content_type="x/y"), ["x/y", "x/own", "", "x/y"]),
    ],
)
def test_content_types_are_guessed_unless_told_and_a_source_may_tell(
    fault_server: StartFaultServer, default_request: Any, types: list[str]
) -> None:
    own = RequestFields(content_type="x/own")
    files = [
        ObjectSource.data(b"", "a.json"),
        ObjectSource.data(b"", "b.json", fields=own),
        ObjectSource.data(b"", "c.html", fields=RequestFields(cache_control="no-store")),
        ObjectSource.data(b"", "unheard-of"),
    ]
    server = fault_server()

    async def main() -> UploadSummary:
        async with S3Client(endpoint_url=server.url, credentials=Credentials("a", "s")) as client:
            return await s3_upload_files(client, "bucket", files, default_request=default_request)

    asyncio.run(main()).raise_for_failures()
    heads = {request.key: request.headers for request in server.requests}
    assert [heads[source.key].get("content-type", "") for source in files] == types
    assert heads["c.html"]["cache-control"] == "no-store"


def test_what_failed_leads_back_to_its_source_which_can_be_tried_once_more(
    store: Store, bucket: str, fault_server: StartFaultServer
) -> None:
    files = [ObjectSource.data(b"one", "1"), ObjectSource.data(b"two", "2")]
    reports: list[UploadReport] = []

    async def main() -> UploadSummary:
        server = fault_server([Rule(s3_error(400, "InvalidRequest"), key="2")])
        async with S3Client(endpoint_url=server.url, credentials=Credentials("a", "s")) as client:
            return await s3_upload_files(client, "bucket", files, progress=reports.append)

    summary = asyncio.run(main())
    assert {report.key: report.object for report in reports} == {"1": files[0], "2": files[1]}
    again = [report.object for report in summary.failed]
    assert again == files[1:]
    upload(store, bucket, again).raise_for_failures()
    assert store.objects(bucket) == {"2": b"two"}


def test_an_upload_replaces_what_was_there(store: Store, bucket: str) -> None:
    for body in (b"first, and longer", b"second"):
        upload(store, bucket, [ObjectSource.data(body, "k")]).raise_for_failures()
        assert store.objects(bucket) == {"k": body}


def test_a_missing_bucket_and_a_wrong_key_stop_the_run(store: Store, bucket: str) -> None:
    files = [ObjectSource.data(b"x", str(n)) for n in range(20)]
    with pytest.raises(RunError, match="no such bucket") as missing:
        upload(store, "no-such-bucket-here", files)
    assert missing.value.kind is FailureKind.NO_SUCH_BUCKET
    wrong = Credentials(store.access_key, "not-the-secret")
    with pytest.raises(RunError) as refused:
        upload(store, bucket, files, credentials=wrong)
    assert refused.value.kind in (FailureKind.CREDENTIALS, FailureKind.ACCESS_DENIED)
    assert "not-the-secret" not in str(refused.value)
    assert store.objects(bucket) == {}


def test_memory_does_not_grow_with_the_number_of_objects(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: Answer(200, {"ETag": '"e"'}), record=False, keep_bodies=False)
    few, many = (peak_of("memory_probe", server.url, str(count)) for count in (1_000, MEMORY_OBJECTS))
    assert server.counts["200"] >= 1_000 + MEMORY_OBJECTS
    assert many - few < MEMORY_GROWTH_BYTES, f"{few / 1e6:.0f} MB for 1,000 objects, {many / 1e6:.0f} MB"


def test_a_probe_of_memory_does_not_say_what_its_parent_holds() -> None:
    """Else it would say the same of many objects as of few."""
    held = b"x" * HELD_BYTES
    assert peak_of("peak") < HELD_BYTES
    del held
