"""The XML of answers, however it is dressed; and that no text takes long or raises."""

from __future__ import annotations

import gzip
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, CREATE_MULTIPART_UPLOAD, PUT_OBJECT
from s3_upload.s3.operations.complete_multipart_upload import completed_etag
from s3_upload.s3.operations.create_multipart_upload import upload_id
from s3_upload.s3.operations.list_parts import listed_parts
from s3_upload.s3.responses import classify
from s3_upload.s3.xml import MAX_PAGE_BYTES, MAX_PAGE_TAGS, MAX_TEXT_BYTES, plain_body, scan
from tests.unit.answers import bad, error_body

PLAIN = error_body("SlowDown", "Slow & slower.".replace("&", "&amp;"), "R")
DRESSED = {
    "plain": PLAIN,
    "prefixed": b'<s3:Error xmlns:s3="http://s3"><s3:Code>SlowDown</s3:Code>'
    b"<s3:Message>Slow &amp; slower.</s3:Message><s3:RequestId>R</s3:RequestId></s3:Error>",
    "attributes": b"<Error a='>' b=\"it's\"><Code xml:lang=\"en\" x='1>0'>SlowDown</Code>"
    b'<Message\n\txml:lang="en">Slow &amp; slower.</Message ><RequestId\n>R</RequestId></Error>',
    "CDATA": b"<Error><Code><![CDATA[SlowDown]]></Code><Message>Slow <![CDATA[& slow]]>er.</Message>"
    b"<RequestId><![CDATA[]]>R</RequestId></Error>",
    "comments": b"<!-- <Code>No</Code> --><?pi <Code>No</Code> ?><Error><!----><Code>Slow<!-- > -->Down"
    b"</Code><Message>Slow &amp; <!-- <b> -->slower.</Message><RequestId>R</RequestId></Error>",
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "empty elements": b"<Error><Resource/><Code>SlowDown</Code><Key /><Message>Slow &amp; slower.</Message>"
    b"<HostId></HostId><RequestId>R</RequestId></Error>",
    "elements in elements": b"<Errors><Error><Detail><Kind/></Detail><Error/><RequestId>R</RequestId>"
    b"<Code>SlowDown</Code><Message>Slow &amp; slower.</Message></Error></Errors>",
}  # fmt: skip


@pytest.mark.parametrize("how", DRESSED)
@pytest.mark.parametrize("packed", ["", "gzip", "X-GZIP ", "deflate"])
def test_an_error_is_understood_however_it_is_dressed(how: str, packed: str) -> None:
    body = DRESSED[how]
    if packed:
        body = zlib.compress(body) if packed == "deflate" else gzip.compress(body)
    found = bad(body, 400, content_encoding=packed)
    assert (found.kind, found.code) == (FailureKind.THROTTLE, "SlowDown")
    assert (found.message, found.request_id) == ("Slow & slower.", "R")


def test_what_is_called_gzip_and_is_not_is_read_as_it_is() -> None:
    assert bad(PLAIN, 400, content_encoding="gzip").kind is FailureKind.THROTTLE


