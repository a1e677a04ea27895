"""The conformance suite: each check uploads with `s3_upload_files` and reads back with boto3.

A check raises `Different` with what the store did otherwise, `NotAsked` where the question makes no sense
of a store, or returns.  Nothing is taken on trust
from our own reports: bodies are compared byte for byte, fields as boto3 gives them back.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email.header import decode_header, make_header
from functools import cache
from typing import Any

import awscrt.checksums
import botocore.exceptions

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.config import MIB, UploadConfig
from s3_upload.errors import FailureKind, RunError
from s3_upload.report import UploadSummary
from s3_upload.request_fields import CUSTOMER_KEY_BYTES, CustomerKey, RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from tests.noise import noise
from tests.store import REGION, Store

PART = 5 * MIB
THRESHOLD = 8 * MIB
CONFIG = UploadConfig(part_size=PART, multipart_threshold=THRESHOLD, n_retries=4)
SMALL = b"small"
NOT_ASKED = "not asked"
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "CRC32C": lambda body: awscrt.checksums.crc32c(body).to_bytes(4, "big"),
    "CRC64NVME": lambda body: awscrt.checksums.crc64nvme(body).to_bytes(8, "big"),
    "SHA1": lambda body: hashlib.sha1(body).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
}
STREAM_PIECE_BYTES = 999_983


def big_body() -> bytes:
    return noise(40 * MIB)


@cache
def two() -> dict[str, bytes]:
    """One by a single PUT, one in parts."""
    return {"single": SMALL, "multipart": big_body()[: THRESHOLD + 1]}


class Different(Exception):  # noqa: N818 - named for what it says of a store
    """What the store did otherwise, in a few words."""


class NotAsked(Exception):  # noqa: N818 - named for what happened
    """The check cannot be put to this store."""


class Context:
    """A store and a bucket of one check."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.bucket = store.new_bucket()

    def upload(
        self,
        files: Sequence[ObjectSource],
        fields: RequestFields | None = None,
        *,
        bucket: str = "",
        **client_options: Any,
    ) -> UploadSummary:
        """With a client of the store's owner, unless `client_options` of `S3Client` say otherwise."""
        owner = Credentials(self.store.access_key, self.store.secret_key)
        options: dict[str, Any] = {"credentials": owner, "verify": self.store.verify, **client_options}

        async def main() -> UploadSummary:
            async with S3Client(endpoint_url=self.store.endpoint_url, region=REGION, **options) as client:
                return await s3_upload_files(
                    client, bucket or self.bucket, files, CONFIG, default_request=lambda _: fields
                )

        return asyncio.run(main())

    def put(
        self, bodies: Mapping[str, bytes], fields: RequestFields | None = None, **client_options: Any
    ) -> None:
        """Uploads `bodies` and compares what is there."""
        files = [ObjectSource.data(body, key) for key, body in bodies.items()]
        summary = self.upload(files, fields, **client_options)
        for report in summary.failed:
            assert report.error is not None
            raise Different(f"refused: {report.error.status} {report.error.code or report.error.message}")
        self.compare(bodies)

    def compare(self, bodies: Mapping[str, bytes]) -> None:
        there = set(self.store.keys(self.bucket))
        if there != set(bodies):
            raise Different(f"lists {sorted(there - set(bodies))} for {sorted(set(bodies) - there)}")
        for key, body in bodies.items():
            if self.get(key)["Body"].read() != body:
                raise Different(f"{key!r} came back with another body")

    def get(self, key: str, **arguments: Any) -> Any:
        try:
            return self.store.client.get_object(Bucket=self.bucket, Key=key, **arguments)
        except botocore.exceptions.ClientError as error:
            raise Different(f"{key!r} cannot be read back: {error.response['Error']['Code']}") from None

    def both(self, fields: RequestFields, name: str, expected: object) -> None:
        """A field of a single PUT and of a multipart upload, as `name` in boto3's answer."""
        self.put(two(), fields)
        for key in two():
            found = self.get(key).get(name)
            if found != expected:
                raise Different(f"{key}: {found!r} came back")


def sizes(context: Context) -> None:
    counts = (0, 1, PART, PART + 1, THRESHOLD, THRESHOLD + 1, 2 * PART)
    context.put({f"size {count}": big_body()[:count] for count in counts})


def forty_mib(context: Context) -> None:
    context.put({"big": big_body()})


def stream(context: Context) -> None:
    """Of unknown size; one that ends on a part's border, one that is empty."""
    big = big_body()
    bodies = {"long": big[: 13 * MIB + 1], "border": big[: 2 * PART], "empty": b"", "short": SMALL}
    files = [ObjectSource.stream(_pieces(body), key) for key, body in bodies.items()]
    context.upload(files).raise_for_failures()
    context.compare(bodies)


def many(context: Context) -> None:
    context.put({f"folder {number % 20}/{number}": b"%d" % number for number in range(500)})


