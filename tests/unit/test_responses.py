"""What S3 answers and how it is classified."""

from __future__ import annotations

import pytest

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    PUT_OBJECT,
    UPLOAD_PART,
)
from s3_upload.s3.responses import (
    KIND_OF_CODE,
    KIND_OF_STATUS,
    Failure,
    classify,
)
from tests.unit.answers import OPERATIONS, bad, error_body, failure

CODES = {
    "server": ["InternalError", "XMinioServerNotInitialized"],
    "request-timeout": ["RequestTimeout"],
    "incomplete-body": ["IncompleteBody"],
    "digest": ["BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"],
    "conflict": ["ConditionalRequestConflict", "OperationAborted"],
    "throttle": [
        "BandwidthLimitExceeded", "Busy", "EC2ThrottledException", "KMS.ThrottlingException",
        "LimitExceededException", "PriorRequestNotComplete", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "ServiceUnavailable",
        "SlowDown", "SlowDownRead", "SlowDownWrite", "ThrottledException", "Throttling",
        "ThrottlingException",
        "TooManyRequestsException", "TransactionInProgressException",
    ],
    "region": [
        "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect",
        "TemporaryRedirect",
    ],
    "clock": ["RequestExpired", "RequestTimeTooSkewed"],
    "expired-token": ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
    "credentials": [
        "AccountProblem", "InvalidAccessKeyId", "InvalidToken", "NotSignedUp", "SignatureDoesNotMatch",
    ],
    "access-denied": ["AccessDenied"],
    "no-such-bucket": ["InvalidBucketName", "NoSuchAccessPoint", "NoSuchBucket"],
    "store-full": ["QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"],
    "exists": ["PreconditionFailed"],
    "too-large": ["EntityTooLarge"],
    "no-such-upload": ["NoSuchUpload"],
    "invalid-part": ["InvalidPart"],
    "our-bug": ["EntityTooSmall", "InvalidPartOrder"],
    "unsupported": ["NotImplemented"],
}  # fmt: skip
KNOWN = [(code, kind) for kind, codes in CODES.items() for code in codes]

STATUSES = {
    301: "region", 302: "region", 303: "region", 307: "region", 308: "region", 304: "rejected",
    400: "rejected", 401: "credentials", 403: "access-denied",
    404: "not-s3", 405: "not-s3", 407: "proxy", 408: "request-timeout", 409: "rejected",
    411: "rejected", 412: "exists", 413: "too-large", 416: "rejected", 429: "throttle", 499: "server",
    500: "server", 501: "unsupported", 502: "server", 503: "throttle", 504: "server", 507: "store-full",
    509: "server", 520: "server", 599: "server",
}  # fmt: skip

FILE_CODES = [
    "InvalidArgument", "InvalidBucketState", "InvalidDigest", "InvalidRequest", "InvalidURI",
    "KeyTooLongError", "MalformedXML", "MetadataTooLarge",
]  # fmt: skip


# --- codes and statuses


@pytest.mark.parametrize(("code", "kind"), KNOWN)
def test_a_known_code_decides_whatever_the_status(code: str, kind: str) -> None:
    for status in (400, 403, 500, 503):
        found = bad(error_body(code), status)
        assert (found.kind.value, found.code, found.status) == (kind, code, status)


def test_the_table_above_has_all_codes_and_statuses() -> None:
    assert {code for code, _ in KNOWN} == set(KIND_OF_CODE)
    assert set(KIND_OF_STATUS) <= set(STATUSES)


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", error_body("NeverHeardOf")], ids=["", "html", "odd"]
)
def test_else_the_status_decides(status: int, kind: str, body: bytes) -> None:
    if kind == "not-s3" and body.startswith(b"<?xml"):
        kind = "rejected"
    if status == 400 and not body.startswith(b"<?xml"):
        kind = "bad-request"
    assert bad(body, status).kind.value == kind


@pytest.mark.parametrize("status", [404, 405])
def test_what_speaks_s3_is_s3(status: int) -> None:
    assert bad(b"", status, x_amz_request_id="R").kind is FailureKind.REJECTED
    assert failure(HEAD_OBJECT, Response(status, {})).kind is FailureKind.REJECTED
    assert bad(b"<s3:Error>", status).kind is FailureKind.REJECTED
    assert bad(b'{"message": "no Route matched with those values"}', status).kind is FailureKind.NOT_S3


def test_an_access_key_of_another_kind_is_no_fault_of_the_object() -> None:
    message = "Credential access key has length 20, should be 32"
    assert bad(error_body("InvalidArgument", message)).kind is FailureKind.CREDENTIALS


@pytest.mark.parametrize("code", FILE_CODES)
def test_what_is_wrong_with_one_object_fails_that_object(code: str) -> None:
    assert bad(error_body(code)).kind is FailureKind.REJECTED


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_is_an_error_for_every_operation(operation: str) -> None:
    found = failure(operation, Response(503, {"etag": '"e"'}, error_body("SlowDown")))
    assert found.kind is FailureKind.THROTTLE


