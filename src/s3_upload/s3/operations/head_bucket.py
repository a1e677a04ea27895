"""HeadBucket: whether there is a bucket of that name. The status says all."""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, SdkCall

KIND = OperationKind(
    name="HeadBucket", method="HEAD", names_key=False, bodiless=True, sdk=SdkCall("head_bucket")
)