def keys(*names: str) -> Callable[[Context], None]:
    return lambda context: context.put({name: name.encode() for name in names})


def content_type(context: Context) -> None:
    context.both(
        RequestFields(content_type="text/x-odd; charset=utf-8"), "ContentType", "text/x-odd; charset=utf-8"
    )


def cache_control(context: Context) -> None:
    context.both(RequestFields(cache_control="max-age=60, public"), "CacheControl", "max-age=60, public")


def content_disposition(context: Context) -> None:
    value = "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%BC.txt"
    context.both(RequestFields(content_disposition=value), "ContentDisposition", value)


def metadata(context: Context) -> None:
    """Names are compared without regard to case, which HTTP does not keep."""
    wanted = {"origin": "lab 3", "sum": "a=b&c+d"}
    context.put(two(), RequestFields(metadata=wanted))
    for key in two():
        found = {name.lower(): value for name, value in context.get(key)["Metadata"].items()}
        if {name: found.get(name) for name in wanted} != wanted:
            raise Different(f"{key}: {found!r} came back")


def metadata_of_any_text(context: Context) -> None:
    """Comes back as RFC 2047 has it, from S3 itself, too; decoded it is the very text."""
    wanted = {
        "umlauts": "Zoë 日本", "wide-space": "\u3000x", "hard-space": "a\u00a0b", "ends": " a ",
        "runs": "a  b", "tab": "a\tb", "long": "🙂" * 40,
    }  # fmt: skip
    context.put(two(), RequestFields(metadata=wanted))
    for key in two():
        shown = context.get(key)["Metadata"]
        found = {name.lower(): str(make_header(decode_header(value))) for name, value in shown.items()}
        if {name: found.get(name) for name in wanted} != wanted:
            raise Different(f"{key}: {found!r} came back")


def storage_class(context: Context) -> None:
    context.both(RequestFields(storage_class="REDUCED_REDUNDANCY"), "StorageClass", "REDUCED_REDUNDANCY")


def tags(wanted: Mapping[str, str]) -> Callable[[Context], None]:
    return lambda context: _tags(context, wanted)


