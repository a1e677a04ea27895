"""Classifies what S3 answers. Pure: a response in, a `FailureKind` (or None for success) out.

S3's errors are an HTTP status and an XML body `<Error><Code>…</Code><Message>…</Message>…</Error>`
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).  The code decides where there
is one that we know, else the status.  A body may be truncated, wrong or hostile and must still give a
code, a message or nothing, never an exception: `xml.py` reads it.
"""

from __future__ import annotations

import re

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.dates import date_s
from s3_upload.s3.operations import BEGINS_OBJECT, BODILESS, CARRIES_DATA, MAKES_OBJECT, OPERATIONS
from s3_upload.s3.xml import Xml, identifier, plain_body, read

MAX_MESSAGE_CHARS = 300
_SORT_CHARS = 60
_LOOKED_AT_BYTES = 4096
"""Of a body that is no XML."""

_CODES: dict[FailureKind, tuple[str, ...]] = {
    # https://github.com/boto/botocore/blob/develop/botocore/retries/standard.py lists these codes.
    FailureKind.THROTTLE: (
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "RequestThrottledException", "TooManyRequestsException", "ProvisionedThroughputExceededException",
        "TransactionInProgressException", "RequestLimitExceeded", "BandwidthLimitExceeded",
        "LimitExceededException", "PriorRequestNotComplete", "EC2ThrottledException", "SlowDown",
        "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Busy", "KMS.ThrottlingException",
    ),
    FailureKind.SERVER: ("InternalError", "XMinioServerNotInitialized"),  # 503: it has just been started
    FailureKind.REQUEST_TIMEOUT: ("RequestTimeout",),
    FailureKind.INCOMPLETE_BODY: ("IncompleteBody",),
    FailureKind.DIGEST: ("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"),
    FailureKind.CONFLICT: ("ConditionalRequestConflict", "OperationAborted"),
    FailureKind.CLOCK: ("RequestTimeTooSkewed", "RequestExpired"),
    FailureKind.EXPIRED_TOKEN: ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
    FailureKind.REGION: (
        "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    ),
    FailureKind.CREDENTIALS: (
        "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AccountProblem", "NotSignedUp",
    ),
    FailureKind.ACCESS_DENIED: ("AccessDenied",),
    FailureKind.NO_SUCH_BUCKET: ("NoSuchBucket", "InvalidBucketName", "NoSuchAccessPoint"),
    # Ceph's, and MinIO's.
    FailureKind.STORE_FULL: ("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"),
    FailureKind.EXISTS: ("PreconditionFailed",),
    FailureKind.TOO_LARGE: ("EntityTooLarge",),
    FailureKind.NO_SUCH_UPLOAD: ("NoSuchUpload",),
    FailureKind.INVALID_PART: ("InvalidPart",),
    FailureKind.OUR_BUG: ("InvalidPartOrder", "EntityTooSmall"),
    FailureKind.UNSUPPORTED: ("NotImplemented",),
}  # fmt: skip
KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}

KIND_OF_STATUS: dict[int, FailureKind] = {
    301: FailureKind.REGION, 302: FailureKind.REGION, 303: FailureKind.REGION, 307: FailureKind.REGION,
    308: FailureKind.REGION,
    401: FailureKind.CREDENTIALS, 403: FailureKind.ACCESS_DENIED, 407: FailureKind.PROXY,
    408: FailureKind.REQUEST_TIMEOUT, 412: FailureKind.EXISTS, 413: FailureKind.TOO_LARGE,
    429: FailureKind.THROTTLE, 499: FailureKind.SERVER, 501: FailureKind.UNSUPPORTED,
    503: FailureKind.THROTTLE, 507: FailureKind.STORE_FULL,
}  # fmt: skip


# Patterns are compiled where they are needed: most runs meet none of what they are for.

# How stores refuse a header of a checksum that they do not know, with 400 InvalidArgument or InvalidRequest.
_WITH_CHECKSUM = CARRIES_DATA | BEGINS_OBJECT
_SENDING = _WITH_CHECKSUM | MAKES_OBJECT
_NO_CHECKSUMS = (
    r"(?i)(?=.*(?:checksum|trailer)).*(?:unsupported|not (?:be )?(?:supported|implemented|allowed)|unknown"
    r"|unrecognized|unexpected)"
)

# How stores say that they want one, with 400: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put
# Object requests with Object Lock parameters", "Missing required header for this request: Content-MD5".
_WANTS_MD5 = r"(?i)content-?md5\b.*\b(?:required|missing)|(?:required|missing).*content-?md5"

# Cloudflare R2's "Credential access key has length 20, should be 32", with 400 InvalidArgument.
_KEY_LENGTH = r"(?i)access key has length"

# What Go's servers, nginx and Apache answer to plain HTTP on a port where they speak TLS.
_TLS_PORT = (
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
)


