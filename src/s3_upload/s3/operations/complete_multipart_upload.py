"""CompleteMultipartUpload: makes an object of the parts that its body names.

It may answer 200, then white space for minutes, then an `<Error>`: what it says in its body decides.  Sent
twice, the second finds no upload.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from s3_upload.http import Response
from s3_upload.s3.operations.kind import OperationKind, Proof, SdkCall, Twice
from s3_upload.s3.operations.operation import CompletedPart, Operation
from s3_upload.s3.sigv4 import encode_query
from s3_upload.s3.xml import XMLNS, Xml, element, identifier, read, written


def complete_body(parts: Iterable[CompletedPart], *, with_checksums: bool = True) -> bytes:
    """The XML body of the request; `parts` in ascending order of their numbers."""
    rows = "".join([_part_row(part, with_checksums=with_checksums) for part in parts])
    return f'<CompleteMultipartUpload xmlns="{XMLNS}">{rows}</CompleteMultipartUpload>'.encode()


def _part_row(part: CompletedPart, *, with_checksums: bool) -> str:
    checksum = ""
    if part.checksum is not None and with_checksums:
        tag = f"Checksum{part.checksum.algorithm}"
        checksum = f"<{tag}>{part.checksum.value}</{tag}>"
    etag = part.etag.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<Part><PartNumber>{part.number}</PartNumber><ETag>{etag}</ETag>{checksum}</Part>"


def completed_etag(response: Response, said: Xml | None = None) -> str:
    """The ETag in a CompleteMultipartUpload response, "" if there is none. `said`: its body, as read."""
    return identifier((read(response) if said is None else said).text("ETag")) or response.etag


def completed_checksum(response: Response, algorithm: str) -> str:
    """The checksum in a CompleteMultipartUpload response, "" if there is none."""
    return identifier(read(response).text(f"Checksum{algorithm}"))


def _sdk_arguments(operation: Operation) -> dict[str, Any]:
    parts = [{"PartNumber": part.number, "ETag": part.etag} for part in operation.parts]
    return {"UploadId": operation.upload_id, "MultipartUpload": {"Parts": parts}}


KIND = OperationKind(
    name="CompleteMultipartUpload",
    method="POST",
    query=lambda operation: f"uploadId={encode_query(operation.upload_id)}",
    headers={"content-type": "application/xml"},
    fields=frozenset({"condition", "customer key", "request"}),
    proof=Proof("an ETag", completed_etag),
    twice=Twice.DIFFERS,
    sdk=SdkCall(
        "complete_multipart_upload",
        _sdk_arguments,
        lambda answer: element("CompleteMultipartUploadResult", written(answer, ("ETag",))),
    ),
)
