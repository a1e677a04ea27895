"""The S3 operations an upload uses, as plain data.

This is the narrow waist of the project: the engine builds an `Operation`, a client (our own, or an
SDK behind an adapter) carries it out and gives back an `http.Response`.  Neither knows the other's insides.
"""

from __future__ import annotations

import msgspec

from s3_upload.http import Body
from s3_upload.request_fields import NO_FIELDS, RequestFields

PUT_OBJECT = "PutObject"
CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
UPLOAD_PART = "UploadPart"
COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
HEAD_OBJECT = "HeadObject"
LIST_PARTS = "ListParts"
HEAD_BUCKET = "HeadBucket"
CREATE_BUCKET = "CreateBucket"
LIST_BUCKETS = "ListBuckets"
CREATE_SESSION = "CreateSession"
OF_BUCKETS = frozenset({HEAD_BUCKET, CREATE_BUCKET, LIST_BUCKETS, CREATE_SESSION})
"""Operations that name no key."""
BODILESS = frozenset({HEAD_OBJECT, HEAD_BUCKET})
"""Operations whose answer has no body, whatever it says."""
ASKING = frozenset({HEAD_OBJECT, LIST_PARTS, ABORT_MULTIPART_UPLOAD})
"""Operations that send nothing of an object: they only find out, or tidy up."""
NOT_TWICE = frozenset({CREATE_MULTIPART_UPLOAD, COMPLETE_MULTIPART_UPLOAD})
"""Operations that are POSTs: what two of them do is not what one does (RFC 9110 §9.2.2, "idempotent")."""


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


class Operation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to S3. Fields that an operation does not use keep their defaults.

    `sha256` is the lower-case hex digest of `body` and `checksum` what goes into a checksum header,
    where they were computed (always from the very buffer that is sent).  `part_number` on ListParts: the
    parts behind that one.
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
