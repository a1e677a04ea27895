"""ListBuckets: the names of the account's buckets; one page of them, at S3 up to 10,000."""

from __future__ import annotations

import re

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.xml import plain_body, unescaped

ROOT = "ListAllMyBucketsResult"


def bucket_names(response: Response) -> list[str]:
    """The names in a ListBuckets response, as the store spells them."""
    text = plain_body(response).decode("utf-8", "replace")
    return [
        unescaped(name).strip() for name in re.findall(r"<(?:[^\s<>/:]+:)?Name(?:\s[^<>]*)?>([^<>]*)</", text)
    ]


KIND = OperationKind(
    name="ListBuckets",
    method="GET",
    names_key=False,
    # Any other document may come from something that is no store.
    proof=Proof("a list of buckets", lambda response, said: said.root if said.root == ROOT else ""),
    sdk=SdkCall("list_buckets"),
)