def test_gzip_that_is_cut_short_gives_what_came_of_it() -> None:
    noise = bytes((n * n + n // 7) % 94 + 33 for n in range(2_000)).replace(b"<", b"-").replace(b"&", b"-")
    packed = gzip.compress(error_body("SlowDown", noise.decode()))
    assert bad(packed[: len(packed) // 2], 400, content_encoding="gzip").code == "SlowDown"


def test_a_small_body_that_becomes_huge_is_cut_off() -> None:
    bomb = Response(400, {"content-encoding": "gzip"}, gzip.compress(PLAIN + bytes(100 << 20)))
    assert len(plain_body(bomb)) == MAX_PAGE_BYTES
    found = classify(PUT_OBJECT, bomb)
    assert found is not None
    assert found.code == "SlowDown"


def test_the_answers_that_carry_something_are_understood_too() -> None:
    created = b'<s3:InitiateMultipartUploadResult xmlns:s3="x"><s3:UploadId>u&amp;1</s3:UploadId></s3:Init>'
    response = Response(200, {"content-encoding": "gzip"}, gzip.compress(created))
    assert classify(CREATE_MULTIPART_UPLOAD, response) is None
    assert upload_id(response) == "u&1"
    done = b' <n:CompleteMultipartUploadResult><n:ETag a="b"><![CDATA["e-2"]]></n:ETag></n:CompleteMulti>'
    assert classify(COMPLETE_MULTIPART_UPLOAD, Response(200, {}, done)) is None
    assert completed_etag(Response(200, {}, done)) == '"e-2"'
    late = Response(200, {"etag": '"e"'}, b"\n \n" + DRESSED["prefixed"])
    found = classify(COMPLETE_MULTIPART_UPLOAD, late)
    assert found is not None
    assert (found.kind, found.status) == (FailureKind.THROTTLE, 200)


def test_a_page_of_parts_is_read_whatever_their_elements_order() -> None:
    page = (
        b"<n:ListPartsResult><n:IsTruncated>true</n:IsTruncated><n:Part><n:ETag>&quot;a&quot;</n:ETag>"
        b"<n:PartNumber>1</n:PartNumber></n:Part><n:Part><n:PartNumber>2</n:PartNumber></n:Part>"
        b"<n:Part><n:PartNumber>7</n:PartNumber><n:Size>5</n:Size><n:ETag>b</n:ETag></n:Part></n:ListParts>"
    )
    found = listed_parts(Response(200, {}, page))
    etags = {number: part.etag for number, part in found.parts.items()}
    assert (etags, found.next_marker) == ({1: '"a"', 2: "", 7: "b"}, 7)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", ""),
        ("no XML", ""),
        ('{"json": "<"}', ""),
        ("<Error", "Error"),
        ("<?xml version='1.0'?>\n<Error><Co", "Error"),
        ("<!DOCTYPE html>\n<html lang='en'><body>", "html"),
        ("<a:Error xmlns:a='x'>", "Error"),
        ("< Error><b>", "b"),
    ],
)
def test_the_root_is_known_of_what_is_cut_short(text: str, root: str) -> None:
    assert scan(text).root == root


PIECES = [
    "<a ", '<a "', "<a '", '<a "<a " ', "<![CDATA[", "<!--", "<?", "<!", "<", "<a>", "<a/>", "</a>", "<a:",
    "<a:b", "<a:b:", "<a>&", "&#10;", "&", "]]>", "-->", "<a b", "<a b=c ", "<a b='c' ", "<a><![CDATA[x]]>",
    "<a><!---->",
]  # fmt: skip


class Steps:
    """Counts the lines that run in a function: a measure of time that no busy machine changes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> Steps:
        self.count += 1
        return self


@pytest.mark.parametrize("piece", PIECES)
def test_the_steps_of_a_scan_are_bounded(piece: str) -> None:
    steps = Steps()
    before = sys.gettrace()
    sys.settrace(steps)
    try:
        found = scan("<Error><Message>" + piece * (MAX_TEXT_BYTES // len(piece)), 100)
    finally:
        sys.settrace(before)
    assert found.root == "Error"
    assert steps.count < 100 * 40


def test_a_page_may_have_more_tags_than_an_error() -> None:
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber>{'<x/>' * 20}</Part>" for n in range(1, 1001))
    assert parts.count("<") < MAX_PAGE_TAGS
    assert len(listed_parts(Response(200, {}, f"<L>{parts}</L>".encode())).parts) == 1000


@given(st.lists(st.sampled_from([*PIECES, "Error", ">", "'", '"', "=", " ", "\x00"]) | st.text(max_size=5)))
def test_no_text_raises(pieces: list[str]) -> None:
    found = scan("".join(pieces))
    assert all(isinstance(text, str) for element in found.elements for text in element)
