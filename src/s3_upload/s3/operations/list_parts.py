"""ListParts: which parts of an upload the store has, a page at a time.

`Operation.part_number` is the part behind which a page begins; 0 for the first page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.operations.operation import Operation
from s3_upload.s3.sigv4 import encode_query
from s3_upload.s3.xml import element, identifier, read_page

MAX_LISTED_PARTS = 1_000
"""Of one page: a store gives no more (it says so at the head of its API's page)."""


class ListedParts(msgspec.Struct, frozen=True):
    """What one page says: number -> ETag (as it came) of each part, and the number behind which the next
    page begins, None if there is none."""

    etags: dict[int, str]
    next_marker: int | None


def listed_parts(response: Response) -> ListedParts:
    """The parts in a ListParts response; what cannot be read of them is left out."""
    page = read_page(response)
    etags: dict[int, str] = {}
    number = etag = ""
    for name, text in page.elements:
        if name == "PartNumber":
            number = text.strip()
        elif name == "ETag":
            etag = text
        elif name == "Part":  # its end
            if number.isascii() and number.isdigit() and len(number) < 6:
                etags[int(number)] = identifier(etag)
            number = etag = ""
            if len(etags) == MAX_LISTED_PARTS:
                break
    more = page.text("IsTruncated").strip().lower() == "true" and etags
    return ListedParts(etags, max(etags) if more else None)


def _query(operation: Operation) -> str:
    upload = f"uploadId={encode_query(operation.upload_id)}"
    marker = operation.part_number
    return f"part-number-marker={marker}&{upload}" if marker else upload


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    return {"UploadId": operation.upload_id, "PartNumberMarker": operation.part_number}


def _sdk_answer(answer: Mapping[str, Any]) -> bytes:
    """One page, in the words that `listed_parts` reads."""
    parts = b"".join(
        element("Part", {"PartNumber": str(part["PartNumber"]), "ETag": part.get("ETag", "")})
        for part in answer.get("Parts", ())
    )
    more = element("IsTruncated", {}, str(bool(answer.get("IsTruncated"))).lower())
    return b"<ListPartsResult>%s%s</ListPartsResult>" % (more, parts)


KIND = OperationKind(
    name="ListParts",
    method="GET",
    query=_query,
    fields=frozenset({"customer key", "request"}),
    proof=Proof("a list of parts", lambda response, said: said.root),
    asks=True,
    sdk=SdkCall("list_parts", _sdk_arguments, _sdk_answer),
)
