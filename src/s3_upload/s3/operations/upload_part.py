"""UploadPart: the bytes of one part of an object.

A store that takes fewer parts than S3 refuses one for its number.  From then on objects are cut into fewer.
"""

from __future__ import annotations

from s3_upload.errors import FailureKind
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall, Twice
from s3_upload.s3.sigv4 import encode_query

# 400 InvalidArgument, "Part number must be an integer between 1 and 1000, inclusive" (Swift, Scaleway),
# InvalidPartNumber and the like.
_PART_NUMBER = r"(?i)part ?number|too ?many ?parts"

KIND = OperationKind(
    name="UploadPart",
    method="PUT",
    query=lambda operation: (
        f"partNumber={operation.part_number}&uploadId={encode_query(operation.upload_id)}"
    ),
    fields=frozenset({"customer key", "request"}),
    carries_data=True,
    proof=Proof("an ETag", lambda response, said: response.etag),
    refusals=((_PART_NUMBER, FailureKind.TOO_MANY_PARTS),),
    twice=Twice.HEDGED,
    sdk=SdkCall(
        "upload_part",
        lambda operation: {"UploadId": operation.upload_id, "PartNumber": operation.part_number},
    ),
)
