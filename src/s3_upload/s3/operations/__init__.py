"""S3's operations: a module for each, which says all of it, and the table of them by name.

A new operation is a new module with a `KIND`, and its row in the table.  `kind.py` says what a kind may say;
`operation.py` has the request as data.
"""

from __future__ import annotations

from s3_upload.s3.operations import (
    abort_multipart_upload,
    complete_multipart_upload,
    create_bucket,
    create_multipart_upload,
    create_session,
    get_object,
    head_bucket,
    head_object,
    list_buckets,
    list_multipart_uploads,
    list_objects_v2,
    list_parts,
    put_object,
    upload_part,
)
from s3_upload.s3.operations.kind import OperationKind, Twice
from s3_upload.s3.operations.operation import Checksum, CompletedPart, Operation, Page

__all__ = ["Checksum", "CompletedPart", "Operation", "OperationKind", "Page"]  # others are defined here

_KINDS: tuple[OperationKind, ...] = (
    put_object.KIND,
    create_multipart_upload.KIND,
    upload_part.KIND,
    complete_multipart_upload.KIND,
    abort_multipart_upload.KIND,
    get_object.KIND,
    head_object.KIND,
    list_parts.KIND,
    head_bucket.KIND,
    create_bucket.KIND,
    list_buckets.KIND,
    list_multipart_uploads.KIND,
    list_objects_v2.KIND,
    create_session.KIND,
)
OPERATIONS: dict[str, OperationKind] = {kind.name: kind for kind in _KINDS}
"""Every operation that is used here, by the name that S3 gives it."""

PUT_OBJECT = put_object.KIND.name
CREATE_MULTIPART_UPLOAD = create_multipart_upload.KIND.name
UPLOAD_PART = upload_part.KIND.name
COMPLETE_MULTIPART_UPLOAD = complete_multipart_upload.KIND.name
ABORT_MULTIPART_UPLOAD = abort_multipart_upload.KIND.name
GET_OBJECT = get_object.KIND.name
HEAD_OBJECT = head_object.KIND.name
LIST_PARTS = list_parts.KIND.name
HEAD_BUCKET = head_bucket.KIND.name
CREATE_BUCKET = create_bucket.KIND.name
LIST_BUCKETS = list_buckets.KIND.name
LIST_MULTIPART_UPLOADS = list_multipart_uploads.KIND.name
LIST_OBJECTS_V2 = list_objects_v2.KIND.name
CREATE_SESSION = create_session.KIND.name

OF_BUCKETS = frozenset(kind.name for kind in _KINDS if not kind.names_key)
"""Operations that name no key."""
BODILESS = frozenset(kind.name for kind in _KINDS if kind.bodiless)
"""Operations whose answer has no body, whatever it says."""
ASKING = frozenset(kind.name for kind in _KINDS if kind.asks)
"""Operations that send nothing of an object: they only find out, or tidy up."""
CARRIES_DATA = frozenset(kind.name for kind in _KINDS if kind.carries_data)
"""Operations whose body is an object's bytes."""
BEGINS_OBJECT = frozenset(kind.name for kind in _KINDS if "object" in kind.fields)
"""Operations that say what the object is to be."""
MAKES_OBJECT = frozenset(kind.name for kind in _KINDS if "condition" in kind.fields)
"""Operations after whose success there is an object."""
NOT_TWICE = frozenset(kind.name for kind in _KINDS if kind.twice is Twice.DIFFERS)
"""Operations of which two do not do what one does."""
HEDGED = frozenset(kind.name for kind in _KINDS if kind.twice is Twice.HEDGED)
"""Operations that may be under way twice at the same time."""
