"""HeadObject: what the store has under a key. `proof.py` judges whether that is what we sent.

Checksums are asked for where somebody compares them: S3 names them only then, some stores refuse that, and of
what is encrypted with a KMS key it takes a permission of its own.  The condition of the fields
(If-None-Match) is left out: here it would apply to the answer.  With a `part_number` it is about that part,
whose size it tells.
"""

from __future__ import annotations

from typing import Any

from s3_upload.s3.operations.kind import OperationKind, SdkCall
from s3_upload.s3.operations.operation import Operation


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    part = {"PartNumber": operation.part_number} if operation.part_number else {}
    return {"ChecksumMode": "ENABLED", **part} if operation.asks_checksums else part


KIND = OperationKind(
    name="HeadObject",
    method="HEAD",
    query=lambda operation: f"partNumber={operation.part_number}" if operation.part_number else "",
    headers_of=lambda operation: {"x-amz-checksum-mode": "ENABLED"} if operation.asks_checksums else {},
    fields=frozenset({"customer key", "request"}),
    bodiless=True,
    asks=True,
    sdk=SdkCall("head_object", _sdk_arguments),
)
