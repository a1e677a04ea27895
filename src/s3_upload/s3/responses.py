"""Classifies what S3 answers. Pure: a response in, a `FailureKind` (or None for success) out.

S3's errors are an HTTP status and an XML body `<Error><Code>…</Code><Message>…</Message>…</Error>`
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).  The code decides where there
is one that we know, else the status.  Parsing is by search in bounded text: an error body may be
truncated, wrong or hostile and must still give a code, a message or nothing, never an exception.
"""

from __future__ import annotations

import html
import re

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, CREATE_MULTIPART_UPLOAD, UPLOAD_PART

MAX_MESSAGE_CHARS = 300
_TAG = r"<{0}>\s*(.{{0,2000}}?)\s*</{0}>"
_CODE = re.compile(_TAG.format("Code"), re.DOTALL)
_MESSAGE = re.compile(_TAG.format("Message"), re.DOTALL)
_REQUEST_ID = re.compile(_TAG.format("RequestId"), re.DOTALL)
_UPLOAD_ID = re.compile(_TAG.format("UploadId"), re.DOTALL)
_ETAG = re.compile(_TAG.format("ETag"), re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

# https://github.com/boto/botocore/blob/develop/botocore/retries/standard.py lists these codes.
_THROTTLING = (
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete",
    "EC2ThrottledException", "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Busy",
)  # fmt: skip

KIND_OF_CODE: dict[str, FailureKind] = {
    **dict.fromkeys(_THROTTLING, FailureKind.THROTTLE),
    "InternalError": FailureKind.SERVER,
    "RequestTimeout": FailureKind.REQUEST_TIMEOUT,
    "IncompleteBody": FailureKind.INCOMPLETE_BODY,
    "BadDigest": FailureKind.DIGEST,
    "XAmzContentChecksumMismatch": FailureKind.DIGEST,
    "XAmzContentSHA256Mismatch": FailureKind.DIGEST,
    "ConditionalRequestConflict": FailureKind.CONFLICT,
    "OperationAborted": FailureKind.CONFLICT,
    "RequestTimeTooSkewed": FailureKind.CLOCK,
    "RequestExpired": FailureKind.CLOCK,
    "ExpiredToken": FailureKind.EXPIRED_TOKEN,
    "TokenRefreshRequired": FailureKind.EXPIRED_TOKEN,
    "PermanentRedirect": FailureKind.REGION,
    "TemporaryRedirect": FailureKind.REGION,
    "AuthorizationHeaderMalformed": FailureKind.REGION,
    "IllegalLocationConstraintException": FailureKind.REGION,
    "InvalidAccessKeyId": FailureKind.CREDENTIALS,
    "SignatureDoesNotMatch": FailureKind.CREDENTIALS,
    "InvalidToken": FailureKind.CREDENTIALS,
    "AccountProblem": FailureKind.CREDENTIALS,
    "AccessDenied": FailureKind.ACCESS_DENIED,
    "NoSuchBucket": FailureKind.NO_SUCH_BUCKET,
    "PreconditionFailed": FailureKind.EXISTS,
    "EntityTooLarge": FailureKind.TOO_LARGE,
}

KIND_OF_STATUS: dict[int, FailureKind] = {
    301: FailureKind.REGION, 302: FailureKind.REGION, 307: FailureKind.REGION,
    403: FailureKind.ACCESS_DENIED, 408: FailureKind.REQUEST_TIMEOUT, 409: FailureKind.CONFLICT,
    412: FailureKind.EXISTS, 413: FailureKind.TOO_LARGE, 429: FailureKind.THROTTLE, 499: FailureKind.SERVER,
    503: FailureKind.THROTTLE,
}  # fmt: skip


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed, as the store put it. `message` is one bounded line of text."""

    kind: FailureKind
    status: int = 0
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after_s: float | None = None


def classify(operation: str, response: Response) -> Failure | None:
    """None if `response` says that `operation` succeeded, else the failure."""
    if response.status == 200 and operation not in _NEEDS:
        return None
    if 200 <= response.status < 300:
        return _missing(operation, response)
    text = response.body.decode("utf-8", "replace")
    code = _find(_CODE, text)
    kind = KIND_OF_CODE.get(code) or KIND_OF_STATUS.get(response.status)
    if kind is None:
        kind = FailureKind.SERVER if response.status >= 500 else FailureKind.REJECTED
    return Failure(
        kind=kind,
        status=response.status,
        code=code,
        message=_find(_MESSAGE, text),
        request_id=response.request_id or _find(_REQUEST_ID, text),
        retry_after_s=_retry_after_s(response),
    )


def upload_id(response: Response) -> str:
    """The upload ID in a CreateMultipartUpload response, "" if there is none."""
    return _find(_UPLOAD_ID, response.body.decode("utf-8", "replace"))


def completed_etag(response: Response) -> str:
    """The ETag in a CompleteMultipartUpload response, "" if there is none."""
    return _find(_ETAG, response.body.decode("utf-8", "replace")) or response.etag


# Operations whose 200 is a success only if it carries what the next step needs.
_NEEDS = {
    CREATE_MULTIPART_UPLOAD: ("an upload ID", upload_id),
    UPLOAD_PART: ("an ETag", lambda response: response.etag),
    COMPLETE_MULTIPART_UPLOAD: ("an ETag", completed_etag),
}


def _missing(operation: str, response: Response) -> Failure | None:
    """Complete may answer 200 and an `<Error>` after minutes of keep-alive white space."""
    if operation not in _NEEDS:
        return None
    what, find = _NEEDS[operation]
    text = response.body.decode("utf-8", "replace")
    code = _find(_CODE, text) if "<Error" in text else ""
    if not code and find(response):
        return None
    return Failure(
        kind=KIND_OF_CODE.get(code, FailureKind.SERVER),
        status=response.status,
        code=code,
        message=_find(_MESSAGE, text) or f"{operation}: {response.status} without {what}",
        request_id=response.request_id,
        retry_after_s=_retry_after_s(response),
    )


def _find(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None:
        return ""
    return _CONTROL.sub(" ", html.unescape(match.group(1)))[:MAX_MESSAGE_CHARS]


def _retry_after_s(response: Response) -> float | None:
    """Retry-After in seconds (RFC 9110 §10.2.3; its date form is not used by S3), or
    x-amz-retry-after in milliseconds."""
    headers = response.headers
    if "x-amz-retry-after" in headers:
        return _number(headers["x-amz-retry-after"], 1e-3)
    return _number(headers["retry-after"], 1.0) if "retry-after" in headers else None


def _number(text: str, unit: float) -> float | None:
    return int(text) * unit if text.isascii() and text.isdigit() and len(text) < 10 else None
