"""What went wrong, in words: the errors that a user reads."""

from __future__ import annotations

from s3_upload.errors import FailureKind, RunError, UploadError
from s3_upload.http1.trace import Trace
from s3_upload.s3.hints import joined, likely_cause
from s3_upload.s3.responses import Failure
from s3_upload.transfer.client import Client
from s3_upload.transfer.tries import Request

_MEANING = {
    FailureKind.DIGEST: "corrupted on its way: {}",
    FailureKind.MOVED: "{}, with a redirect elsewhere",
    FailureKind.NOT_S3: "{}, which are no words of S3",
    FailureKind.UNPROVEN: "{}, which is no proof of success",
    FailureKind.OUR_BUG: "{}; this is a bug of s3-upload, please report it",
}


def upload_error(request: Request, failure: Failure) -> UploadError:
    """What becomes of an object whose request is given up."""
    return UploadError(
        _MEANING.get(failure.kind, "{}").format(_what_happened(failure)),
        key=request.operation.key,
        kind=failure.kind,
        attempts=request.retries + 1,
        status=failure.status,
        code=failure.code,
        request_id=failure.request_id,
    )


def run_error(
    client: Client, request: Request, failure: Failure, trace: Trace, in_a_row: int = 0
) -> RunError:
    """What becomes of a run that a failure of one request stops, or of `in_a_row` objects."""
    return RunError(_explain(client, request, failure, trace, in_a_row), failure.kind)


def _explain(client: Client, request: Request, failure: Failure, trace: Trace, in_a_row: int) -> str:
    where = f"{client.endpoint}: bucket {request.operation.bucket!r}: "
    many = f"{in_a_row} objects in a row were refused" if in_a_row > 1 else ""
    if failure.code == "NoSuchBucket":
        how = "--create-bucket; in Python: create_bucket"
        return joined(f"{where}no such bucket; create it ({how}) or correct its name", many)
    if failure.kind is FailureKind.CONNECT:
        tries = f"{request.retries + 1} attempts" if request.retries else "one attempt"
        return f"{client.endpoint} cannot be reached, after {tries}: {failure.message}"
    if not failure.status:  # nothing came back from the store: the message says where it failed
        return joined(failure.message, many)
    remark = client.remark(failure, trace) or likely_cause(failure)
    return joined(f"{where}{_what_happened(failure)}", remark, many)


def _what_happened(failure: Failure) -> str:
    """One line: what the store said, or what was seen."""
    if not failure.status or failure.kind is FailureKind.UNPROVEN:
        return failure.message
    code = f" {failure.code}" if failure.code else ""
    message = f": {failure.message}" if failure.message not in {"", failure.code} else ""
    who = "a proxy" if failure.kind is FailureKind.PROXY else "the store"
    return f"{who} answered {failure.status}{code}{message}"


def remarked(error: UploadError, remark: str) -> UploadError:
    """The same error, with more to say."""
    return UploadError(
        error.message + remark,
        key=error.key,
        kind=error.kind,
        attempts=error.attempts,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )
