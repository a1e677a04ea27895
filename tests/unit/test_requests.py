"""Request heads: what they say, byte for byte, and that nothing a user gives can add a line to them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any, get_args, get_origin
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.etree import ElementTree

import msgspec
import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.fields import field_headers
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    HEAD_OBJECT,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
    Checksum,
    CompletedPart,
    Operation,
)
from s3_upload.s3.operations.complete_multipart_upload import complete_body
from s3_upload.s3.requests import RequestEncoder
from s3_upload.s3.sigv4 import UNSIGNED_PAYLOAD, Signer

AT_S = 1_440_938_160.5  # 2015-08-30 12:36:00 UTC
UNSIGNED = RequestEncoder(host="s3.example", path_prefix="/bucket", signer=None, tls=True)


def signed(*, token: str | None = None, tls: bool = False) -> RequestEncoder:
    signer = Signer(Credentials("AKIDEXAMPLE", "secret", token), "us-east-1")
    return RequestEncoder(host="s3.example:9000", path_prefix="", signer=signer, tls=tls)


def operation(name: str = PUT_OBJECT, key: str = "key", **details: Any) -> Operation:
    return Operation(name=name, bucket="bucket", key=key, **details)


class Parsed(BaseHTTPRequestHandler):
    """The standard library's server as an independent reader of a request head."""

    def __init__(self, head: bytes) -> None:
        self.rfile = io.BytesIO(head)
        self.wfile = io.BytesIO()
        self.client_address = ("", 0)
        self.raw_requestline = self.rfile.readline()
        assert self.parse_request(), self.wfile.getvalue()
        assert not self.headers.defects
        assert self.rfile.read() == b"", "the head goes on behind its empty line"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


