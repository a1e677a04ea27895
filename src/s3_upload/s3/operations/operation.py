"""One request to S3, as plain data.

This is the narrow waist of the project: `transfer/` builds an `Operation`, a client (our own, or an
SDK behind an adapter) carries it out and gives back an `http.Response`.  Neither knows the other's insides.
"""

from __future__ import annotations

import msgspec

from s3_upload.http import Body
from s3_upload.request_fields import NO_FIELDS, RequestFields


class Checksum(msgspec.Struct, frozen=True, gc=False):
    """A checksum as S3 writes it: `algorithm` as in x-amz-checksum-algorithm, `value` in base64.

    On CreateMultipartUpload `value` is "": there algorithm and type are announced.  `type` is that of an
    object in parts (see `checksum.py`), "" for the bytes of one request.
    """

    algorithm: str
    value: str = ""
    type: str = ""


class CompletedPart(msgspec.Struct, frozen=True, gc=False):
    """One part as CompleteMultipartUpload names it: `number` from 1, `etag` as the store gave it, `size`
    in bytes."""

    number: int
    etag: str
    checksum: Checksum | None = None
    size: int = 0


class Page(msgspec.Struct, frozen=True, gc=False):
    """Which page of a bucket's objects ListObjectsV2 is to give: of keys that begin with `prefix` and come
    behind `after`, at most `max_keys`; all behind the page before it, if `token` is what that one ended with.
    With a `delimiter` keys that have it behind the prefix are given as one common prefix."""

    prefix: str = ""
    after: str = ""
    token: str = ""
    delimiter: str = ""
    max_keys: int = 1_000


class Operation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to S3. Fields that an operation does not use keep their defaults.

    `name`: that of its `OperationKind`.  `sha256` is the lower-case hex digest of `body` and `checksum` what
    goes into a checksum header, where they were computed (always from the very buffer that is sent).
    `part_number` on ListParts: the parts behind that one.  `span` on GetObject: offset and number of the
    bytes that are wanted, (0, 0) for all.  `asks_checksums` on HeadObject: it is to tell them.
    """

    name: str
    bucket: str
    key: str
    body: Body = b""
    sha256: str = ""
    checksum: Checksum | None = None
    fields: RequestFields = NO_FIELDS
    upload_id: str = ""
    part_number: int = 0
    parts: tuple[CompletedPart, ...] = ()
    page: Page | None = None
    span: tuple[int, int] = (0, 0)
    asks_checksums: bool = False