PART_NUMBERS = [
    ("InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive"),
    ("InvalidRequest", "The partNumber 1001 exceeds the limit"),
    ("InvalidPartNumber", ""),
    ("TooManyParts", "Why."),
]


@pytest.mark.parametrize(("code", "message"), PART_NUMBERS)
def test_a_part_that_is_refused_for_its_number_is_one_too_many(code: str, message: str) -> None:
    body = error_body(code, message)
    assert failure(UPLOAD_PART, Response(400, {}, body)).kind is FailureKind.TOO_MANY_PARTS
    assert failure(PUT_OBJECT, Response(400, {}, body)).kind is FailureKind.REJECTED
    assert failure(UPLOAD_PART, Response(500, {}, body)).kind is FailureKind.SERVER


def test_all_is_handed_on() -> None:
    assert bad(error_body("NoSuchBucket", "It is gone.", "BODY"), 404) == Failure(
        kind=FailureKind.NO_SUCH_BUCKET,
        status=404,
        code="NoSuchBucket",
        message="It is gone.",
        request_id="BODY",
    )
    headers = {"x_amz_request_id": "HEADER", "retry_after": "7"}
    found = bad(error_body("SlowDown", request_id="BODY"), 503, **headers)
    assert (found.request_id, found.retry_after_s) == ("HEADER", 7.0)


# --- plain HTTP to a port that speaks TLS

TLS_PORTS = {
    "Go": b"Client sent an HTTP request to an HTTPS server.\n",
    "nginx": b"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n"
    b"<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n</body>\r\n</html>\r\n",
    "Apache": b"<p>Your browser sent a request that this server could not understand.<br />\n"
    b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />\n",
}


@pytest.mark.parametrize("server", TLS_PORTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_plain_http_to_a_tls_port(operation: str, server: str) -> None:
    found = failure(operation, Response(400, {}, TLS_PORTS[server]))
    assert found == Failure(
        kind=FailureKind.TLS_MISMATCH,
        status=400,
        message="this port speaks TLS; use https:// in the endpoint URL",
    )


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, TLS_PORTS["Go"]),
        (400, error_body("InvalidArgument", TLS_PORTS["Go"].decode())),
        (400, b"Client sent"),
    ],
    ids=["500", "S3 quotes it", "other"],
)
def test_what_only_looks_like_a_tls_port(status: int, body: bytes) -> None:
    assert bad(body, status).kind is not FailureKind.TLS_MISMATCH


# --- Retry-After