# --- golden bytes: one of each operation ------------------------------------------------------------

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    PUT_OBJECT: (
        {
            "body": b"hello",
            "fields": RequestFields(
                content_type="text/plain",
                cache_control="max-age=60",
                expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))),
                storage_class="STANDARD_IA",
                metadata={"Author": "Zoë"},
                tags={"a b": "c&d"},
                if_none_match="*",
            ),
            "checksum": Checksum("CRC32", "NhCmhg=="),
        },
        "PUT /bucket/a%20b/%C3%BC%2B%26%3D%25 HTTP/1.1\r\nhost: s3.example\r\nuser-agent: s3-upload\r\n"
        "accept-encoding: identity\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n"
        "cache-control: max-age=60\r\n"
        "x-amz-storage-class: STANDARD_IA\r\nexpires: Wed, 02 Jan 2030 02:04:05 GMT\r\n"
        "x-amz-tagging: a+b=c%26d\r\nif-none-match: *\r\nx-amz-meta-author: =?UTF-8?B?Wm/Dqw==?=\r\n"
        "x-amz-checksum-crc32: NhCmhg==\r\n\r\n",
    ),
    CREATE_MULTIPART_UPLOAD: (
        {"fields": RequestFields(acl="private"), "checksum": Checksum("CRC32")},
        "POST /bucket/a%20b/%C3%BC%2B%26%3D%25?uploads= HTTP/1.1\r\nhost: s3.example\r\n"
        "user-agent: s3-upload\r\naccept-encoding: identity\r\ncontent-length: 0\r\nx-amz-acl: private\r\n"
        "x-amz-checksum-algorithm: CRC32\r\n\r\n",
    ),
    UPLOAD_PART: (
        {"upload_id": "i/d+1", "part_number": 7, "body": memoryview(b"part")},
        "PUT /bucket/a%20b/%C3%BC%2B%26%3D%25?partNumber=7&uploadId=i%2Fd%2B1 HTTP/1.1\r\n"
        "host: s3.example\r\nuser-agent: s3-upload\r\naccept-encoding: identity\r\ncontent-length: 4\r\n\r\n",
    ),
    COMPLETE_MULTIPART_UPLOAD: (
        {"upload_id": "id", "body": b"<xml/>"},
        "POST /bucket/a%20b/%C3%BC%2B%26%3D%25?uploadId=id HTTP/1.1\r\nhost: s3.example\r\n"
        "user-agent: s3-upload\r\naccept-encoding: identity\r\ncontent-length: 6\r\n"
        "content-type: application/xml\r\n\r\n",
    ),
    ABORT_MULTIPART_UPLOAD: (
        {"upload_id": "id"},
        "DELETE /bucket/a%20b/%C3%BC%2B%26%3D%25?uploadId=id HTTP/1.1\r\nhost: s3.example\r\n"
        "user-agent: s3-upload\r\naccept-encoding: identity\r\ncontent-length: 0\r\n\r\n",
    ),
    HEAD_OBJECT: (
        {
            "fields": RequestFields(acl="private", if_none_match="*", request_payer="requester"),
            "asks_checksums": True,
        },
        "HEAD /bucket/a%20b/%C3%BC%2B%26%3D%25 HTTP/1.1\r\nhost: s3.example\r\nuser-agent: s3-upload\r\n"
        "accept-encoding: identity\r\ncontent-length: 0\r\nx-amz-request-payer: requester\r\n"
        "x-amz-checksum-mode: ENABLED\r\n\r\n",
    ),
    LIST_PARTS: (
        {"upload_id": "i/d+1", "part_number": 1000},
        "GET /bucket/a%20b/%C3%BC%2B%26%3D%25?part-number-marker=1000&uploadId=i%2Fd%2B1 HTTP/1.1\r\n"
        "host: s3.example\r\nuser-agent: s3-upload\r\naccept-encoding: identity\r\ncontent-length: 0\r\n\r\n",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_of_each_operation(name: str) -> None:
    details, expected = GOLDEN[name]
    assert UNSIGNED.head(operation(name, "a b/ü+&=%", **details), AT_S).decode() == expected


@pytest.mark.parametrize("name", GOLDEN)
def test_an_independent_parser_reads_the_same(name: str) -> None:
    details, _ = GOLDEN[name]
    sent = operation(name, "a b/ü+&=%", **details)
    parsed = Parsed(signed(token="token").head(sent, AT_S))
    path, _, query = parsed.path.partition("?")
    assert unquote(path) == "/a b/ü+&=%"
    assert parse_qs(query).get("uploadId", [""]) == [sent.upload_id]
    assert int(parsed.headers["content-length"]) == len(sent.body)
    assert parsed.headers["x-amz-date"] == "20150830T123600Z"
    assert parsed.headers["x-amz-security-token"] == "token"
    assert len(parsed.headers) == len(set(parsed.headers)), "a header twice"
    names = parsed.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    must = {name for name in parsed.headers if name.startswith("x-amz-") or name == "content-type"}
    must |= {"if-none-match"} & set(parsed.headers)
    assert set(names) == must | {"host"}
    assert names == sorted(names)


def test_what_stands_for_the_body_in_the_signature() -> None:
    def payload(encoder: RequestEncoder, **details: Any) -> str:
        return Parsed(encoder.head(operation(**details), AT_S)).headers["x-amz-content-sha256"]

    computed = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # printf hello | sha256sum
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert payload(signed(), body=b"hello") == computed
    assert payload(signed(), body=b"hello", sha256="0" * 64) == "0" * 64
    assert payload(signed(tls=True), body=b"hello") == UNSIGNED_PAYLOAD
    assert payload(signed(tls=True), body=b"") == empty


# --- nothing a user gives can become a line of its own ------------------------------------------------

ENDINGS = ["\r\nx-evil: 1", "\n", "\r", "\0", "\r\n\r\nPUT /x HTTP/1.1", "\x0b", "\x0c", "\x1c", "\x7f"]
TEXT_FIELDS = [
    field.name
    for field in msgspec.structs.fields(RequestFields)
    if str in (field.type, *get_args(field.type)) and get_origin(field.type) is not Mapping
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", [*TEXT_FIELDS, "metadata value", "metadata name"])
def test_no_field_can_end_a_header_line(name: str, ending: str) -> None:
    value = f"before{ending}after"
    given: dict[str, Any] = {name: value}
    if name == "metadata value":
        given = {"metadata": {"m": value}}
    elif name == "metadata name":
        given = {"metadata": {value: "v"}}
    with pytest.raises(AttemptError) as caught:
        signed().head(operation(fields=RequestFields(**given)), AT_S)
    assert caught.value.kind is FailureKind.REJECTED
    assert caught.value.message.isprintable()
    assert name.split(maxsplit=1)[0] in caught.value.message


@pytest.mark.parametrize("ending", ENDINGS)
def test_keys_upload_ids_tags_and_contexts_are_encoded_instead(ending: str) -> None:
    value = f"a{ending}b"
    fields = RequestFields(tags={value: value}, sse_kms_encryption_context={value: value})
    parsed = Parsed(signed().head(operation(UPLOAD_PART, value, upload_id=value, part_number=1), AT_S))
    path, _, query = parsed.path.partition("?")
    assert unquote(path) == "/" + value
    assert parse_qsl(query) == [("partNumber", "1"), ("uploadId", value)]
    tagged = Parsed(signed().head(operation(fields=fields), AT_S))
    assert parse_qsl(tagged.headers["x-amz-tagging"]) == [(value, value)]
    context = tagged.headers["x-amz-server-side-encryption-context"]
    assert json.loads(base64.b64decode(context)) == {value: value}
    assert "x-evil" not in tagged.headers


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "ä", "a\tb", "a/b", "a\n"])
def test_a_metadata_name_must_be_a_token(name: str) -> None:
    with pytest.raises(AttemptError, match="metadata name"):
        field_headers(RequestFields(metadata={name: "v"}))


