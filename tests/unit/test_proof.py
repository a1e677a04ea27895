"""What HeadObject must say before an object counts as ours."""

from __future__ import annotations

import hashlib
from email.utils import formatdate

import pytest

from s3_upload.http import Response
from s3_upload.s3.checksum import checksum_of
from s3_upload.s3.operations import Checksum, CompletedPart
from s3_upload.s3.proof import AGE_SLACK_S, etag_of, etag_of_parts, proves
from s3_upload.s3.responses import ListedParts, listed_parts

BODY = b"0123456789"
MD5 = hashlib.md5(BODY).hexdigest()
CRC = checksum_of("CRC32", BODY)
PARTS = tuple(CompletedPart(n, f'"{hashlib.md5(b"%d" % n).hexdigest()}"') for n in (1, 2))


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


# --- ListParts -----------------------------------------------------------------------------------------


def listing(inner: str) -> ListedParts:
    return listed_parts(Response(200, {}, f"<ListPartsResult>{inner}</ListPartsResult>".encode()))


def row(number: object, etag: str = "&quot;e&quot;") -> str:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>5</Size></Part>"


def test_a_page_of_parts() -> None:
    assert listing("") == ListedParts({}, None)
    assert listing(row(1) + row(7, "f")) == ListedParts({1: '"e"', 7: "f"}, None)
    assert listing(f"<IsTruncated>true</IsTruncated>{row(1)}{row(7)}").next_marker == 7
    assert listing("<IsTruncated>true</IsTruncated>").next_marker is None


@pytest.mark.parametrize("number", ["", "x", "-1", "123456", "1 2", "²"])
def test_a_part_without_a_number_is_left_out(number: str) -> None:
    assert listing(row(number) + row(2)).etags == {2: '"e"'}


def test_a_page_is_bounded() -> None:
    assert len(listing("".join(map(row, range(1, 3000)))).etags) == 1000
