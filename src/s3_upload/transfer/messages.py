"""What went wrong, in words: the errors that a user reads."""

from __future__ import annotations

from s3_upload.control.waiting.adaptive import TIMER_CONNECT
from s3_upload.errors import FailureKind, RunError, UploadError
from s3_upload.s3.hints import joined, likely_cause
from s3_upload.s3.responses import Failure
from s3_upload.transfer.attempt import Outcome
from s3_upload.transfer.client import Client
from s3_upload.transfer.tries import Request

_MEANING = {
    FailureKind.DIGEST: "corrupted on its way: {}",
    FailureKind.MOVED: "{}, with a redirect elsewhere",
    FailureKind.NOT_S3: "{}, which are no words of S3",
    FailureKind.UNPROVEN: "{}, which is no proof of success",
    FailureKind.OUR_BUG: "{}; this is a bug of s3-upload, please report it",
}
_LONGER_CONNECT = "connect_timeout_s (--connect-timeout) says how long to wait"


def upload_error(request: Request, failure: Failure, timer: str) -> UploadError:
    """What becomes of an object whose request is given up. `timer`: what ended its attempt, "" for none."""
    return UploadError(
        _MEANING.get(failure.kind, "{}").format(_what_happened(failure, timer)),
        key=request.operation.key,
        kind=failure.kind,
        attempts=request.retries + 1,
        status=failure.status,
        code=failure.code,
        request_id=failure.request_id,
    )


def run_error(client: Client, request: Request, outcome: Outcome, in_a_row: int = 0) -> RunError:
    """What becomes of a run that a failure of one request stops, or of `in_a_row` objects."""
    failure = outcome.failure
    assert failure is not None
    return RunError(_explain(client, request, outcome, failure, in_a_row), failure.kind)


def _explain(client: Client, request: Request, outcome: Outcome, failure: Failure, in_a_row: int) -> str:
    where = f"{client.endpoint}: bucket {request.operation.bucket!r}: "
    many = f"{in_a_row} objects in a row were refused" if in_a_row > 1 else ""
    if failure.code == "NoSuchBucket":
        how = "--create-bucket; in Python: create_bucket"
        return joined(f"{where}no such bucket; create it ({how}) or correct its name", many)
    if failure.kind is FailureKind.CONNECT:
        tries = f"{request.retries + 1} attempts" if request.retries else "one attempt"
        what = _what_happened(failure, outcome.report.timer)
        return f"{client.endpoint} cannot be reached, after {tries}: {what}"
    if not failure.status:  # nothing came back from the store: the message says where it failed
        return joined(failure.message, many)
    remark = client.remark(failure, outcome.trace) or likely_cause(failure)
    return joined(f"{where}{_what_happened(failure)}", remark, many)


def _what_happened(failure: Failure, timer: str = "") -> str:
    """One line: what the store said, or what was seen."""
    # A way so long that no handshake is over in time would need a longer timer, and nothing else.
    if timer == TIMER_CONNECT:
        return joined(failure.message, _LONGER_CONNECT)
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