LONE = "a\ud800b"
SURROGATES: dict[str, dict[str, Any]] = {
    "key": {"key": LONE},
    "content_type": {"fields": RequestFields(content_type=LONE)},
    "expires": {"fields": RequestFields(expires=LONE)},
    "metadata": {"fields": RequestFields(metadata={"m": LONE})},
    "tags": {"fields": RequestFields(tags={"t": LONE})},
    "tags ": {"fields": RequestFields(tags={LONE: "v"})},
}


@pytest.mark.parametrize("what", SURROGATES)
@pytest.mark.parametrize("encoder", [UNSIGNED, signed()], ids=["unsigned", "signed"])
def test_what_is_no_unicode_is_refused(what: str, encoder: RequestEncoder) -> None:
    with pytest.raises(AttemptError) as caught:
        encoder.head(operation(**SURROGATES[what]), AT_S)
    assert caught.value.kind is FailureKind.REJECTED
    assert what.strip() in caught.value.message
    assert "not valid Unicode" in caught.value.message


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(AttemptError, match="the key is empty") as caught:
        UNSIGNED.head(operation(key=""), AT_S)
    assert caught.value.kind is FailureKind.REJECTED


# --- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["a b", "a   b"])
def test_spaces_in_other_fields_stay_but_for_the_ends_where_http_does_not_count_them(inside: str) -> None:
    fields = RequestFields(content_disposition=f" {inside}", cache_control=inside, content_type=f"{inside} ")
    for encoder in (UNSIGNED, signed()):
        head = encoder.head(operation(fields=fields), AT_S)
        for name in ("content-type", "content-disposition", "cache-control"):
            assert f"\r\n{name}: {inside}\r\n".encode() in head


def test_signed_are_single_spaces() -> None:
    """SigV4's canonical form; `test_sigv4.py` has botocore's opinion."""

    def signature(value: str) -> str:
        head = signed().head(operation(fields=RequestFields(content_type=value)), AT_S)
        return head.partition(b"Signature=")[2].decode()

    assert signature("a  b   c") == signature("a b c")
    assert signature("ab c") != signature("a b c")


# --- CompleteMultipartUpload ------------------------------------------------------------------------


def test_the_list_of_parts_is_xml() -> None:
    parts = [
        CompletedPart(1, '"etag-1"', Checksum("CRC32", "AAAA+/==")),
        CompletedPart(2, '"<&>"', None),
        CompletedPart(10_000, "", None),
    ]
    root = ElementTree.fromstring(complete_body(parts))
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert root.tag == f"{space}CompleteMultipartUpload"
    assert [[(child.tag.removeprefix(space), child.text) for child in part] for part in root] == [
        [("PartNumber", "1"), ("ETag", '"etag-1"'), ("ChecksumCRC32", "AAAA+/==")],
        [("PartNumber", "2"), ("ETag", '"<&>"')],
        [("PartNumber", "10000"), ("ETag", None)],
    ]


@pytest.mark.parametrize("encoder", [UNSIGNED, signed()], ids=["unsigned", "signed"])
def test_a_percent_sign_stays_one(encoder: RequestEncoder) -> None:
    metadata = {"a": "100 %d", "50%": "b", "x%s": "c", "%%d": "%s"}
    fields = RequestFields(cache_control="%s", metadata=metadata, content_type="%")
    head = encoder.head(
        operation(key="k%s", fields=fields, checksum=Checksum("CRC32", "%s==")), AT_S
    ).decode()
    assert head.startswith("PUT /k%25s HTTP/1.1") or head.startswith("PUT /bucket/k%25s HTTP/1.1")
    for line in (
        "cache-control: %s",
        "x-amz-meta-a: 100 %d",
        "x-amz-meta-50%: b",
        "x-amz-meta-x%s: c",
        "x-amz-meta-%%d: %s",
        "content-type: %",
        "x-amz-checksum-crc32: %s==",
    ):
        assert f"\r\n{line}\r\n" in head


def test_requests_alike_share_what_they_have_in_common_and_nothing_else() -> None:
    encoder = signed()
    heads = {
        encoder.head(operation(key="k", fields=fields, checksum=checksum), AT_S)
        for fields in (RequestFields(), RequestFields(acl="private"), RequestFields(acl="public-read"))
        for checksum in (None, Checksum("CRC32", "AAAAAA=="), Checksum("SHA256", "AAAAAA=="))
        for _ in range(2)
    }
    assert len(heads) == 9
    fresh = signed().head(operation(key="k", fields=RequestFields(acl="private")), AT_S)
    assert fresh in heads


def test_every_request_asks_for_answers_that_are_not_compressed() -> None:
    """Unsigned: a proxy on the way may rewrite it."""
    for name, (details, _) in GOLDEN.items():
        head = signed().head(operation(name, "k", **details), AT_S).decode()
        assert "\r\naccept-encoding: identity\r\n" in head
        authorization = next(line for line in head.splitlines() if line.startswith("authorization"))
        assert "accept-encoding" not in authorization


def test_a_proxy_that_reads_requests_gets_a_whole_url_and_the_signature_knows_nothing_of_it() -> None:
    signer = Signer(Credentials("AKIDEXAMPLE", "secret"), "us-east-1")
    named: Any = {"host": "s3.example:9000", "path_prefix": "/b%25", "signer": signer, "tls": False}
    plain = RequestEncoder(**named).head(operation(key="a b"), AT_S)
    proxied = RequestEncoder(**named, origin="http://s3.example:9000", proxy_authorization="Basic eDp5").head(
        operation(key="a b"), AT_S
    )
    assert plain.startswith(b"PUT /b%25/a%20b HTTP/1.1\r\n")
    assert proxied.startswith(b"PUT http://s3.example:9000/b%25/a%20b HTTP/1.1\r\n")
    added = b"proxy-authorization: Basic eDp5\r\n"
    assert proxied.replace(added, b"").replace(b"http://s3.example:9000/", b"/") == plain
