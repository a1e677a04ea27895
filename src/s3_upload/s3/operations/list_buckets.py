"""ListBuckets: the names of the account's buckets; one page of them, at S3 up to 10,000."""

from __future__ import annotations

import re

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.xml import Xml, plain_body, unescaped


def bucket_names(response: Response) -> list[str]:
    """The names in a ListBuckets response, as the store spells them."""
    text = plain_body(response).decode("utf-8", "replace")
    return [
        unescaped(name).strip() for name in re.findall(r"<(?:[^\s<>/:]+:)?Name(?:\s[^<>]*)?>([^<>]*)</", text)
    ]


def _root(response: Response, said: Xml) -> str:
    """Any other document may come from something that is no store."""
    return said.root if said.root == "ListAllMyBucketsResult" else ""


KIND = OperationKind(
    name="ListBuckets",
    method="GET",
    names_key=False,
    proof=Proof("a list of buckets", _root),
    sdk=SdkCall("list_buckets"),
)
