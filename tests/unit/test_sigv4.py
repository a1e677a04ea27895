"""Signatures: AWS's published examples, its test suite, and botocore on a thousand keys."""

from __future__ import annotations

import calendar
import random
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from botocore.utils import percent_encode

from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
    Checksum,
    Operation,
)
from s3_upload.s3.requests import RequestEncoder
from s3_upload.s3.sigv4 import (
    EMPTY_SHA256,
    Signer,
    canonical_request,
    encode_path,
    encode_query,
    signed_names,
)

Headers = list[tuple[str, str]]


def authorization(signer: Signer, canonical: str, headers: Headers, stamp: str) -> str:
    assert signer.amz_date(utc_s(stamp)) == stamp
    return signer.authorization(canonical, signed_names(headers), stamp)


def utc_s(stamp: str) -> float:
    return calendar.timegm(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timetuple())


# --- https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html --------------------

PUBLISHED = {
    "get object": (
        "GET", "/test.txt", "", [("range", "bytes=0-9")], EMPTY_SHA256,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        "PUT", encode_path("/test$file.text"), "",
        [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        sha256(b"Welcome to Amazon S3.").hexdigest(),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get bucket lifecycle": (
        "GET", "/", "lifecycle=", [], EMPTY_SHA256,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET", "/", "max-keys=2&prefix=J", [], EMPTY_SHA256,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_examples_that_aws_publishes_for_s3(name: str) -> None:
    method, path, query, extra, payload_hash, signature = PUBLISHED[name]
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = sorted(
        [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", payload_hash),
            ("x-amz-date", "20130524T000000Z"),
            *extra,
        ]
    )
    value = authorization(
        Signer(credentials, "us-east-1"),
        canonical_request(method, path, query, headers, payload_hash),
        headers,
        "20130524T000000Z",
    )
    names = ";".join(name for name, _ in headers)
    assert value == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


# --- the AWS SigV4 test suite: the cases that S3's rules (no path normalization) leave valid ----------

SUITE_KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SUITE_TIME = "20150830T123600Z"
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = "application/x-www-form-urlencoded"
# name: method, path, query, headers as they are sent, body
SUITE: dict[str, tuple[str, str, str, Headers, bytes]] = {
    "get-vanilla": ("GET", "/", "", [], b""),
    "get-vanilla-query-order-key": ("GET", "/", "Param1=value1&Param2=value2", [], b""),
    "get-vanilla-query-unreserved": ("GET", "/", f"{UNRESERVED}={UNRESERVED}", [], b""),
    "get-vanilla-utf8-query": ("GET", "/", f"{encode_query('ሴ')}=bar", [], b""),
    "get-unreserved": ("GET", encode_path("/" + UNRESERVED), "", [], b""),
    "get-utf8": ("GET", encode_path("/ሴ"), "", [], b""),
    "get-space": ("GET", encode_path("/example space/"), "", [], b""),
    "get-header-value-trim": (
        "GET", "/", "", [("my-header1", " value1"), ("my-header2", ' "a   b   c"')], b"",
    ),
    "post-vanilla": ("POST", "/", "", [], b""),
    "post-vanilla-query": ("POST", "/", "Param1=value1", [], b""),
    "post-header-key-sort": ("POST", "/", "", [("my-header1", "value1")], b""),
    "post-x-www-form-urlencoded": ("POST", "/", "", [("content-type", FORM)], b"Param1=value1"),
}  # fmt: skip
# The suite's own .authz files, for the cases whose result is known by heart in many implementations.
SUITE_SIGNATURES = {
    "get-vanilla": "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    "get-vanilla-query-order-key": "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    "get-unreserved": "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    "get-utf8": "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    "get-header-value-trim": "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    "post-vanilla": "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
}


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> str:
    """The time stamp at which botocore signs."""
    now = datetime.fromtimestamp(utc_s(SUITE_TIME), UTC)
    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)
    else:  # before botocore 1.40.5x
        clock = SimpleNamespace(utcnow=lambda: now.replace(tzinfo=None))
        monkeypatch.setattr(botocore.auth, "datetime", SimpleNamespace(datetime=clock))
    return SUITE_TIME


def botocore_authorization(auth: Any, request: AWSRequest, host: str) -> str:
    request.headers["host"] = host
    auth.add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("name", SUITE)
def test_the_sigv4_test_suite(name: str, frozen: str) -> None:
    method, path, query, headers, body = SUITE[name]
    trimmed = [(key, " ".join(value.split())) for key, value in headers]
    host = "example.amazonaws.com"
    signed = sorted([("host", host), ("x-amz-date", SUITE_TIME), *trimmed])
    canonical = canonical_request(method, path, query, signed, sha256(body).hexdigest())
    ours = authorization(Signer(SUITE_KEY, "us-east-1", "service"), canonical, signed, SUITE_TIME)
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    real = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    secret = botocore.credentials.Credentials(SUITE_KEY.access_key, SUITE_KEY.secret_key)

    class SinglyEncoded(botocore.auth.SigV4Auth):  # type: ignore[misc]  # botocore has no types
        def _normalize_url_path(self, path: str) -> str:
            return path

    theirs = botocore_authorization(SinglyEncoded(secret, "service", "us-east-1"), real, host)
    assert ours == theirs
    assert ours.endswith(SUITE_SIGNATURES.get(name, ""))


def test_the_signing_key_changes_with_the_day() -> None:
    one_day = 86_400.0
    first, later = utc_s("20240228T235959Z"), utc_s("20240229T000000Z")

    def sign(signer: Signer, at_s: float) -> str:
        return signer.authorization("canonical", "host", signer.amz_date(at_s))

    kept = Signer(SUITE_KEY, "eu-central-1")
    for at_s in (first, first + 0.9, later, later + one_day, first):  # and a clock that is put back
        assert sign(kept, at_s) == sign(Signer(SUITE_KEY, "eu-central-1"), at_s)
    assert kept.amz_date(later + 0.999) == "20240229T000000Z"
    assert "/20240228/" in sign(kept, first)
    assert "/20240229/" in sign(kept, later)


# --- a thousand keys, against botocore --------------------------------------------------------------

ALPHABET = (
    "abcXYZ019-._~/", "+&%=?#;:@!$'()*,[]{}|\\^`\"<> ", "äßñé", "日本語한글", "🙂\U0010ffff",
    "".join(map(chr, range(32))) + "\x7f\x85\xa0\u2028\ufeff",
)  # fmt: skip
ODD_KEYS = [
    "~",
    "//",
    "//a//",
    "/",
    ".",
    "..",
    "a/../b",
    "./a/.",
    "%2F",
    "%",
    "+",
    " ",
    "a b+c",
    "?x=y",
    "#",
    "\0",
]


def random_keys(count: int, rng: random.Random) -> list[str]:
    return ODD_KEYS + [
        "".join(rng.choice(rng.choice(ALPHABET)) for _ in range(rng.randint(1, 40)))
        for _ in range(count - len(ODD_KEYS))
    ]


PERCENT_SIGNS = dict.fromkeys(["50%", "a%b", "x%s", "a%%b", "a%!", "%d", "%"], "%s")
"""Metadata with the sign by which Python formats, in names and values."""


def operations(key: str, rng: random.Random) -> list[Operation]:
    """One of each kind, with things in their headers that are signed."""
    body = rng.randbytes(rng.randint(0, 64))
    upload_id = "".join(rng.choice("abc019_.~+/= ü&") for _ in range(20))
    fields = RequestFields(
        content_type=rng.choice(["text/plain; charset=utf-8", "a/b", "  padded   value "]),
        cache_control="no-cache",
        acl="private",
        metadata={"Number": str(rng.random()), "x-y_z": "  two  spaces ", "a": "b", **PERCENT_SIGNS},
        tags={"a b": "c&d", "é": "+"},
    )
    given: list[tuple[str, dict[str, Any]]] = [
        (PUT_OBJECT, {"fields": fields, "body": body, "sha256": sha256(body).hexdigest()}),
        (CREATE_MULTIPART_UPLOAD, {"fields": fields, "checksum": Checksum("CRC32")}),
        (UPLOAD_PART, {"upload_id": upload_id, "part_number": rng.randint(1, 10_000), "body": body}),
        (COMPLETE_MULTIPART_UPLOAD, {"upload_id": upload_id, "body": b"<xml/>"}),
        (ABORT_MULTIPART_UPLOAD, {"upload_id": upload_id}),
        (HEAD_OBJECT, {}),
        (LIST_PARTS, {"upload_id": upload_id, "part_number": rng.randint(1, 10_000)}),
    ]
    return [Operation(name=name, bucket="bucket", key=key, **details) for name, details in given]


def query_of(operation: Operation) -> str:
    """As botocore writes it in a URL."""
    upload_id = percent_encode(operation.upload_id)
    if operation.name == CREATE_MULTIPART_UPLOAD:
        return "?uploads"
    if operation.name == UPLOAD_PART:
        return f"?partNumber={operation.part_number}&uploadId={upload_id}"
    if operation.name == LIST_PARTS:
        return f"?part-number-marker={operation.part_number}&uploadId={upload_id}"
    return f"?uploadId={upload_id}" if upload_id else ""


def test_a_thousand_odd_keys_are_signed_as_botocore_signs_them(frozen: str) -> None:
    rng = random.Random(20150830)
    host, region, token = "localhost:9000", "eu-central-1", "to/ken+=="
    key = Credentials("AKIDEXAMPLE", "se/cr+et", token)
    encoder = RequestEncoder(host=host, path_prefix="/bucket", signer=Signer(key, region), tls=False)
    theirs = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(key.access_key, key.secret_key, token), "s3", region
    )
    checked = 0
    for name in random_keys(1_000, rng):
        path = "/bucket/" + percent_encode(name, safe="/~")
        for operation in operations(name, rng):
            request_line, *lines = encoder.head(operation, utc_s(frozen)).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[:-2])
            method, target, _ = request_line.split(" ")
            real = AWSRequest(method, f"http://{host}{path}{query_of(operation)}", data=operation.body)
            for header, value in headers.items():
                if header == "content-type" or header.startswith("x-amz-"):
                    real.headers[header] = value
            assert target.partition("?")[0] == path
            assert headers["authorization"] == botocore_authorization(theirs, real, host), name
            assert headers["x-amz-security-token"] == token
            for sign, value in PERCENT_SIGNS.items() if operation.fields.metadata else ():
                assert headers[f"x-amz-meta-{sign}"] == value
            checked += 1
    assert checked == 7_000


