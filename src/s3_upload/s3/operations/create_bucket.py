"""CreateBucket: makes a bucket, in the region that the body names."""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, SdkCall
from s3_upload.s3.xml import XMLNS


def create_bucket_body(region: str) -> bytes:
    """The XML body in a region of S3 other than the first, which is not to be named."""
    return (
        f'<CreateBucketConfiguration xmlns="{XMLNS}"><LocationConstraint>{region}</LocationConstraint>'
        "</CreateBucketConfiguration>"
    ).encode()


KIND = OperationKind(name="CreateBucket", method="PUT", names_key=False, sdk=SdkCall("create_bucket"))
