"""ListObjectsV2: which objects a bucket has, in the order of their keys' UTF-8 bytes, a page at a time.

Rules:

* Keys come percent-encoded (`encoding-type=url`): XML has no way to write all characters that a key may have.
* A page is read as a whole or not at all: an object that was overlooked would count as missing.  So this
  reader is stricter than `xml.py`, and quicker: a page has thousands of elements, and there may be thousands
  of pages.

Directory buckets list in no order at all
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from s3_upload.http import Response
from s3_upload.s3.dates import iso_time_s
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.operations.operation import Operation, Page
from s3_upload.s3.sigv4 import encode_query
from s3_upload.s3.xml import MAX_ID_CHARS, element, plain_body, unescaped, written

ROOT = "ListBucketResult"
_BEGIN, _END = "<Contents>", "</Contents>"
_FIELDS = ("Key", "LastModified", "ETag", "ChecksumAlgorithm", "ChecksumType", "Size", "StorageClass")
_USUAL = (
    r"<Contents><Key>([^<]+)</Key><LastModified>([^<]*)</LastModified><ETag>([^<]*)</ETag>"
    r"(?:<ChecksumAlgorithm>([^<]*)</ChecksumAlgorithm>)*(?:<ChecksumType>([^<]*)</ChecksumType>)?"
    r"<Size>([0-9]+)</Size>(?:<Owner>.*?</Owner>)?(?:<StorageClass>([^<]*)</StorageClass>)?"
)
"""An object as S3, MinIO and Ceph write it: `_FIELDS` in this order. It is the quick way to read a page."""
_ENCODED = "<EncodingType>url</EncodingType>"
"""Not every store does it; MinIO says so behind the last object."""


class ListedObject(msgspec.Struct, frozen=True, gc=False):
    """What a listing says of one object.

    `size` in bytes.  `etag` without quotes.  `last_modified_s` in seconds since the epoch, None where the
    store does not tell.  `checksum_algorithm` and `checksum_type` ("FULL_OBJECT", "COMPOSITE"): which
    checksum the store keeps, "" where it does not say; HeadObject tells its value.
    """

    key: str
    size: int
    etag: str = ""
    last_modified_s: float | None = None
    checksum_algorithm: str = ""
    checksum_type: str = ""
    storage_class: str = ""


class ListedPage(msgspec.Struct, frozen=True):
    """One page: `objects` in the store's order, the common `prefixes`, and the `token` of the next page, ""
    behind the last."""

    objects: list[ListedObject]
    prefixes: list[str]
    token: str


class UnreadableListing(ValueError):  # noqa: N818 - it is an answer that is wrong
    """What came is no page, or not all of one. The message says why, in a few words."""


def listed_page(response: Response) -> ListedPage:
    """The page in a ListObjectsV2 response. Raises `UnreadableListing`."""
    try:
        text = plain_body(response).decode()
    except UnicodeDecodeError:
        raise UnreadableListing("its text is not UTF-8") from None
    if f"<{ROOT}" not in text:
        raise UnreadableListing("it is no list of objects")
    if not text.rstrip().endswith(f"</{ROOT}>"):
        raise UnreadableListing("it is cut short")
    head, *entries = text.split(_BEGIN)
    name_of = decoded if _ENCODED in text else unescaped
    if len(entries) != text.count(_END):
        raise UnreadableListing("its objects begin and do not end")
    tail = entries[-1] if entries else head
    usual = re.findall(_USUAL, text)
    if len(usual) != len(entries):  # a store that says more, or in another order
        usual = [[_text(entry, name) for name in _FIELDS] for entry in entries]
    prefixes = [name_of(_text(one, "Prefix")) for one in text.split("<CommonPrefixes>")[1:]]
    page = ListedPage([_object(fields, name_of) for fields in usual], prefixes, "")
    if not any(_text(end, "IsTruncated").strip().lower() == "true" for end in (head, tail)):
        return page
    # Any text: Ceph's is the last key, also one that begins with a blank.
    token = unescaped(_text(head, "NextContinuationToken") or _text(tail, "NextContinuationToken"))
    if not 0 < len(token) <= MAX_ID_CHARS:
        raise UnreadableListing("it says that there are more objects, and not how to go on")
    return msgspec.structs.replace(page, token=token)


def _text(entry: str, name: str) -> str:
    """What the first element of that name in `entry` holds, "" if there is none.

    No store that is known writes attributes or prefixes here; where one did, its objects would have no keys,
    which is told.
    """
    return entry.partition(f"<{name}>")[2].partition("<")[0]


def _object(fields: Sequence[str], name_of: Callable[[str], str]) -> ListedObject:
    """`fields`: in the order of `_FIELDS`."""
    key, last_modified, etag, algorithm, checksum_type, size, storage_class = fields
    try:
        said = name_of(key), int(size)
    except ValueError:  # of the encoding, too
        raise UnreadableListing("an object in it has no size, or a key that cannot be read") from None
    if not key:
        raise UnreadableListing("an object in it has no key")
    if "&" in etag:
        etag = unescaped(etag.replace("&quot;", "").replace("&#34;", ""))
    etag = etag.strip().strip('"')
    return ListedObject(*said, etag, iso_time_s(last_modified), algorithm, checksum_type, storage_class)


def decoded(text: str) -> str:
    """A key or prefix that is percent-encoded, with "+" for a blank."""
    if "%" not in text and "+" not in text:
        return text
    return unquote_plus(text, errors="strict")


def _query(operation: Operation) -> str:
    """Sorted by name, as signatures want it."""
    page = operation.page or Page()
    given = [
        ("continuation-token", page.token),
        ("delimiter", page.delimiter),
        ("encoding-type", "url"),
        ("list-type", "2"),
        ("max-keys", str(page.max_keys)),
        ("prefix", page.prefix),
        ("start-after", page.after),
    ]
    return "&".join([f"{name}={encode_query(value)}" for name, value in given if value])


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    page = operation.page or Page()
    texts = {
        "ContinuationToken": page.token,
        "Delimiter": page.delimiter,
        "Prefix": page.prefix,
        "StartAfter": page.after,
    }
    said = {name: text for name, text in texts.items() if text}
    return {"EncodingType": "url", "MaxKeys": page.max_keys, **said}


def _sdk_answer(answer: Mapping[str, Any]) -> bytes:
    """One page, in the words that `listed_page` reads."""
    head = written(answer, ("EncodingType", "NextContinuationToken", "IsTruncated"))
    objects = [element("Contents", written(found, _FIELDS)) for found in answer.get("Contents", ())]
    common = answer.get("CommonPrefixes", ())
    return element(ROOT, head, *objects, *(element("CommonPrefixes", written(one, one)) for one in common))


KIND = OperationKind(
    name="ListObjectsV2",
    method="GET",
    names_key=False,
    query=_query,
    fields=frozenset({"request"}),
    proof=Proof("a list of objects", lambda response, said: said.root if said.root == ROOT else ""),
    asks=True,
    sdk=SdkCall("list_objects_v2", _sdk_arguments, _sdk_answer),
)
