"""What HeadObject must say before an object counts as ours."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import formatdate

import botocore.session
import pytest

from s3_upload.http import Response
from s3_upload.request_fields import NO_FIELDS, CustomerKey, RequestFields
from s3_upload.s3.checksum import checksum_of
from s3_upload.s3.fields import FIELDS, METADATA, field_headers
from s3_upload.s3.operations import HEAD_OBJECT, PUT_OBJECT, Checksum, CompletedPart
from s3_upload.s3.operations.list_parts import ListedParts, listed_parts
from s3_upload.s3.proof import (
    AGE_SLACK_S,
    SHOWN,
    TAG_COUNT,
    disproof,
    etag_of,
    etag_of_parts,
    missing_field,
)

BODY = b"0123456789"
MD5 = hashlib.md5(BODY).hexdigest()
CRC = checksum_of("CRC32", BODY)
PARTS = tuple(CompletedPart(n, f'"{hashlib.md5(b"%d" % n).hexdigest()}"') for n in (1, 2))


def proves(
    found: Response,
    *,
    size: int = 10,
    checksum: Checksum | None = None,
    etag: str = MD5,
    age_s: float = 1.0,
    fields: RequestFields = NO_FIELDS,
) -> bool:
    return not disproof(found, size=size, checksum=checksum, etag=etag, age_s=age_s, fields=fields)


def found(**headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(200, {"content-length": "10", **named})


@pytest.mark.parametrize(
    ("checksum", "headers", "proven"),
    [
        (CRC, {"x_amz_checksum_crc32": CRC.value}, True),
        (CRC, {"x_amz_checksum_crc32": CRC.value, "content_length": "11"}, False),
        (CRC, {"x_amz_checksum_crc32": "AAAAAA==", "etag": f'"{MD5}"'}, False),
        (CRC, {"x_amz_checksum_sha256": "x", "etag": f'"{MD5}"'}, True),
        (CRC, {"x_amz_checksum_crc32": f"{CRC.value}-1", "etag": '"opaque"'}, False),
        (CRC, {"etag": f'"{MD5}"'}, True),
        (None, {"etag": f'"{MD5}"'}, True),
        (None, {"etag": MD5}, True),
        (None, {"etag": '"' + "0" * 32 + '"'}, False),
        (None, {"etag": ""}, False),
        (None, {}, False),
    ],
)
def test_size_and_checksum_or_etag(checksum: Checksum | None, headers: dict[str, str], proven: bool) -> None:
    assert proves(found(**headers), size=10, checksum=checksum, etag=MD5, age_s=1.0) is proven


def test_an_answer_without_a_length_proves_nothing() -> None:
    assert not proves(Response(200, {"etag": f'"{MD5}"'}), size=10, checksum=None, etag=MD5, age_s=1.0)


@pytest.mark.parametrize(
    ("older_s", "proven"), [(-1, True), (0, True), (12, True), (13, False), (1e6, False)]
)
def test_it_is_no_older_than_our_first_attempt(older_s: float, proven: bool) -> None:
    """12: ten seconds, and the slack of two."""
    assert AGE_SLACK_S == 2.0
    date, written = (formatdate(1.8e9 - age_s, usegmt=True) for age_s in (0.0, older_s))
    answer = found(etag=MD5, date=date, last_modified=written)
    assert proves(answer, size=10, checksum=None, etag=MD5, age_s=10.0) is proven


def test_parts_are_proven_by_the_etag_that_s3_makes_of_theirs() -> None:
    both = b"".join(bytes.fromhex(part.etag.strip('"')) for part in PARTS)
    etag = f"{hashlib.md5(both).hexdigest()}-2"
    assert etag_of_parts(PARTS) == etag
    assert etag_of_parts((*PARTS, CompletedPart(3, '"opaque"'))) == ""


def test_where_the_etag_cannot_be_known_it_proves_nothing() -> None:
    assert etag_of(BODY) == MD5
    for answer in (found(), found(etag=""), found(etag='""'), found(etag=MD5)):
        assert not proves(answer, size=10, checksum=None, etag="", age_s=1.0)


@pytest.mark.parametrize(("value", "proven"), [("abc=-2", True), ("abd=-2", False)])
def test_parts_are_proven_by_a_checksum_of_the_same_type(value: str, proven: bool) -> None:
    checksum = Checksum("SHA256", "abc=-2", "COMPOSITE")
    answer = found(x_amz_checksum_sha256=value)
    assert proves(answer, size=10, checksum=checksum, etag="", age_s=1.0) is proven


# --- what else was asked for ------------------------------------------------------------------------------

KEY = CustomerKey(bytes(32))
SSE = "x-amz-server-side-encryption"
ARN = "arn:aws:kms:eu-west-1:1:key/1-2-3"
LATER = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
# What was asked for, how HeadObject shows that it is there, and how, that it is not ("": nothing is shown).
AGREEMENT: list[tuple[RequestFields, str, tuple[str, ...], tuple[str, ...]]] = [
    (RequestFields(content_type="text/plain; charset=utf-8"), "content-type",
     ("text/plain;charset=UTF-8",), ("", "text/plain", "binary/octet-stream")),
    (RequestFields(content_encoding="gzip"), "content-encoding", ("gzip",), ("", "aws-chunked", "br")),
    (RequestFields(content_disposition='inline; filename="a  b"'), "content-disposition",
     ('inline; filename="a  b"', 'inline; filename="a b"'), ("", "inline")),
    (RequestFields(content_language="de, en"), "content-language", ("de, en", "de,en"), ("", "de")),
    (RequestFields(cache_control="max-age=60"), "cache-control", ("max-age=60",), ("", "no-cache")),
    (RequestFields(expires=LATER), "expires",
     ("Thu, 02 Jan 2031 03:04:05 GMT",), ("", "0", "Thu, 02 Jan 2031 03:04:06 GMT")),
    (RequestFields(expires="0"), "expires", ("0",), ("", "Thu, 02 Jan 2031 03:04:05 GMT")),
    (RequestFields(website_redirect_location="/there"), "x-amz-website-redirect-location",
     ("/there",), ("", "/elsewhere")),
    (RequestFields(storage_class="GLACIER"), "x-amz-storage-class", ("GLACIER",), ("", "STANDARD")),
    (RequestFields(storage_class="STANDARD"), "x-amz-storage-class", ("", "STANDARD"), ("GLACIER",)),
    (RequestFields(server_side_encryption="aws:kms"), SSE, ("aws:kms",), ("", "AES256")),
    (RequestFields(sse_kms_key_id="1-2-3"), f"{SSE}-aws-kms-key-id", (ARN, "1-2-3"), ("", f"{ARN}4", "2-3")),
    (RequestFields(sse_kms_key_id=ARN), f"{SSE}-aws-kms-key-id", (ARN,), ("", "1-2-3")),
    (RequestFields(sse_kms_key_id="alias/a"), f"{SSE}-aws-kms-key-id", (ARN,), ("",)),
    (RequestFields(bucket_key_enabled=True), f"{SSE}-bucket-key-enabled", ("true",), ("", "false")),
    (RequestFields(bucket_key_enabled=False), f"{SSE}-bucket-key-enabled", ("", "false"), ("true",)),
    (RequestFields(object_lock_mode="GOVERNANCE"), "x-amz-object-lock-mode",
     ("GOVERNANCE",), ("", "COMPLIANCE")),
    (RequestFields(object_lock_retain_until_date=LATER), "x-amz-object-lock-retain-until-date",
     ("2031-01-02T03:04:05Z", "2031-01-02T03:04:05.000Z", "2031-01-02T04:04:05+01:00"),
     ("", "2031-01-02T03:04:06Z", "nonsense", "9999-12-31T23:59:59-23:59")),
    (RequestFields(object_lock_legal_hold_status="ON"), "x-amz-object-lock-legal-hold", ("ON",), ("", "OFF")),
    (RequestFields(object_lock_legal_hold_status="OFF"), "x-amz-object-lock-legal-hold",
     ("", "OFF"), ("ON",)),
    (RequestFields(tags={"a": "1", "b": "2"}), TAG_COUNT, ("2",), ("", "0", "1", "3")),
    (RequestFields(metadata={"Author": "Zoe  Z"}), "x-amz-meta-author", ("Zoe  Z", "Zoe Z"), ("", "zoe z")),
    (RequestFields(metadata={"a": "ü"}), "x-amz-meta-a",
     ("Ã¼", "ü", "=?UTF-8?B?w7w=?=", "=?utf-8?q?=C3=BC?="),
     ("", "u", "=?UTF-8?B?dQ==?=", "=?nonsense?B?w7w=?=", "=?UTF-8?B?w7?=", "=?UTF-8?B?/w==?=")),
    (RequestFields(metadata={"a": "=?UTF-8?B?w7w=?="}), "x-amz-meta-a", ("=?UTF-8?B?w7w=?=", "Ã¼"), ("",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "header", "shown", "agrees"),
    [
        (fields, header, shown, agrees)
        for fields, header, ours, others in AGREEMENT
        for agrees, values in ((True, ours), (False, others))
        for shown in values
    ],
)
def test_what_head_object_shows_of_what_was_asked_for_has_to_agree(
    fields: RequestFields, header: str, shown: str, agrees: bool
) -> None:
    headers = {"x-amz-meta-of-the-store": "x", **({header: shown} if shown else {})}
    assert missing_field(fields, headers) == ("" if agrees else header)
    answer = Response(200, {"content-length": "10", "etag": MD5, **headers})
    assert proves(answer, fields=fields) is agrees
    why = disproof(answer, size=10, checksum=None, etag=MD5, age_s=1.0, fields=fields)
    assert why == ("" if agrees else f"its {header} is not what was asked for")


def test_a_customer_key_is_the_one_it_was_encrypted_with() -> None:
    fields = RequestFields(sse_customer_key=KEY)
    ours = {f"{SSE}-customer-algorithm": "AES256", f"{SSE}-customer-key-md5": KEY.md5_base64}
    assert missing_field(fields, ours) == ""
    assert missing_field(fields, ours | {f"{SSE}-customer-key-md5": "AAAA"}) == f"{SSE}-customer-key-md5"
    assert missing_field(fields, {}) == f"{SSE}-customer-algorithm"


def test_all_that_head_object_shows_is_compared() -> None:
    """By botocore's model of its answer."""
    model = botocore.session.Session().get_service_model("s3").operation_model(HEAD_OBJECT)
    shown = {
        shape.serialization["name"].lower()
        for shape in model.output_shape.members.values()
        if shape.serialization.get("location") == "header"
    }
    asked = {spec.header for spec in FIELDS.values() if spec.goes_with(PUT_OBJECT)}
    asked |= set(field_headers(RequestFields(sse_customer_key=KEY)))
    assert set(SHOWN) == asked & shown
    assert METADATA.header in {s.serialization["name"] for s in model.output_shape.members.values()}
    assert TAG_COUNT in shown


# --- ListParts -----------------------------------------------------------------------------------------


def listing(inner: str) -> ListedParts:
    return listed_parts(Response(200, {}, f"<ListPartsResult>{inner}</ListPartsResult>".encode()))


def row(number: object, etag: str = "&quot;e&quot;") -> str:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>5</Size></Part>"


def test_a_page_of_parts() -> None:
    assert listing("") == ListedParts({}, None)
    parts = {1: CompletedPart(1, '"e"', size=5), 7: CompletedPart(7, "f", size=5)}
    assert listing(row(1) + row(7, "f")) == ListedParts(parts, None)
    assert listing(f"<IsTruncated>true</IsTruncated>{row(1)}{row(7)}").next_marker == 7
    assert listing("<IsTruncated>true</IsTruncated>").next_marker is None


@pytest.mark.parametrize("number", ["", "x", "-1", "123456", "1 2", "²"])
def test_a_part_without_a_number_is_left_out(number: str) -> None:
    assert listing(row(number) + row(2)).parts == {2: CompletedPart(2, '"e"', size=5)}


def test_a_page_is_bounded() -> None:
    assert len(listing("".join(map(row, range(1, 3000)))).parts) == 1000
