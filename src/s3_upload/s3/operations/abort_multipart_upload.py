"""AbortMultipartUpload: the store forgets the upload and its parts.

A part that is still on its way may be stored after the abort, so ListParts is asked afterwards.
"""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, SdkCall
from s3_upload.s3.sigv4 import encode_query

KIND = OperationKind(
    name="AbortMultipartUpload",
    method="DELETE",
    query=lambda operation: f"uploadId={encode_query(operation.upload_id)}",
    fields=frozenset({"request"}),
    asks=True,
    sdk=SdkCall("abort_multipart_upload", lambda operation: {"UploadId": operation.upload_id}),
)
