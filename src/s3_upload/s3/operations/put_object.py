"""PutObject: one object in one request.

Its success is proven by an ETag or, from a store that gives none, by a checksum.  The body of the answer is
empty at S3, and XML at some stores.
"""

from __future__ import annotations

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall, Twice
from s3_upload.s3.xml import Xml

_CHECKSUM_OF = ("x-amz-checksum-crc", "x-amz-checksum-sha")


def _etag_or_checksum(response: Response, said: Xml) -> str:
    named = (value for name, value in response.headers.items() if name.startswith(_CHECKSUM_OF))
    return response.etag or next(named, "")


KIND = OperationKind(
    name="PutObject",
    method="PUT",
    fields=frozenset({"object", "condition", "customer key", "request"}),
    carries_data=True,
    proof=Proof("an ETag", _etag_or_checksum),
    twice=Twice.HEDGED,
    sdk=SdkCall("put_object"),
)