def test_a_sessions_requests_are_signed_as_botocore_signs_them(frozen: str) -> None:
    """Those to directory buckets: S3 Express One Zone."""
    rng = random.Random(20231128)
    host, region, token = (
        "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        "us-east-1",
        "to/k+==",
    )
    key = Credentials("AKIDEXAMPLE", "se/cr+et", token)
    signer = Signer(key, region, "s3express")
    encoder = RequestEncoder(host=host, path_prefix="", signer=signer, tls=False, session=True)
    theirs = botocore.auth.S3ExpressAuth(
        botocore.credentials.Credentials(key.access_key, key.secret_key, token),
        "s3express",
        region,
        identity_cache={},
    )
    for name in random_keys(50, rng):
        for operation in operations(name, rng):
            request_line, *lines = encoder.head(operation, utc_s(frozen)).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[:-2])
            path = "/" + percent_encode(name, safe="/~")
            real = AWSRequest(
                request_line.split(" ")[0], f"http://{host}{path}{query_of(operation)}", data=operation.body
            )
            for header, value in headers.items():
                if header == "content-type" or (header.startswith("x-amz-") and "token" not in header):
                    real.headers[header] = value
            assert headers["authorization"] == botocore_authorization(theirs, real, host), name
            assert headers["x-amz-s3session-token"] == real.headers["x-amz-s3session-token"] == token
            assert "x-amz-security-token" not in headers
