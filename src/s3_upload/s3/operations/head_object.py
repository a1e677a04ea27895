"""HeadObject: what the store has under a key. `proof.py` judges whether that is what we sent.

It asks for the checksums, which S3 names only then.  The fields' condition does not go with it: here it
would be one for the answer.
"""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, SdkCall

KIND = OperationKind(
    name="HeadObject",
    method="HEAD",
    headers={"x-amz-checksum-mode": "ENABLED"},
    fields=frozenset({"customer key", "request"}),
    bodiless=True,
    asks=True,
    sdk=SdkCall("head_object", lambda operation: {"ChecksumMode": "ENABLED"}),
)
