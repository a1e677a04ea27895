"""A minimal model of S3, as far as uploads and their checks need it: a request in, an answer out.

It knows PutObject, GetObject, HeadObject, DeleteObject, ListObjectsV2 and the multipart operations; it checks
lengths and checksums as S3 does, and signatures not at all (the embedded store does that).
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from urllib.parse import quote, quote_plus

from tests.faults.actions import Answer, Request, s3_error
from tests.faults.listing import page_of

_PART = re.compile(rb"<Part>(.*?)</Part>", re.DOTALL)
_NUMBER = re.compile(rb"<PartNumber>\s*(\d+)\s*</PartNumber>")
_ETAG = re.compile(rb"<ETag>\s*(?:&quot;|&#34;|\")?([0-9a-f]+)(?:&quot;|&#34;|\")?\s*</ETag>")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_HASH = re.compile(r"[0-9a-f]{64}")
MIN_PART_BYTES = 5 << 20
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}


@dataclass(slots=True)
class StoredObject:
    """An object or a part. `body` is empty if the model keeps no bodies; `size` and `etag` are right."""

    body: bytes
    size: int
    etag: str
    """Without quotes."""
    headers: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    """Header -> value, as they came with it."""
    modified_s: float = field(default_factory=time.time)
    part_size: int = 0
    """Of an object in parts, where the store tells it."""
    part_sizes: tuple[int, ...] = ()
    """Where parts have several."""


@dataclass(slots=True)
class Upload:
    """A multipart upload that was neither completed nor aborted."""

    bucket: str
    key: str
    headers: dict[str, str]
    parts: dict[int, StoredObject] = field(default_factory=dict)
    algorithm: str = ""
    """Of the checksums that were announced, "" for none."""
    checksum_type: str = ""
    initiated: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))


class S3Model:
    """`objects` is keyed "bucket/key". `buckets` None: every bucket exists.

    `checksum_types`: those it knows of objects in parts; with none it keeps no checksums of them.
    """

    def __init__(
        self,
        *,
        buckets: set[str] | None = None,
        keep_bodies: bool = True,
        min_part_bytes: int = MIN_PART_BYTES,
        checksum_types: tuple[str, ...] = ("FULL_OBJECT", "COMPOSITE"),
        parts_per_page: int = 1000,
        keys_per_page: int = 1000,
    ) -> None:
        self.checksum_types = checksum_types
        self.parts_per_page = parts_per_page
        self.keys_per_page = keys_per_page
        self.buckets = buckets
        self.keep_bodies = keep_bodies
        self.min_part_bytes = min_part_bytes
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, Upload] = {}
        self.lists_whole_keys = False
        """Whether a prefix of uploads is taken for a whole key, as by MinIO."""
        self.raw_tokens = False
        """Whether listings go on behind a key, which is their token, as by Ceph."""
        self.encodes_no_uploads = False
        """Whether keys of uploads come as they are, whatever was asked for."""
        self.encodes_silently = False
        """Whether keys of uploads are percent-encoded, as by Ceph, which does not say so."""
        self.completed: dict[str, tuple[str, Answer]] = {}
        """Upload ID -> (bucket/key, answer): S3 answers a repeated Complete with success."""
        self._upload_ids = 0

    def bodies(self, bucket: str) -> dict[str, bytes]:
        """The objects of a bucket: key -> body."""
        prefix = bucket + "/"
        return {name[len(prefix) :]: o.body for name, o in self.objects.items() if name.startswith(prefix)}

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911, PLR0912 - the table of operations
        """What S3 would answer, after doing it."""
        creates = request.method == "PUT" and not request.key
        if self.buckets is not None and request.bucket not in self.buckets and not creates:
            return s3_error(404, "NoSuchBucket", "The specified bucket does not exist")
        refusal = check_body(request)
        if refusal is not None:
            return refusal
        query = request.query
        match request.method:
            case "PUT" if request.key and "uploadId" in query:
                return self._put_part(request)
            case "PUT" if request.key:
                return self._put(request)
            case "PUT":
                return self._create_bucket(request)
            case "POST" if "uploads" in query:
                return self._create_upload(request)
            case "POST" if "uploadId" in query:
                return self._complete(request)
            case "DELETE" if "uploadId" in query:
                found = self._upload(request) and self.uploads.pop(query["uploadId"])
                return Answer(204) if found else _no_such_upload()
            case "DELETE":
                self.objects.pop(f"{request.bucket}/{request.key}", None)
                return Answer(204)
            case "GET" if "uploadId" in query:
                return self._list_parts(request)
            case "GET" if not request.key and "uploads" in query:
                return self._list_uploads(request)
            case "GET" if not request.key and query.get("list-type") == "2":
                return self._list_objects(request)
            case "GET" | "HEAD" if request.key:
                return self._get(request)
            case "HEAD":
                return Answer(200)
        return s3_error(501, "NotImplemented", f"the fault server knows no {request.method} {request.target}")

    def _stored(self, request: Request) -> StoredObject:
        etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        body = request.body if self.keep_bodies else b""
        checksums = {k: v for k, v in request.headers.items() if k in DIGESTS}
        return StoredObject(body, len(request.body), etag, _object_headers(request), checksums)

    def _put(self, request: Request) -> Answer:
        refusal = self._overwrites(request)
        if refusal is not None:
            return refusal
        self.objects[f"{request.bucket}/{request.key}"] = stored = self._stored(request)
        return Answer(200, {"ETag": f'"{stored.etag}"', **stored.checksums})

    def _overwrites(self, request: Request) -> Answer | None:
        """The refusal of what would overwrite an object and is not to."""
        if (
            request.headers.get("if-none-match") != "*"
            or f"{request.bucket}/{request.key}" not in self.objects
        ):
            return None
        return s3_error(412, "PreconditionFailed", "At least one of the preconditions did not hold")

    def _create_bucket(self, request: Request) -> Answer:
        if self.buckets is not None:
            self.buckets.add(request.bucket)
        return Answer(200, {"Location": f"/{request.bucket}"})

    def _get(self, request: Request) -> Answer:
        stored = self.objects.get(f"{request.bucket}/{request.key}")
        if stored is None:
            return s3_error(404, "NoSuchKey", "The specified key does not exist.")
        headers = {**stored.headers, "ETag": f'"{stored.etag}"', "Content-Length": str(stored.size)}
        headers["Last-Modified"] = formatdate(stored.modified_s, usegmt=True)
        if request.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers |= stored.checksums
        if "partNumber" in request.query and (sizes := sizes_of_parts(stored)):
            headers["Content-Length"] = str(sizes[request.part_number - 1])
            headers["x-amz-mp-parts-count"] = str(len(sizes))
        if (span := _RANGE.fullmatch(request.headers.get("range", ""))) is not None:
            body = stored.body[int(span[1]) : int(span[2]) + 1]
            return Answer(206, {**headers, "Content-Length": str(len(body))}, body)
        return Answer(200, headers, stored.body)

    def _create_upload(self, request: Request) -> Answer:
        self._upload_ids += 1
        upload_id = f"upload-{self._upload_ids}"
        upload = self.uploads[upload_id] = Upload(request.bucket, request.key, _object_headers(request))
        answer = _xml(
            "InitiateMultipartUploadResult",
            f"<Bucket>{request.bucket}</Bucket><Key>{_escape(request.key)}</Key><UploadId>{upload_id}</UploadId>",
        )
        asked = request.headers.get("x-amz-checksum-type", "COMPOSITE")
        if self.checksum_types and "x-amz-checksum-algorithm" in request.headers:
            upload.algorithm = request.headers["x-amz-checksum-algorithm"]
            upload.checksum_type = asked if asked in self.checksum_types else self.checksum_types[0]
            told = {"x-amz-checksum-algorithm": upload.algorithm, "x-amz-checksum-type": upload.checksum_type}
            return Answer(200, {**answer.headers, **told}, answer.body)
        return answer

    def _upload(self, request: Request) -> Upload | None:
        upload = self.uploads.get(request.query["uploadId"])
        same = upload and (upload.bucket, upload.key) == (request.bucket, request.key)
        return upload if same else None

    def _put_part(self, request: Request) -> Answer:
        upload = self._upload(request)
        if upload is None:
            return _no_such_upload()
        if not 1 <= request.part_number <= 10_000:
            return s3_error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000")
        upload.parts[request.part_number] = part = self._stored(request)
        return Answer(200, {"ETag": f'"{part.etag}"', **part.checksums})

    def _list_parts(self, request: Request) -> Answer:
        upload = self._upload(request)
        if upload is None:
            return _no_such_upload()
        marker = int(request.query.get("part-number-marker", "0"))
        behind = [(n, part) for n, part in sorted(upload.parts.items()) if n > marker]
        parts = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{p.etag}&quot;</ETag><Size>{p.size}</Size></Part>"
            for n, p in behind[: self.parts_per_page]
        )
        more = str(len(behind) > self.parts_per_page).lower()
        return _xml("ListPartsResult", f"<IsTruncated>{more}</IsTruncated>{parts}")

    def _list_uploads(self, request: Request) -> Answer:
        query = request.query
        behind = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        found = sorted((upload.key, upload_id) for upload_id, upload in self.uploads.items())
        prefix = query.get("prefix", "")
        if self.lists_whole_keys and prefix:
            found = [one for one in found if one[0] == prefix]
        found = [one for one in found if one[0].startswith(prefix) and one > behind]
        page = found[: int(query.get("max-uploads", "1000"))]
        silent = quote if self.encodes_silently else _escape if self.encodes_no_uploads else None
        encoded = silent or partial(quote_plus, safe="/")
        uploads = "".join(
            f"<Upload><Key>{encoded(key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{self.uploads[upload_id].initiated}</Initiated></Upload>"
            for key, upload_id in page
        )
        more = f"<IsTruncated>{str(len(found) > len(page)).lower()}</IsTruncated>"
        if len(found) > len(page):
            last = page[-1][0]
            marker = _escape(last) if silent else quote_plus(last, safe="/")
            more += f"<NextKeyMarker>{marker}</NextKeyMarker>"
            more += f"<NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>"
        encoding = "" if silent else "<EncodingType>url</EncodingType>"
        return _xml("ListMultipartUploadsResult", f"{encoding}{more}{uploads}")

    def _list_objects(self, request: Request) -> Answer:
        start = f"{request.bucket}/"
        found = {name[len(start) :]: one for name, one in self.objects.items() if name.startswith(start)}
        page = page_of(found, request, self.keys_per_page, raw_tokens=self.raw_tokens)
        return Answer(200, {"Content-Type": "application/xml"}, page)

    def _complete(self, request: Request) -> Answer:
        upload_id = request.query["uploadId"]
        name = f"{request.bucket}/{request.key}"
        if upload_id in self.completed and self.completed[upload_id][0] == name:
            return self.completed[upload_id][1]
        upload = self._upload(request)
        if upload is None:
            return _no_such_upload()
        named = [(_NUMBER.search(xml), _ETAG.search(xml)) for xml in _PART.findall(request.body)]
        wanted = [(int(number[1]), etag[1].decode()) for number, etag in named if number and etag]
        if not wanted or len(wanted) != len(named):
            return s3_error(400, "MalformedXML", "The XML you provided was not well-formed")
        parts = [upload.parts[n] for n, _ in wanted if n in upload.parts]
        refusal = self._overwrites(request) or self._refusal(upload, wanted)
        refusal = refusal or check_whole(upload, parts, request)
        if refusal is not None:
            return refusal
        digest = hashlib.md5(b"".join(bytes.fromhex(p.etag) for p in parts), usedforsecurity=False)
        etag = f"{digest.hexdigest()}-{len(parts)}"
        body = b"".join(part.body for part in parts)
        header, value = checksum_of_parts(upload, parts)
        checksums = {header: value} if header else {}
        size = sum(part.size for part in parts)
        sizes = tuple(part.size for part in parts)
        # S3 dates it so, too.
        begun_s = datetime.fromisoformat(upload.initiated).timestamp()
        self.objects[name] = StoredObject(
            body, size, etag, upload.headers, checksums, begun_s, part_size=sizes[0], part_sizes=sizes
        )
        answer = _completed(etag, (header, value))
        self.completed[upload_id] = (name, answer)
        del self.uploads[upload_id]
        return answer

    def _refusal(self, upload: Upload, wanted: list[tuple[int, str]]) -> Answer | None:
        """What S3 says to a list of parts that does not fit those it has."""
        if any(first >= second for (first, _), (second, _) in itertools.pairwise(wanted)):
            return s3_error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        if any(n not in upload.parts or upload.parts[n].etag != etag for n, etag in wanted):
            return s3_error(400, "InvalidPart", "One or more of the specified parts could not be found.")
        if any(upload.parts[n].size < self.min_part_bytes for n, _ in wanted[:-1]):
            return s3_error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum")
        return None


def check_body(request: Request) -> Answer | None:
    """The refusal S3 gives if the body is not what the headers say, else None."""
    headers, body = request.headers, request.body
    lengths = ("content-length", "x-amz-decoded-content-length")
    if request.method in ("PUT", "POST") and not any(name in headers for name in lengths):
        return s3_error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    length = headers.get("x-amz-decoded-content-length", headers.get("content-length", "0"))
    if not request.complete or int(length) != len(body):
        return s3_error(400, "IncompleteBody", f"The request body is {len(body)} bytes, not {length}")
    sha256 = headers.get("x-amz-content-sha256", "")
    if _HASH.fullmatch(sha256) and hashlib.sha256(body).hexdigest() != sha256:
        return s3_error(
            400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' does not match"
        )
    for name, digest in DIGESTS.items():
        given = headers.get(name)
        if given is not None and request.method == "PUT" and given != base64.b64encode(digest(body)).decode():
            return s3_error(400, "BadDigest", f"{name}: did not match the calculated checksum.")
    md5 = headers.get("content-md5")
    if md5 is not None and md5 != base64.b64encode(_md5(body)).decode():
        return s3_error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    return None


def sizes_of_parts(stored: StoredObject) -> tuple[int, ...]:
    """In bytes; none where the store does not tell them."""
    if stored.part_sizes or not stored.part_size:
        return stored.part_sizes
    starts = range(0, stored.size, stored.part_size)
    return tuple(min(stored.part_size, stored.size - start) for start in starts)


def checksum_of_parts(upload: Upload, parts: list[StoredObject]) -> tuple[str, str]:
    """Header and value of the checksum that S3 keeps of an object in parts, ("", "") for none."""
    header = f"x-amz-checksum-{upload.algorithm.lower()}"
    if not upload.algorithm or any(header not in part.checksums for part in parts):
        return "", ""
    if upload.checksum_type == "FULL_OBJECT":
        return header, base64.b64encode(DIGESTS[header](b"".join(part.body for part in parts))).decode()
    digests = b"".join(base64.b64decode(part.checksums[header]) for part in parts)
    return header, f"{base64.b64encode(DIGESTS[header](digests)).decode()}-{len(parts)}"


def check_whole(upload: Upload, parts: list[StoredObject], request: Request) -> Answer | None:
    """The refusal of a Complete whose checksums are not those of the parts, else None."""
    header, value = checksum_of_parts(upload, parts)
    given = request.headers.get(header or "x-amz-checksum-crc32", value)
    if given != value:
        return s3_error(400, "BadDigest", f"{header}: did not match the calculated checksum.")
    named = re.findall(rb"<Checksum\w+>([^<]*)</Checksum", request.body)
    if upload.checksum_type == "COMPOSITE" and len(named) != len(parts):
        return s3_error(
            400, "InvalidRequest", "The complete request must include the checksum for each part."
        )
    if named and [part.checksums[header].encode() for part in parts] != named:
        return s3_error(400, "InvalidPart", "One or more of the specified parts could not be found.")
    return None


def decode_aws_chunked(body: bytes) -> bytes:
    """The payload of a body in `Content-Encoding: aws-chunked`; what follows an error is left out.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    """
    chunks, position = [], 0
    while (end := body.find(b"\r\n", position)) >= 0:
        size = int(body[position:end].split(b";")[0] or b"0", 16)
        if size == 0:
            break
        chunks.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(chunks)


_OBJECT_HEADERS = frozenset(f"content-{name}" for name in ("type", "encoding", "disposition", "language")) | {
    "cache-control",
    "expires",
}
_NOT_SHOWN = (
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-checksum-",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sec",
)


def _object_headers(request: Request) -> dict[str, str]:
    """The headers that S3 keeps with an object and gives back with it; of the tags, their number."""
    headers = request.headers
    kept = {
        k: v
        for k, v in headers.items()
        if k in _OBJECT_HEADERS
        or (k.startswith("x-amz-") and not k.startswith((*_NOT_SHOWN, "x-amz-tagging")))
    }
    if "x-amz-tagging" in headers:
        kept["x-amz-tagging-count"] = str(headers["x-amz-tagging"].count("="))
    return kept


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _xml(root: str, inner: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())


def _completed(etag: str, checksum: tuple[str, str]) -> Answer:
    header, value = checksum
    tag = f"Checksum{header.rpartition('-')[2].upper()}"
    told = f"<{tag}>{value}</{tag}>" if header else ""
    return _xml("CompleteMultipartUploadResult", f"<ETag>&quot;{etag}&quot;</ETag>{told}")


def _no_such_upload() -> Answer:
    return s3_error(404, "NoSuchUpload", "The specified upload does not exist.")
