"""Whether an object that HeadObject found is the one we sent. Pure: an answer in; what speaks against it out.

An attempt whose answer was lost may have been carried out.  Then the store is asked, and what it has
counts as ours only if that is proven:

1. Its size is that of what was sent.
2. Its checksum, of the algorithm and type that we sent, is ours; or, where the store names none such,
   its ETag is the MD5 of the body or, of an object in parts, the MD5 of the MD5s that are the parts'
   ETags, "-" and their number
   (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
3. It is no older than our first attempt, by the store's own clock (`Date` less `Last-Modified`, where it
   names both).  An object in parts is dated by its CreateMultipartUpload
   (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html): where an earlier run sent
   that, it may have any age.
4. What HeadObject shows of everything else that was asked for is there and agrees: type and encoding,
   metadata, the number of tags, storage class, encryption, lock.  What it does not show was lost, since
   it shows each of these where it is there.  (The ACL and the KMS context it never shows.)

Where a store keeps no checksum and its ETags are no MD5s (SSE-KMS, SSE-C, some gateways), or does not
show what it was asked for, nothing is proven, and the object counts as failed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping

from s3_upload.http import Buffer, Response
from s3_upload.request_fields import RequestFields
from s3_upload.s3.checksum import header_of
from s3_upload.s3.dates import date_s, iso_time_s
from s3_upload.s3.fields import METADATA, field_headers
from s3_upload.s3.operations import PUT_OBJECT, Checksum, CompletedPart

AGE_SLACK_S = 2.0
"""Both dates are cut to whole seconds, and may come from two machines of the store."""
_MAX_ENCODED_CHARS = 4_096
"""Of a value in RFC 2047's encoding: S3 keeps 2 KB of metadata."""
_MD5 = r"[0-9a-f]{32}"


def disproof(
    found: Response,
    *,
    size: int,
    checksum: Checksum | None,
    etag: str,
    age_s: float,
    fields: RequestFields,
) -> str:
    """Why the answer `found` to a HeadObject does not prove that it is what we sent; "" where it does.

    `size` of the whole object in bytes, `checksum` what was sent of it, `etag` what S3 would make of it
    (without quotes, "" where that cannot be known), `age_s` the seconds since its first request began
    (`inf`: in an earlier run), `fields` what else was asked for.  What is returned quotes no value.
    """
    if found.headers.get("content-length") != str(size):
        return "its size differs"
    if is_older(found, age_s):
        return "it was there before"
    shown = checksum_shown(found, checksum)
    if checksum is not None and shown:
        if shown != checksum.value:
            return "its checksum differs"
    elif not found.etag or not etag:
        return "the store shows neither a checksum of it nor an MD5"
    elif not same_etag(found.etag, etag):
        return "its ETag is not the MD5 of what was sent"
    lost = missing_field(fields, found.headers)
    return f"its {lost} is not what was asked for" if lost else ""


def checksum_shown(found: Response, checksum: Checksum | None) -> str:
    """The checksum that `found` names of the algorithm and type of the one that we sent, which then decides;
    "" where it names none: then its ETag has to."""
    if checksum is None or not checksum.value:
        return ""
    value = found.headers.get(header_of(checksum.algorithm), "")
    return value if ("-" in value) == ("-" in checksum.value) else ""


def is_older(found: Response, age_s: float) -> bool:
    """Whether the object of that answer was there more than `age_s` seconds ago, as far as it says so."""
    written_s, now_s = date_s(found.headers.get("last-modified", "")), date_s(found.headers.get("date", ""))
    return written_s is not None and now_s is not None and now_s - written_s > age_s + AGE_SLACK_S


def same_etag(one: str, other: str) -> bool:
    """Whether two ETags are the same, with or without quotes."""
    return one.strip('"') == other.strip('"')


def etag_of(body: Buffer) -> str:
    """The ETag that S3 makes of an object that was sent at once, without quotes."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def etag_of_parts(parts: tuple[CompletedPart, ...]) -> str:
    """The ETag that S3 makes of those of `parts`, without quotes; "" where one of them is no MD5."""
    etags = [part.etag.strip('"') for part in parts]
    if not all(re.fullmatch(_MD5, etag) for etag in etags):
        return ""
    digest = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False).hexdigest()
    return f"{digest}-{len(etags)}"


def missing_field(fields: RequestFields, shown: Mapping[str, str]) -> str:
    """The header of the first thing in `fields` that `shown`, the headers of a HeadObject's answer, does
    not confirm; "" where all agree."""
    if fields.tags and shown.get(TAG_COUNT) != str(len(fields.tags)):
        return TAG_COUNT
    for header, said in field_headers(fields, PUT_OBJECT).items():
        agrees = _same_text if header.startswith(METADATA.header) else SHOWN.get(header)
        if agrees is not None and not agrees(said, shown.get(header, "")):
            return header
    return ""


# --- header by header: whether what is shown confirms what was said ---------------------------------------


def _same_text(said: str, shown: str) -> bool:
    """White space may have been squeezed; what is not ASCII comes back as it was sent or encoded."""
    return not _spellings(said).isdisjoint(_spellings(shown))


def _spellings(value: str) -> set[str]:
    found = {value, _from_utf8(value), _from_rfc2047(value)}
    return {" ".join(text.split()) for text in found}


def _from_utf8(value: str) -> str:
    """A header's bytes, which came as Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _from_rfc2047(value: str) -> str:
    if "=?" not in value or len(value) > _MAX_ENCODED_CHARS:
        return value
    from email.errors import MessageError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        return value


def _same_word(said: str, shown: str) -> bool:
    return "".join(said.split()).lower() == "".join(shown.split()).lower()


def _or_default(default: str) -> Callable[[str, str], bool]:
    """What is not shown is as it is without being asked for."""
    return lambda said, shown: _same_word(said, shown or default)


def _same_key(said: str, shown: str) -> bool:
    """A KMS key may be asked for by its ID or by an alias, and is shown by its whole name."""
    if "alias/" in said:
        return bool(shown)
    return shown == said or shown.endswith(f"/{said}")


def _same_time(said: str, shown: str) -> bool:
    return said == shown or ((then := _second(said)) is not None and then == _second(shown))


def _second(text: str) -> int | None:
    """Stores cut what is below."""
    time_s = date_s(text) or iso_time_s(text)
    return None if time_s is None else math.floor(time_s)


TAG_COUNT = "x-amz-tagging-count"
_SSE = "x-amz-server-side-encryption"
SHOWN: dict[str, Callable[[str, str], bool]] = {
    "content-type": _same_word,
    "content-encoding": _same_word,
    "content-disposition": _same_text,
    "content-language": _same_word,
    "cache-control": _same_word,
    "expires": _same_time,
    "x-amz-website-redirect-location": _same_text,
    "x-amz-storage-class": _or_default("STANDARD"),
    _SSE: _same_word,
    f"{_SSE}-aws-kms-key-id": _same_key,
    f"{_SSE}-bucket-key-enabled": _or_default("false"),
    f"{_SSE}-customer-algorithm": _same_word,
    f"{_SSE}-customer-key-md5": str.__eq__,
    "x-amz-object-lock-mode": _same_word,
    "x-amz-object-lock-retain-until-date": _same_time,
    "x-amz-object-lock-legal-hold": _or_default("OFF"),
}
"""The headers of a request that HeadObject shows again, each with what is agreement.  Metadata and the
number of tags come besides.  A test compares these with botocore's model of the API."""
