"""Hostile answers: cut short, huge, full of tricks. None raises, none reaches the terminal raw."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations import (
    PUT_OBJECT,
)
from s3_upload.s3.operations.complete_multipart_upload import completed_etag
from s3_upload.s3.operations.create_multipart_upload import upload_id
from s3_upload.s3.responses import MAX_MESSAGE_CHARS, Failure, classify
from tests.unit.answers import OPERATIONS, bad, error_body


def assert_fit_to_print(found: Failure) -> None:
    for text in (found.message, found.code, found.request_id, found.region):
        assert len(text) <= MAX_MESSAGE_CHARS
        assert text.isprintable()
        text.encode()


@pytest.mark.parametrize("length", range(0, len(error_body("SlowDown", request_id="R")), 7))
def test_truncated_anywhere(length: int) -> None:
    found = bad(error_body("SlowDown", request_id="R")[:length], 503)
    assert found.kind is FailureKind.THROTTLE
    assert found.code in ("", "SlowDown")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("a\x1b[31mred\x07\r\nb", "a [31mred b"),
        ("a&#27;[2Jb&#10;&#x0a;c", "a [2Jb c"),
        ("a\u202egnp.exe\u2028b", "a gnp.exe b"),
        ("a&#x202e;b", "a b"),
        ("&lt;script&gt; &amp;amp; &quot;q&quot;", '<script> &amp; "q"'),
        ("&#xD800;&#0;&#x110000;&nosuch;", "\ufffd\ufffd\ufffd&nosuch;"),
        ("  spaced \n out\t", "spaced out"),
        ("日本語", "日本語"),
    ],
)
def test_a_message_is_one_line_that_does_nothing_to_a_terminal(sent: str, message: str) -> None:
    found = bad(error_body("InvalidArgument", sent))
    assert found.message == message
    assert_fit_to_print(found)


def test_entities_are_not_expanded_again_and_again() -> None:
    laughs = '<!DOCTYPE e [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + error_body("X", "&b;&b;").decode()
    assert bad(laughs.encode()).message == "&b;&b;"
    assert (
        bad(b'<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + error_body("X", "&x;")).message
        == "&x;"
    )


def test_a_header_is_cleaned_as_a_body_is() -> None:
    found = bad(b"", x_amz_request_id="R\x1b[2J" + "x" * 5_000)
    assert found.request_id.startswith("R [2Jxxx")
    assert_fit_to_print(found)


@pytest.mark.parametrize(
    "body",
    [
        error_body("SlowDown", "x" * 1_000_000),
        error_body("SlowDown", "&#10;" * 100_000),
        error_body("SlowDown", "\u202e" * 100_000),
        b"<Code>SlowDown</Code><Message>" + b" " * 1_000_000,
        b"<Code>SlowDown</Code>" + b"<Message>" * 100_000,
        b"<Code>SlowDown</Code>" + b"<Message> " * 100_000 + b"</Message>",
        b" " * 1_000_000 + error_body("SlowDown"),
    ],
    ids=["long", "entities", "bidi", "spaces", "opened", "nested", "late"],
)
def test_huge_bodies_are_classified_all_the_same(body: bytes) -> None:
    """A search that backtracks would need hours for the white space here."""
    found = bad(body, 400)
    assert found.kind is FailureKind.THROTTLE
    assert_fit_to_print(found)


MARKUP = (
    b"<Error> <Error <Code> </Code> <Message> </Message> <UploadId> </UploadId> <ETag> </ETag> <RequestId> "
    b"</RequestId> SlowDown &#x202e; &#xD800; &amp; & \xff \x00 \xe2\x80\xa8"
)
PIECES = st.sampled_from([*MARKUP.split(b" "), b" ", b"x" * 400])
BODIES = st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=5), max_size=20).map(b"".join)


@given(
    operation=st.sampled_from(OPERATIONS),
    status=st.integers(200, 599),
    headers=st.dictionaries(
        st.sampled_from(
            ["etag", "retry-after", "x-amz-retry-after", "x-amz-request-id", "x-amz-bucket-region", "date"]
        ),
        st.text(max_size=400),
    ),
    body=BODIES,
)
@example(operation=PUT_OBJECT, status=400, headers={}, body=b"<Code>\xed\xa0\x80</Code>")
def test_no_answer_raises_or_reaches_the_terminal_raw(
    operation: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    response = Response(status, headers, body)
    found = classify(operation, response)
    if found is None:
        assert 200 <= status < 300
    else:
        assert_fit_to_print(found)
        assert found.status == status
        assert found.retry_after_s is None or found.retry_after_s >= 0
    assert isinstance(upload_id(response), str)
    assert isinstance(completed_etag(response), str)
