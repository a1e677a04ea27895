"""Whether an object that HeadObject found is the one we sent. Pure: an answer in, a proof or none out.

An attempt whose answer was lost may have been carried out.  Then the store is asked, and what it has
counts as ours only if that is proven:

1. Its size is that of what was sent.
2. Its checksum, of the algorithm and type that we sent, is ours; or, where the store names none such,
   its ETag is the MD5 of the body or, of an object in parts, the MD5 of the MD5s that are the parts'
   ETags, "-" and their number
   (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
3. It is no older than our first attempt, by the store's own clock (`Date` less `Last-Modified`, where it
   names both): an object of the same content that was there before has other metadata, perhaps.

Where a store keeps no checksum and its ETags are no MD5s (SSE-KMS, SSE-C, some gateways), nothing is
proven, and the object counts as failed.  What is not proven in any case: that metadata, tags and the
like are ours, if somebody else wrote the same bytes in the same seconds.
"""

from __future__ import annotations

import hashlib
import re

from s3_upload.http import Body, Response
from s3_upload.s3.checksum import header_of
from s3_upload.s3.operations import Checksum, CompletedPart
from s3_upload.s3.responses import date_s

AGE_SLACK_S = 2.0
"""Both dates are cut to whole seconds, and may come from two machines of the store."""
_MD5 = re.compile(r"[0-9a-f]{32}")


def proves(found: Response, *, size: int, checksum: Checksum | None, etag: str, age_s: float) -> bool:
    """Whether the answer `found` to a HeadObject proves that it is what we sent.

    `size` of the whole object in bytes, `checksum` what was sent of it, `etag` what S3 would make of it
    (without quotes, "" where that cannot be known), `age_s` the seconds since its first request began.
    """
    if found.headers.get("content-length") != str(size):
        return False
    written_s, now_s = date_s(found.headers.get("last-modified", "")), date_s(found.headers.get("date", ""))
    if written_s is not None and now_s is not None and now_s - written_s > age_s + AGE_SLACK_S:
        return False
    if checksum is not None and checksum.value:
        value = found.headers.get(header_of(checksum.algorithm), "")
        if value and ("-" in value) == ("-" in checksum.value):
            return value == checksum.value
    return found.etag.strip('"') == etag != ""


def etag_of(body: Body) -> str:
    """The ETag that S3 makes of an object that was sent at once, without quotes."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def etag_of_parts(parts: tuple[CompletedPart, ...]) -> str:
    """The ETag that S3 makes of those of `parts`, without quotes; "" where one of them is no MD5."""
    etags = [part.etag.strip('"') for part in parts]
    if not all(_MD5.fullmatch(etag) for etag in etags):
        return ""
    digest = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False).hexdigest()
    return f"{digest}-{len(etags)}"
