"""The table of errors, row by row: what the store answers to a PutObject, and what we do about it.

Each row is played twice through the real engine and client: once, so that a second try would succeed,
and for ever.  `puts`: how many PutObjects that makes for ever, with `n_retries=1`.  `asks`: whether
HeadObject asks, before it is given up, if it is there.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import FailureKind, Remedy, RunError
from s3_upload.report import SUCCESS
from tests.faults.actions import (
    Action,
    Answer,
    Garbage,
    Request,
    Reset,
    Rule,
    Stall,
    Torn,
    foreign,
    s3_error,
)
from tests.faults.uploads import Reports, config, stored
from tests.faults.uploads import quick_upload as upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StartFaultServer

K = FailureKind
BODY = bytes(range(256)) * 4000
SETTINGS = config(n_retries=1, max_in_flight=1)


@dataclass(frozen=True)
class Row:
    action: Action
    kind: FailureKind
    puts: int
    words: str
    asks: bool = False

    def stalls(self, body_bytes: int) -> bool:
        """Whether it leaves that body without an answer."""
        return isinstance(self.action, Stall) and body_bytes == len(BODY)


def again(action: Action, kind: FailureKind, words: str) -> Row:
    """Tried again, then the object fails."""
    return Row(action, kind, 2, words, kind.ambiguous)


def never(action: Action, kind: FailureKind, words: str) -> Row:
    """Fails its object at once."""
    return Row(action, kind, 1, words)


def said(status: int, code: str, kind: FailureKind, **headers: str) -> Row:
    """Retried, in the words of S3."""
    return again(s3_error(status, code, "Why.", headers=headers), kind, f"answered {status} {code}: Why.")


OVERSIZED = Torn(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000)
TOO_MUCH = Answer(200, {"ETag": '"e"'}, b"z" * (1 << 20) + b"z")
NOW = "Wed, 21 Oct 2026 07:28:00 GMT"
PREFIXED = Answer(
    400,
    {},
    b"<s3:Error xmlns:s3='s3'><!-- --><s3:Code><![CDATA[RequestLimitExceeded]]></s3:Code>"
    b"<s3:Message xml:lang='en'>Why.</s3:Message></s3:Error>",
)
RETRIED = {
    "404 of an ingress": again(foreign(404), K.NOT_S3, "answered 404, which are no words of S3"),
    "405 of an ingress": again(foreign(405), K.NOT_S3, "answered 405, which are no words of S3"),
    "reset": again(Reset(), K.RESET, "the connection broke"),
    "reset mid-body": again(Reset(500_000), K.RESET, "the connection broke"),
    "broken pipe": again(Reset(0), K.RESET, "the connection broke"),
    "EOF": again(Torn(b""), K.RESET, "the store closed the connection"),
    "torn answer": again(Torn(), K.RESET, "the store closed the connection"),
    "our own timeout": again(Stall(), K.TIMEOUT, "not done within"),
    "500 InternalError": said(500, "InternalError", K.SERVER),
    "502": again(Answer(502, body=b"<html>"), K.SERVER, "answered 502"),
    "504": again(Answer(504), K.SERVER, "answered 504"),
    "499": again(Answer(499), K.SERVER, "answered 499"),
    "509": again(Answer(509), K.SERVER, "answered 509"),
    "520": again(Answer(520), K.SERVER, "answered 520"),
    "503 SlowDown": said(503, "SlowDown", K.THROTTLE),
    "503 ServiceUnavailable": said(503, "ServiceUnavailable", K.THROTTLE),
    "503 with Retry-After": said(503, "SlowDown", K.THROTTLE, **{"Retry-After": "0.01"}),
    "503 with Retry-After, a date": said(503, "SlowDown", K.THROTTLE, **{"Retry-After": NOW, "Date": NOW}),
    "503 with Retry-After, nonsense": said(503, "SlowDown", K.THROTTLE, **{"Retry-After": "in -1 s"}),
    "503 XMinioServerNotInitialized": said(503, "XMinioServerNotInitialized", K.SERVER),
    "400 KMS.ThrottlingException": said(400, "KMS.ThrottlingException", K.THROTTLE),
    "429": again(Answer(429), K.THROTTLE, "answered 429"),
    "400 RequestLimitExceeded": said(400, "RequestLimitExceeded", K.THROTTLE),
    "400 RequestLimitExceeded, prefixed": again(
        PREFIXED, K.THROTTLE, "answered 400 RequestLimitExceeded: Why."
    ),
    "400 RequestLimitExceeded, gzipped": again(
        Answer(400, {"Content-Encoding": "gzip"}, gzip.compress(PREFIXED.body)), K.THROTTLE, "Exceeded: Why."
    ),
    "400 RequestTimeout": said(400, "RequestTimeout", K.REQUEST_TIMEOUT),
    "400 of a server's HTTP layer": again(foreign(400), K.BAD_REQUEST, "answered 400"),
    "408": again(Answer(408), K.REQUEST_TIMEOUT, "answered 408"),
    "400 IncompleteBody": said(400, "IncompleteBody", K.INCOMPLETE_BODY),
    "400 BadDigest": said(400, "BadDigest", K.DIGEST),
    "400 XAmzContentChecksumMismatch": said(400, "XAmzContentChecksumMismatch", K.DIGEST),
    "400 XAmzContentSHA256Mismatch": said(400, "XAmzContentSHA256Mismatch", K.DIGEST),
    "409 ConditionalRequestConflict": said(409, "ConditionalRequestConflict", K.CONFLICT),
    "409 OperationAborted": said(409, "OperationAborted", K.CONFLICT),
    "not HTTP": again(Garbage(), K.MALFORMED, "is not HTTP/1.1: .*it begins b'.x16.x03"),
    "malformed headers": again(
        Torn(b"HTTP/1.1 200 OK\r\n\x00bad\r\n\r\n"), K.MALFORMED, "is not HTTP/1.1: .*it begins b'HTTP"
    ),
    "oversized headers": again(OVERSIZED, K.MALFORMED, "headers exceed 65536 bytes"),
    "oversized body": again(TOO_MUCH, K.MALFORMED, "body exceeds 1048576 bytes"),
}
FAILS = {
    code: never(s3_error(400, code, "Why."), K.REJECTED, f"answered 400 {code}: Why.")
    for code in (
        "KeyTooLongError", "InvalidURI", "MetadataTooLarge", "MalformedXML", "InvalidArgument",
        "InvalidRequest", "InvalidDigest",
    )
} | {
    "EntityTooLarge": never(s3_error(400, "EntityTooLarge"), K.TOO_LARGE, "answered 400 EntityTooLarge"),
    "InvalidPartOrder": never(s3_error(400, "InvalidPartOrder"), K.OUR_BUG, "a bug of s3-upload, please rep"),
    "EntityTooSmall": never(s3_error(400, "EntityTooSmall"), K.OUR_BUG, "a bug of s3-upload, please report"),
    "409 InvalidBucketState": never(
        s3_error(409, "InvalidBucketState", "Why."), K.REJECTED, "answered 409 InvalidBucketState: Why."
    ),
    "409": never(Answer(409), K.REJECTED, "answered 409"),
    "412 PreconditionFailed": never(s3_error(412, "PreconditionFailed"), K.EXISTS, "answered 412 Precondit"),
    "any other 4xx": never(s3_error(451, "Odd", "Why."), K.REJECTED, "answered 451 Odd: Why.*FAULTSERVER"),
}  # fmt: skip
STOPS = {
    "404 NoSuchBucket": (s3_error(404, "NoSuchBucket"), K.NO_SUCH_BUCKET, "no such bucket; create it"),
    "403 InvalidAccessKeyId": (s3_error(403, "InvalidAccessKeyId"), K.CREDENTIALS, "InvalidAccessKeyId"),
    "403 SignatureDoesNotMatch": (s3_error(403, "SignatureDoesNotMatch"), K.CREDENTIALS, "SignatureDoes"),
    "403 InvalidToken": (s3_error(403, "InvalidToken"), K.CREDENTIALS, "403 InvalidToken"),
    "403 AccountProblem": (s3_error(403, "AccountProblem"), K.CREDENTIALS, "403 AccountProblem"),
    "403 AccessDenied on the first": (s3_error(403, "AccessDenied"), K.ACCESS_DENIED, "403 AccessDenied"),
    "501 NotImplemented": (s3_error(501, "NotImplemented"), K.UNSUPPORTED, "501 NotImplemented"),
    "501 of a web server": (foreign(501), K.UNSUPPORTED, "501; this does not look like an S3 endpoint"),
    "401": (Answer(401), K.CREDENTIALS, "401; .*another kind of authentication"),
    "407": (foreign(407), K.PROXY, "a proxy answered 407; a proxy on the way wants a user"),
    "507": (Answer(507), K.STORE_FULL, "507; the store, or what it allows this account, is full"),
    "403 QuotaExceeded": (s3_error(403, "QuotaExceeded"), K.STORE_FULL, "QuotaExceeded; .* is full"),
    "400 InvalidBucketName": (
        s3_error(400, "InvalidBucketName"),
        K.NO_SUCH_BUCKET,
        "no bucket can have that",
    ),
    "404 NoSuchAccessPoint": (s3_error(404, "NoSuchAccessPoint"), K.NO_SUCH_BUCKET, "no such access point"),
    "an access key of another kind": (
        s3_error(400, "InvalidArgument", "Credential access key has length 20, should be 32"),
        K.CREDENTIALS,
        "length 20, should be 32; the access key is of another kind than this store's",
    ),
}


@pytest.mark.parametrize("signal", RETRIED)
def test_once_it_is_tried_again(fault_server: StartFaultServer, signal: str) -> None:
    row = RETRIED[signal]
    server = fault_server([Rule(row.action, method="PUT", key="bad", attempt=1)])
    reports = Reports()
    files = {"good": b"x", "bad": BODY}

    def stalls(_operation: str, body_bytes: int, retries: int) -> bool:
        return retries == 0 and row.stalls(body_bytes)

    summary = upload(server, files, settings=SETTINGS, stalls=stalls, progress=reports)
    assert stored(server) == {"good": b"x", "bad": BODY}
    first, second = server.of("PUT", "bad")
    assert (first.connection != second.connection) == row.kind.doubts_connection
    assert server.of("HEAD") == []
    outcomes = [attempt.outcome for attempt in reports.of("bad").attempt_reports]
    assert outcomes == [row.kind.value, SUCCESS]
    assert summary.uploaded == 2
    assert summary.attempts in ((2, 3) if row.kind is K.RESET else (3,))  # on a used connection it is free


@pytest.mark.parametrize("signal", RETRIED | FAILS)
def test_for_ever_it_fails_its_object_alone(fault_server: StartFaultServer, signal: str) -> None:
    row = (RETRIED | FAILS)[signal]
    server = fault_server([Rule(row.action, method="PUT", key="bad")])
    first = {"0": b""} if row.kind is K.NOT_S3 else {}  # that it is an S3 has to be seen
    files = first | {"bad": BODY, "good": b"x"}
    summary = upload(
        server, files, settings=SETTINGS, stalls=lambda _, body_bytes, __: row.stalls(body_bytes)
    )
    del server.requests[: len(first)]
    server.model.objects.pop("bucket/0", None)
    assert stored(server) == {"good": b"x"}
    [report] = summary.failed
    error = report.error
    assert error is not None
    assert (error.kind, report.outcome, report.attempts) == (row.kind, row.kind.value, row.puts)
    assert (len(server.of("PUT", "bad")), len(server.of("HEAD", "bad"))) == (row.puts, row.asks)
    assert len(server.requests) == row.puts + row.asks + 1
    text = str(error)
    assert re.search(row.words, text), text
    assert ("corrupted on its way" in text) == (row.kind is K.DIGEST)
    assert "\n" not in text
    assert row.kind.retried == (row.puts > 1)


@pytest.mark.parametrize("signal", STOPS)
def test_the_run_stops_at_once(fault_server: StartFaultServer, signal: str) -> None:
    answer, kind, words = STOPS[signal]
    server = fault_server(lambda _: answer)
    with pytest.raises(RunError, match=words) as caught:
        upload(server, {"a": b"x", "b": b"y"}, settings=SETTINGS, tls={"checksum": "off"})
    assert caught.value.kind is kind
    assert kind.stops_run
    assert len(server.requests) == 1


def test_what_comes_after_a_whole_answer_ends_the_connection_alone(fault_server: StartFaultServer) -> None:
    """Body after Content-Length: the answer stands; nothing else is sent where it came from."""
    more = Torn(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 2\r\n\r\n\r\n and more', stored=True)
    server = fault_server([Rule(more, key="a")])
    assert upload(server, {"a": b"x", "b": b"y"}, settings=SETTINGS).uploaded == 2
    assert [request.connection for request in server.requests] == [1, 2]


def home(answer: Answer) -> Callable[[Request], Action | None]:
    return lambda request: None if "/eu-west-1/s3/" in request.headers["authorization"] else answer


ELSEWHERE = {"x-amz-bucket-region": "eu-west-1"}
REGIONS = {
    "301 PermanentRedirect": s3_error(301, "PermanentRedirect", headers=ELSEWHERE),
    "302": Answer(302, ELSEWHERE),
    "307": Answer(307, ELSEWHERE),
    "400 AuthorizationHeaderMalformed": Answer(
        400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"
    ),
    "400 IllegalLocationConstraint": s3_error(400, "IllegalLocationConstraintException", headers=ELSEWHERE),
}


@pytest.mark.parametrize("signal", REGIONS)
def test_a_region_is_put_right_once_for_fifty_objects(fault_server: StartFaultServer, signal: str) -> None:
    server = fault_server(home(REGIONS[signal]))
    contents = {str(n): b"x" for n in range(50)}
    summary = upload(server, contents, settings=config(max_in_flight=1, n_retries=0))
    assert (summary.uploaded, summary.attempts) == (50, 50)
    assert len(server.requests) == 51
    assert summary.notes == ("the request was made for region us-east-1, the store asks for eu-west-1",)


def test_a_store_without_checksums_gets_none_and_says_so_once(fault_server: StartFaultServer) -> None:
    """501 NotImplemented for a checksum header."""
    no = s3_error(501, "NotImplemented", "A header you provided implies functionality not implemented")
    server = fault_server(lambda request: no if "x-amz-checksum-crc32" in request.headers else None)
    summary = upload(server, {str(n): b"x" for n in range(50)}, settings=SETTINGS)
    assert (summary.uploaded, len(server.requests), len(summary.notes)) == (50, 51, 1)


def test_the_rows_and_the_table_in_code_agree() -> None:
    for row in (*RETRIED.values(), *FAILS.values()):
        assert row.kind.retried == (row.puts > 1), row
        assert row.asks == row.kind.ambiguous, row
        assert row.kind.fate.value != "correct", row
    elsewhere = {K.CONNECT, K.UNPROVEN}  # test_engine_stop.py, test_no_proof.py
    assert {row.kind for row in RETRIED.values()} | elsewhere == {kind for kind in K if kind.retried}
    assert all(kind.remedy in (Remedy.NONE, Remedy.CLIENT) for _, kind, _ in STOPS.values())
