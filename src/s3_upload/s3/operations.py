"""The S3 operations an upload uses, as plain data.

This is the narrow waist of the project: the engine builds an `Operation`, a client (our own, or an
SDK behind an adapter) carries it out and gives back an `http.Response`.  Neither knows the other's insides.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from s3_upload.http import Body

PUT_OBJECT = "PutObject"
CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
UPLOAD_PART = "UploadPart"
COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"


class RequestFields(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may say about an object beyond its bucket, key, body and length.

    Names are those of the S3 API.  `metadata` becomes `x-amz-meta-*`; `tags` becomes `x-amz-tagging`.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """

    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    expires: datetime | str | None = None
    acl: str | None = None
    storage_class: str | None = None
    server_side_encryption: str | None = None
    sse_kms_key_id: str | None = None
    metadata: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}


NO_FIELDS = RequestFields()


class Checksum(msgspec.Struct, frozen=True, gc=False):
    """A checksum as S3 writes it: `algorithm` as in x-amz-checksum-algorithm, `value` in base64.

    On CreateMultipartUpload `value` is "": there only the algorithm of the parts is announced.
    """

    algorithm: str
    value: str = ""


class CompletedPart(msgspec.Struct, frozen=True, gc=False):
    """One part as CompleteMultipartUpload names it: `number` from 1, `etag` as the store gave it."""

    number: int
    etag: str
    checksum: Checksum | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to S3. Fields that an operation does not use keep their defaults.

    `sha256` is the lower-case hex digest of `body` and `checksum` what goes into a checksum header,
    where they were computed (always from the very buffer that is sent).
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