_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{0,9})?"
_REGION = r"[A-Za-z0-9._-]{1,64}"


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed, as the store put it. `message` is one bounded line of text.

    `region`: where the store says that the bucket is, "" if it says nothing.  `location`: where a redirect
    leads (as it came: to be shown without its query, which may be secret; "//" and a host, where the store
    names no more).  `date_s`: the store's clock, in
    seconds since the epoch, None if it does not tell.
    """

    kind: FailureKind
    status: int = 0
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after_s: float | None = None
    region: str = ""
    location: str = ""
    date_s: float | None = None


def classify(operation: str, response: Response) -> Failure | None:
    """None if `response` says that `operation` succeeded, else the failure."""
    if (
        response.status == 200
        and operation in CARRIES_DATA
        and response.headers.get("etag")
        and not response.body
        and not response.early
    ):
        return None
    if 200 <= response.status < 300:
        return _doubted(operation, response)
    said = read(response)
    code = _line(said.text("Code"))
    if response.status == 400 and not code and _is_tls_port(response):
        message = "this port speaks TLS; use https:// in the endpoint URL"
        return Failure(kind=FailureKind.TLS_MISMATCH, status=400, message=message)
    kind = KIND_OF_CODE.get(code) or KIND_OF_STATUS.get(response.status)
    message = _line(said.text("Message"))
    if kind is None:
        kind = _unknown(operation, response, said, code, message)
    elif kind is FailureKind.UNSUPPORTED and operation not in _SENDING:
        kind = FailureKind.REJECTED
    elif kind is FailureKind.REGION and _location_of(response, said) and not _region_of(response, said):
        kind = FailureKind.MOVED
    header = _line(said.text("Header"))
    return _failure(kind, response, said, code, f"{message} ({header})" if header else message)


def _unknown(operation: str, response: Response, said: Xml, code: str, message: str) -> FailureKind:
    """The kind of an error that neither its code nor its status tells."""
    kind = FailureKind.SERVER if response.status >= 500 else FailureKind.REJECTED
    if response.status == 400:
        whole = f"{code} {message}"
        own = (kind for words, kind in OPERATIONS[operation].refusals if re.search(words, whole))
        if operation in _WITH_CHECKSUM and re.search(_NO_CHECKSUMS, message):
            kind = FailureKind.UNSUPPORTED
        elif (means := next(own, None)) is not None:
            kind = means
        elif operation in CARRIES_DATA and re.search(_WANTS_MD5, whole):
            kind = FailureKind.NEEDS_MD5
        elif re.search(_KEY_LENGTH, message):
            kind = FailureKind.CREDENTIALS
    speaks_s3 = said.root == "Error" or response.request_id or operation in BODILESS
    if response.status in (404, 405) and not speaks_s3:
        return FailureKind.NOT_S3
    is_bare = response.status == 400 and kind is FailureKind.REJECTED
    return FailureKind.BAD_REQUEST if is_bare and not speaks_s3 else kind


def _doubted(operation: str, response: Response) -> Failure | None:
    """Looks closely at a success that is not the usual one; None if it is a success.

    CompleteMultipartUpload may answer 200 and an `<Error>` after minutes of keep-alive white space.
    """
    proof = OPERATIONS[operation].proof
    if proof is None:
        return None
    said = read(response)
    if said.root == "Error":  # even one cut short before its code: an ETag header proves nothing then
        code = _line(said.text("Code"))
        message = _line(said.text("Message")) or f"{operation}: {response.status} with an error"
        return _failure(KIND_OF_CODE.get(code, FailureKind.SERVER), response, said, code, message)
    lacks = "" if proof.find(response, said) else f"without {proof.what}"
    if response.early:
        lacks = "before all was sent"
    elif not lacks and (said.root.lower() == "html" or (not said.root and plain_body(response))):
        lacks = "with a body that is not S3's"
    if not lacks:
        return None
    sort = _line(response.headers.get("content-type", ""))[:_SORT_CHARS]
    message = f"{operation}: {response.status} {lacks}{f' ({sort})' if sort else ''}"
    return _failure(FailureKind.UNPROVEN, response, said, "", message)


def _failure(kind: FailureKind, response: Response, said: Xml, code: str, message: str) -> Failure:
    return Failure(
        kind=kind,
        status=response.status,
        code=code,
        message=message,
        request_id=_line(response.request_id) or _line(said.text("RequestId")),
        retry_after_s=_retry_after_s(response),
        region=_region_of(response, said),
        location=_location_of(response, said),
        date_s=date_s(response.headers.get("date", "")),
    )


def _is_tls_port(response: Response) -> bool:
    text = plain_body(response)[:_LOOKED_AT_BYTES].decode("utf-8", "replace")
    return any(words in text for words in _TLS_PORT)


def _line(text: str) -> str:
    """One bounded line of printable text: no control characters, no bidirectional overrides."""
    text = text[: 4 * MAX_MESSAGE_CHARS]
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_MESSAGE_CHARS]


def _retry_after_s(response: Response) -> float | None:
    """x-amz-retry-after in milliseconds, or Retry-After: seconds, as some give them with a fraction, or a
    date (RFC 9110 §10.2.3), which counts from the answer's own; None for anything else."""
    headers = response.headers
    if "x-amz-retry-after" in headers:
        milliseconds = _number(headers["x-amz-retry-after"])
        return None if milliseconds is None else milliseconds / 1e3
    text = headers.get("retry-after", "")
    if not text.endswith("GMT"):
        return _number(text)
    then_s, now_s = date_s(text), date_s(headers.get("date", ""))
    return None if then_s is None or now_s is None else max(then_s - now_s, 0.0)


def _region_of(response: Response, said: Xml) -> str:
    return _region(said.text("Region")) or _region(response.headers.get("x-amz-bucket-region", ""))


def _location_of(response: Response, said: Xml) -> str:
    """Of a redirect alone: a success may name one, too."""
    if not 300 <= response.status < 400:
        return ""
    endpoint = identifier(said.text("Endpoint"))
    return identifier(response.headers.get("location", "")) or (f"//{endpoint}" if endpoint else "")


def _region(text: str) -> str:
    """A region's name goes into a host name and a signature: what cannot be one is none."""
    text = text.strip()
    return text if re.fullmatch(_REGION, text) else ""


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text) else None