def _tags(context: Context, wanted: Mapping[str, str]) -> None:
    context.put(two(), RequestFields(tags=wanted))
    for key in two():
        try:
            answer = context.store.client.get_object_tagging(Bucket=context.bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            raise Different(f"cannot be asked: {error.response['Error']['Code']}") from None
        found = {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
        if found != wanted:
            raise Different(f"{key}: {found!r} came back")


def checksums(algorithm: str) -> Callable[[Context], None]:
    return lambda context: _checksums(context, algorithm)


def _checksums(context: Context, algorithm: str) -> None:
    """The store keeps the whole object's or, in parts, that of the parts' (which ends in their number)."""
    context.put(two(), checksum_algorithm=algorithm)
    for key, body in two().items():
        found = context.get(key, ChecksumMode="ENABLED").get(f"Checksum{algorithm}", "")
        parts = [body[start : start + PART] for start in range(0, len(body), PART)]
        of_parts = DIGESTS[algorithm](b"".join(DIGESTS[algorithm](part) for part in parts))
        expected = {_base64(DIGESTS[algorithm](body))}
        if key == "multipart":
            expected.add(f"{_base64(of_parts)}-{len(parts)}")
        if found not in expected:
            raise Different(f"{key}: {found or 'none'} came back")


def if_none_match(context: Context) -> None:
    """What is there stays, whether the second upload is a PUT or comes in parts."""
    context.put(two())
    files = [ObjectSource.data(big_body()[-len(body) :], key) for key, body in two().items()]
    summary = context.upload(files, RequestFields(if_none_match="*"))
    outcomes = {report.key: report.outcome for report in summary.failed}
    if outcomes != dict.fromkeys(two(), FailureKind.EXISTS):
        raise Different(f"{outcomes or 'both overwritten'}")
    context.compare(two())


def unsigned(context: Context) -> None:
    """Into a bucket that its owner has opened to all; into one that he has not, they are refused."""
    try:
        context.upload([ObjectSource.data(SMALL, "small")], credentials=None, sign=False)
    except RunError as error:
        if error.kind is not FailureKind.ACCESS_DENIED:
            raise
    else:
        raise Different("anyone may write to a new bucket")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
        "Resource": [f"arn:aws:s3:::{context.bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    try:
        context.store.client.put_bucket_policy(Bucket=context.bucket, Policy=policy)
    except botocore.exceptions.ClientError as error:
        raise Different(f"takes no bucket policy: {error.response['Error']['Code']}") from None
    context.put(two(), RequestFields(content_type="text/x-odd"), credentials=None, sign=False)


def customer_key(context: Context) -> None:
    """The store encrypts with a key that goes along with each request, and gives nothing back without."""
    if not context.store.endpoint_url.startswith("https"):
        raise NotAsked
    secret = big_body()[:CUSTOMER_KEY_BYTES]
    key = CustomerKey(secret)
    files = [ObjectSource.data(body, name) for name, body in two().items()]
    context.upload(files, RequestFields(sse_customer_key=key)).raise_for_failures()
    for name, body in two().items():
        answer = context.get(name, SSECustomerAlgorithm="AES256", SSECustomerKey=secret)
        if answer["Body"].read() != body:
            raise Different(f"{name} came back with another body")
        try:
            context.get(name)
        except Different:
            continue
        raise Different(f"{name} is given to one without the key")


def overwriting(context: Context) -> None:
    """The second upload replaces body and fields, whichever way each was sent."""
    bodies = {"a": SMALL, "b": two()["multipart"]}
    context.put(bodies, RequestFields(content_type="text/first", metadata={"first": "1"}))
    context.put({"a": two()["multipart"], "b": SMALL}, RequestFields(content_type="text/second"))
    for key in bodies:
        answer = context.get(key)
        if answer["ContentType"] != "text/second" or answer["Metadata"]:
            raise Different(f"{key}: {answer['ContentType']} {answer['Metadata']} is left")


def wrong_secret(context: Context) -> None:
    wrong = Credentials(context.store.access_key, "wrong-secret-of-tests")
    _stops(context, {FailureKind.CREDENTIALS, FailureKind.ACCESS_DENIED}, credentials=wrong)


def missing_bucket(context: Context) -> None:
    _stops(context, {FailureKind.NO_SUCH_BUCKET}, bucket="no-such-bucket-there")


def failed_multipart(context: Context) -> None:
    """A stream that breaks after two parts were sent leaves neither an object nor parts."""
    summary = context.upload([ObjectSource.stream(_pieces(big_body()[: 12 * MIB], breaks=True), "broken")])
    if [report.outcome for report in summary.failed] != [FailureKind.SOURCE]:
        raise Different(f"{summary.failed} instead of a failed source")
    context.compare({})
    try:
        left = context.store.client.list_multipart_uploads(Bucket=context.bucket).get("Uploads", [])
    except botocore.exceptions.ClientError as error:
        raise Different(f"cannot be asked: {error.response['Error']['Code']}") from None
    if left:
        raise Different(f"{len(left)} multipart uploads are left")


CHECKS: dict[str, Callable[[Context], None]] = {
    "sizes: 0, 1, part, part + 1, threshold, threshold + 1 bytes": sizes,
    "40 MiB in parts": forty_mib,
    "streams of unknown size": stream,
    "500 small objects at once": many,
    "keys: `ünï cödé +&=%.txt`, spaces, `~`, quotes, `日本語`": keys(
        "ünï cödé +&=%.txt", "a b/ c d ", "~tilde/a~b", "quote'\"", "日本語/🙂", "%2F?#;:@!$*(),[]{}"
    ),
    "keys with a leading dot": keys(".hidden", "folder/.hidden", ".folder/a"),
    "keys with `//`": keys("a//b"),
    "keys with a leading `/`": keys("/a"),
    "keys with `/../`": keys("a/../b"),
    "content type": content_type,
    "cache control": cache_control,
    "content disposition": content_disposition,
    "metadata": metadata,
    "metadata outside ASCII and with white space": metadata_of_any_text,
    "storage class": storage_class,
    "tags": tags({"team": "a b+c=d", "x.y_z": "-/:@"}),
    "tags outside ASCII": tags({"näme": "é", "日本": "語"}),
    **{f"checksum {algorithm} is kept": checksums(algorithm) for algorithm in DIGESTS},
    "overwriting": overwriting,
    "`if-none-match`: what exists is not overwritten": if_none_match,
    "unsigned, into a bucket open to all": unsigned,
    "SSE-C, over TLS": customer_key,
    "a wrong secret stops the run": wrong_secret,
    "a missing bucket stops the run": missing_bucket,
    "a failed multipart upload leaves nothing": failed_multipart,
}


def run_check(name: str, store: Store) -> str:
    """What the store did otherwise, "" for nothing, or `NOT_ASKED`."""
    try:
        CHECKS[name](Context(store))
    except Different as difference:
        return str(difference)
    except NotAsked:
        return NOT_ASKED
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return ""


def _stops(context: Context, kinds: set[FailureKind], **options: Any) -> None:
    files = [ObjectSource.data(SMALL, f"key {number}") for number in range(20)]
    try:
        summary = context.upload(files, **options)
    except RunError as error:
        if error.kind not in kinds:
            raise Different(f"stops with {error.kind.value}: {error}") from None
        return
    raise Different(f"takes {summary.uploaded} of {summary.sources} objects")


async def _pieces(body: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(body), STREAM_PIECE_BYTES):
        yield body[start : start + STREAM_PIECE_BYTES]
    if breaks:
        raise OSError(5, "Input/output error")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
