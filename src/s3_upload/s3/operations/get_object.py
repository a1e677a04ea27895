"""GetObject: bytes of an object, `Operation.span` of them: an answer is kept in memory, and has a bound."""

from __future__ import annotations

from s3_upload.s3.operations.kind import OperationKind, SdkCall
from s3_upload.s3.operations.operation import Operation


def range_of(operation: Operation) -> str:
    """As the Range header has it (RFC 9110 §14.1.2)."""
    offset, size = operation.span
    return f"bytes={offset}-{offset + size - 1}"


KIND = OperationKind(
    name="GetObject",
    method="GET",
    headers_of=lambda operation: {"range": range_of(operation)} if operation.span[1] else {},
    fields=frozenset({"customer key", "request"}),
    asks=True,
    sdk=SdkCall("get_object", lambda operation: {"Range": range_of(operation)} if operation.span[1] else {}),
)
