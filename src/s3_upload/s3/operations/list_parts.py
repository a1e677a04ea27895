"""ListParts: which parts of an upload the store has, a page at a time.

`Operation.part_number` is the part behind which a page begins; 0 for the first page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall
from s3_upload.s3.operations.operation import Checksum, CompletedPart, Operation
from s3_upload.s3.sigv4 import encode_query
from s3_upload.s3.xml import element, identifier, read_page, written

MAX_LISTED_PARTS = 1_000
"""Of one page: a store gives no more (it says so at the head of its API's page)."""


_ABOUT_ALL = ("ChecksumAlgorithm", "ChecksumType")


class ListedParts(msgspec.Struct, frozen=True):
    """What one page says: the parts by their numbers, their ETags as they came, and the number behind which
    the next page begins, None if there is none.  `checksum_algorithm`, `checksum_type`: of the whole object,
    "" where the store does not say.  `gone`: the store knows no such upload."""

    parts: dict[int, CompletedPart]
    next_marker: int | None
    checksum_algorithm: str = ""
    checksum_type: str = ""
    gone: bool = False


def listed_parts(response: Response, behind: int = 0) -> ListedParts:
    """The parts in a ListParts response; what cannot be read of them is left out. `behind`: where the page
    was to begin; a next one that does not lie ahead of that is none."""
    page = read_page(response)
    parts: dict[int, CompletedPart] = {}
    said: dict[str, str] = {}
    checksum = None
    for name, text in page.elements:
        if name.startswith("Checksum") and name not in _ABOUT_ALL:
            checksum = Checksum(name.removeprefix("Checksum"), identifier(text))
        elif name == "Part":  # its end
            number = _count(said.get("PartNumber", ""))
            if number is not None and number < 10**5:
                size = _count(said.get("Size", ""))
                parts[number] = CompletedPart(number, identifier(said.get("ETag", "")), checksum, size or 0)
            said, checksum = {}, None
            if len(parts) == MAX_LISTED_PARTS:
                break
        else:
            said[name] = text
    last, more = max(parts, default=0), page.text("IsTruncated").strip().lower() == "true"
    return ListedParts(
        parts,
        last if more and last > behind else None,
        identifier(page.text("ChecksumAlgorithm")),
        identifier(page.text("ChecksumType")),
    )


def _count(text: str) -> int | None:
    """A number as stores write one; None for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


_CHECKSUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
_SDK_FIELDS = ("PartNumber", "ETag", "Size", *(f"Checksum{name}" for name in _CHECKSUMS))


def _query(operation: Operation) -> str:
    upload = f"uploadId={encode_query(operation.upload_id)}"
    marker = operation.part_number
    return f"part-number-marker={marker}&{upload}" if marker else upload


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    return {"UploadId": operation.upload_id, "PartNumberMarker": operation.part_number}


def _sdk_answer(answer: Mapping[str, Any]) -> bytes:
    """One page, in the words that `listed_parts` reads."""
    head = written(answer, ("IsTruncated", *_ABOUT_ALL))
    parts = (element("Part", written(part, _SDK_FIELDS)) for part in answer.get("Parts", ()))
    return element("ListPartsResult", head, *parts)


KIND = OperationKind(
    name="ListParts",
    method="GET",
    query=_query,
    fields=frozenset({"customer key", "request"}),
    proof=Proof("a list of parts", lambda response, said: said.root),
    asks=True,
    sdk=SdkCall("list_parts", _sdk_arguments, _sdk_answer),
)
