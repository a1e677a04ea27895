"""ListMultipartUploads: which uploads in parts a bucket has that are neither completed nor aborted.

`Page.prefix` is what their keys begin with, in a directory bucket up to its last "/"; a page behind another
begins after the key `Page.after` and the upload ID `Page.token`.  Keys come in their order, percent-encoded
as in ListObjectsV2; Ceph encodes the keys of uploads alone, and does not say that it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from s3_upload.http import Response
from s3_upload.s3.bucket_kinds import is_directory
from s3_upload.s3.dates import iso_time_s
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.operations.list_objects_v2 import decoded
from s3_upload.s3.operations.operation import Operation, Page
from s3_upload.s3.sigv4 import encode_query
from s3_upload.s3.xml import element, identifier, read_page, written

ROOT = "ListMultipartUploadsResult"
_SDK_FIELDS = ("Key", "UploadId", "ChecksumAlgorithm", "ChecksumType", "Initiated")


class ListedUpload(msgspec.Struct, frozen=True, gc=False):
    """An unfinished upload. `initiated_s`: when it was begun, by the store's clock, in seconds since the
    epoch; None where the store does not say.  The checksum's names are "" where it says nothing of any.
    `decoded_key`: what its key is if the store has encoded it and does not say so, "" where it has not."""

    key: str
    upload_id: str
    initiated_s: float | None = None
    checksum_algorithm: str = ""
    checksum_type: str = ""
    decoded_key: str = ""


class ListedUploads(msgspec.Struct, frozen=True):
    """One page: uploads in the store's order, and the page that comes next, None if there is none."""

    uploads: list[ListedUpload]
    next_page: Page | None = None


def listed_uploads(response: Response, asked: Page | None = None) -> ListedUploads:
    """The uploads in an answer; what cannot be read of them is left out. `asked`: the page that it is."""
    page = read_page(response)
    is_encoded = page.text("EncodingType").strip() == "url"
    uploads: list[ListedUpload] = []
    said: dict[str, str] = {}
    for name, text in page.elements:
        if name != "Upload":
            said[name] = text
            continue
        key = _key(said.get("Key", ""), is_encoded=is_encoded)
        upload_id = identifier(said.get("UploadId", ""))
        if key and upload_id:
            algorithm, kind = said.get("ChecksumAlgorithm", ""), said.get("ChecksumType", "")
            initiated_s = iso_time_s(said.get("Initiated", ""))
            of_checksum = identifier(algorithm), identifier(kind)
            maybe = _key(key, is_encoded="%" in key and not is_encoded)
            other = "" if maybe == key else maybe
            uploads.append(ListedUpload(key, upload_id, initiated_s, *of_checksum, other))
        said = {}
    after = _key(page.text("NextKeyMarker"), is_encoded=is_encoded)
    token = identifier(page.text("NextUploadIdMarker"))
    more = page.text("IsTruncated").strip().lower() == "true" and after
    following = msgspec.structs.replace(asked or Page(), after=after, token=token) if more else None
    return ListedUploads(uploads, None if following == asked else following)


def _key(text: str, *, is_encoded: bool) -> str:
    """ "" where it cannot be read."""
    try:
        return decoded(text) if is_encoded else text
    except UnicodeDecodeError:
        return ""


def _asked(operation: Operation) -> Page:
    """The page, with a prefix that directory buckets take: one that ends in "/", or none."""
    page = operation.page or Page()
    if not is_directory(operation.bucket):
        return page
    return msgspec.structs.replace(page, prefix=page.prefix[: page.prefix.rfind("/") + 1])


def _query(operation: Operation) -> str:
    """Sorted by name, as signatures want it."""
    page = _asked(operation)
    given = [
        ("encoding-type", "url"),
        ("key-marker", page.after),
        ("max-uploads", str(page.max_keys)),
        ("prefix", page.prefix),
        ("upload-id-marker", page.token),
    ]
    said = [f"{name}={encode_query(value)}" for name, value in given if value]
    return "&".join(sorted([*said, "uploads="]))


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    page = _asked(operation)
    texts = {"Prefix": page.prefix, "KeyMarker": page.after, "UploadIdMarker": page.token}
    said = {name: text for name, text in texts.items() if text}
    return {"EncodingType": "url", "MaxUploads": page.max_keys, **said}


def _sdk_answer(answer: Mapping[str, Any]) -> bytes:
    """One page, in the words that `listed_uploads` reads."""
    head = written(answer, ("EncodingType", "NextKeyMarker", "NextUploadIdMarker", "IsTruncated"))
    uploads = (element("Upload", written(found, _SDK_FIELDS)) for found in answer.get("Uploads", ()))
    return element(ROOT, head, *uploads)


KIND = OperationKind(
    name="ListMultipartUploads",
    method="GET",
    names_key=False,
    query=_query,
    fields=frozenset({"request"}),
    proof=Proof("a list of uploads", lambda response, said: said.root if said.root == ROOT else ""),
    asks=True,
    sdk=SdkCall("list_multipart_uploads", _sdk_arguments, _sdk_answer),
)