DATES = ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:30 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "120"}, 120.0),
        ({"x_amz_retry_after": "1500"}, 1.5),
        ({"x_amz_retry_after": "250", "retry_after": "9"}, 0.25),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "999999999"}, 999_999_999.0),
        ({"retry_after": DATES[1], "date": DATES[0]}, 90.0),
        ({"retry_after": DATES[0], "date": DATES[0]}, 0.0),
        ({"retry_after": DATES[0], "date": DATES[1]}, 0.0),
        ({"retry_after": DATES[1]}, None),
        ({"retry_after": DATES[1], "date": "soon"}, None),
        ({"retry_after": "soon", "date": DATES[0]}, None),
        ({"retry_after": "tomorrow, 07:28:00 GMT", "date": DATES[0]}, None),
        ({"x_amz_retry_after": DATES[1], "date": DATES[0]}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "-0.5"}, None),
        ({"retry_after": "."}, None),
        ({"retry_after": ".5"}, None),
        ({"retry_after": "1.5.2"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1_000"}, None),
        ({"retry_after": "1e9"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "٣"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "9" * 5_000}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert bad(error_body("SlowDown"), 503, **headers).retry_after_s == pytest.approx(seconds)


def test_retry_after_counts_on_a_late_error_too() -> None:
    response = Response(200, {"retry-after": "3"}, error_body("SlowDown"))
    assert failure(COMPLETE_MULTIPART_UPLOAD, response).retry_after_s == 3.0


# --- what a correction needs


def region_body(region: str) -> bytes:
    head = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>M</Message>"
    return f"{head}<Region>{region}</Region></Error>".encode()


@pytest.mark.parametrize(
    ("body", "header", "region"),
    [
        (b"", None, ""),
        (b"", "eu-west-1", "eu-west-1"),
        (region_body("eu-west-1"), None, "eu-west-1"),
        (region_body("eu-west-1"), "us-east-2", "eu-west-1"),
        (region_body(" eu-west-1\n"), None, "eu-west-1"),
        (region_body(""), "us-east-2", "us-east-2"),
        (region_body("a b"), "us-east-2", "us-east-2"),
        (region_body("fr-par_1.x"), None, "fr-par_1.x"),
        (region_body("evil.example/x"), None, ""),
        (region_body("evil.example#"), None, ""),
        (region_body("a@b:80"), None, ""),
        (region_body("a&#13;&#10;x-evil: 1"), None, ""),
        (region_body("\u0661"), None, ""),
        (region_body("x" * 65), None, ""),
        (region_body("x" * 1_000_000), None, ""),
        (b"<Region>cut", None, ""),
        (b"", "eu-west-1\x00", ""),
        (b"", "", ""),
    ],
)
def test_the_region_that_an_answer_names(body: bytes, header: str | None, region: str) -> None:
    headers = {} if header is None else {"x_amz_bucket_region": header}
    assert bad(body, 301, **headers).region == region


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "location"),
    [
        (307, b"", {"location": "http://h/b/k"}, "moved", "http://h/b/k"),
        (308, b"<html>", {"location": "/login"}, "moved", "/login"),
        (301, error_body("PermanentRedirect"), {"location": "http://h/b/k"}, "moved", "http://h/b/k"),
        (301, b"<Error><Code>PermanentRedirect</Code><Endpoint>h</Endpoint></Error>", {}, "moved", "//h"),
        (301, b"", {"location": "http://h/", "x_amz_bucket_region": "r"}, "region", "http://h/"),
        (301, b"", {}, "region", ""),
        (301, b"", {"location": "x" * 5_000}, "region", ""),
        (301, b"", {"location": "a\x1bb"}, "region", ""),
        (400, error_body("AuthorizationHeaderMalformed"), {"location": "http://h/"}, "region", ""),
        (404, error_body("NoSuchBucket"), {"location": "http://h/"}, "no-such-bucket", ""),
    ],
)
def test_the_place_that_a_redirect_names(
    status: int, body: bytes, headers: dict[str, str], kind: str, location: str
) -> None:
    found = bad(body, status, **headers)
    assert (found.kind.value, found.location) == (kind, location)


@pytest.mark.parametrize(
    ("header", "date_s"),
    [
        ("Sun, 06 Nov 2022 08:49:37 GMT", 1_667_724_577.0),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199.0),
        ("Thu, 29 Feb 2023 23:59:59 GMT", None),
        ("Sun, 06 Nov 2022 08:49:61 GMT", None),
        ("Sun, 06 Nov 2022 24:00:00 GMT", None),
        ("Sun, 00 Nov 2022 08:49:37 GMT", None),
        ("Sun, 06 Nix 2022 08:49:37 GMT", None),
        ("Sun, 06 Nov 2022 08:49:37 CET", None),
        ("Sun, 06 Nov 2022 08:49:37 +0100", None),
        ("Sunday, 06-Nov-22 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 2022", None),
        ("Sun, 06 Nov 9999 08:49:37 GMT", 253_397_494_177.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, \u0660\u0666 Nov 2022 08:49:37 GMT", None),
        ("Sun, 06 Nov 2022 08:49:37 GMT" * 10_000, None),
        ("", None),
        ("0", None),
        ("nan", None),
    ],
)
def test_the_time_that_an_answer_tells(header: str, date_s: float | None) -> None:
    assert bad(b"", 403, date=header).date_s == date_s


def test_a_late_error_names_both_too() -> None:
    headers = {"date": "Sun, 06 Nov 2022 08:49:37 GMT", "x-amz-bucket-region": "eu-west-1"}
    found = failure(COMPLETE_MULTIPART_UPLOAD, Response(200, headers, error_body("RequestTimeTooSkewed")))
    assert (found.region, found.date_s) == ("eu-west-1", 1_667_724_577.0)


CHECKSUM_WORDS = {
    "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call.": True,
    "x-amz-checksum-crc32 is not supported": True,
    "Unexpected trailer": True,
    "Value for x-amz-checksum-crc32 header is invalid.": False,
    "The upload was created using a crc32 checksum. The complete request must include it": False,
    "Unsupported storage class": False,
    "": False,
}


@pytest.mark.parametrize("message", CHECKSUM_WORDS)
@pytest.mark.parametrize("operation", [PUT_OBJECT, CREATE_MULTIPART_UPLOAD, UPLOAD_PART])
def test_words_that_refuse_a_checksum(message: str, operation: str) -> None:
    body = error_body("InvalidArgument", message)
    failure = classify(operation, Response(400, {}, body))
    assert failure is not None
    assert (failure.kind is FailureKind.UNSUPPORTED) == CHECKSUM_WORDS[message]


def test_what_needs_no_checksum_is_not_put_right_by_leaving_it_out() -> None:
    words = next(iter(CHECKSUM_WORDS))
    for status, body in ((501, b""), (400, error_body("InvalidArgument", words))):
        failure = classify(ABORT_MULTIPART_UPLOAD, Response(status, {}, body))
        assert failure is not None
        assert failure.kind is FailureKind.REJECTED


def test_the_header_that_is_not_implemented_is_named() -> None:
    body = b"<Error><Code>NotImplemented</Code><Message>No.</Message><Header>If-None-Match</Header></Error>"
    failure = classify(PUT_OBJECT, Response(501, {}, body))
    assert failure is not None
    assert failure.message == "No. (If-None-Match)"
