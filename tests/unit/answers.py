"""Answers of a store, and how they are classified."""

from __future__ import annotations

from s3_upload.http import Response
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
)
from s3_upload.s3.responses import (
    Failure,
    classify,
)

OPERATIONS = [
    PUT_OBJECT,
    CREATE_MULTIPART_UPLOAD,
    UPLOAD_PART,
    COMPLETE_MULTIPART_UPLOAD,
    ABORT_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
]


def error_body(code: str, message: str = "Why.", request_id: str = "") -> bytes:
    extra = f"<RequestId>{request_id}</RequestId>" if request_id else ""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{head}<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>".encode()


def failure(operation: str, response: Response) -> Failure:
    found = classify(operation, response)
    assert found is not None
    return found


def bad(body: bytes, status: int = 400, **headers: str) -> Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure(PUT_OBJECT, Response(status, named, body))
