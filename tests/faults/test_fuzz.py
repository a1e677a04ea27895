"""Hostile answers: whatever comes, an attempt ends in a bounded, printable outcome, and nothing leaks on.

tests/fuzz makes the answers and says what the rules are; `python -m tests.fuzz` runs many more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.http1.received import MAX_HEADER_BYTES, MAX_RESPONSE_BODY_BYTES
from tests.fuzz.answers import Answer, hostile
from tests.fuzz.rig import CLEAN, CLEAN_RAW, Talk, Violation, check, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

READ_BYTES = 64 << 10
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim answers with headers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "a header's value": (OK + b"a: ", b"v"),
    "a header's name": (OK, b"n"),
    "white space": (OK + b"a:", b" "),
    "headers": (OK, b"a:\r\n"),
    "a reason": (b"HTTP/1.1 200 ", b"r"),
    "empty lines": (b"", b"\r\n"),
    "a chunk's extension": (CHUNKED + b"1;", b"e"),
    "a chunk's size": (CHUNKED, b"0"),
    "a trailer": (CHUNKED + b"0\r\nt: ", b"t"),
    "a body": (OK + b"\r\n", b"x"),
    "a body of known length": (OK + b"Content-Length: 99999999999\r\n\r\n", b"x"),
    "chunks": (CHUNKED, b"100\r\n" + b"x" * 256 + b"\r\n"),
}
MAX_FLOOD_BYTES = 2 * (MAX_HEADER_BYTES + MAX_RESPONSE_BODY_BYTES)


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(rng=st.randoms(use_true_random=False))
def test_any_answer_has_a_bounded_outcome(rng: Random) -> None:
    outcome_of(hostile(rng))


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_cut_off(name: str) -> None:
    start, unit = FLOODS[name]
    block = unit * (READ_BYTES // len(unit))
    sent_bytes = 0

    def flood() -> Iterator[bytes]:
        nonlocal sent_bytes
        yield start
        while sent_bytes <= MAX_FLOOD_BYTES:
            sent_bytes += len(block)
            yield block

    talk = Talk()
    result = talk.ask(flood())
    assert isinstance(result, AttemptError)
    assert result.kind is FailureKind.MALFORMED
    assert sent_bytes <= MAX_FLOOD_BYTES
    assert talk.transport.aborted


def test_some_interim_answers_and_a_slow_body_are_no_flood() -> None:
    """S3 keeps CompleteMultipartUpload alive with white space, for minutes."""
    talk = Talk()
    spaces = [b"1\r\n \r\n"] * 50_000
    result = talk.ask([b"HTTP/1.1 100 Continue\r\n\r\n" * 100, CHUNKED, *spaces, b"0\r\n\r\n"])
    assert result == Response(200, {"transfer-encoding": "chunked"}, b" " * 50_000)
    assert talk.connection.usable
    assert talk.ask([b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, CLEAN_RAW]) == CLEAN


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"200 OK"])
def test_an_upgrade_nobody_asked_for_escapes_nowhere(status: bytes) -> None:
    raw = b"HTTP/1.1 " + status + b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert outcome_of(Answer((raw, b"PRI * HTTP/2.0\r\n\r\n"), True)).startswith(
        ("no answer", "answer: unproven")
    )


def test_a_broken_rule_is_seen() -> None:
    for result in (
        Response(200, {"a": "v" * (MAX_HEADER_BYTES + 1)}),
        Response(200, {}, bytes(MAX_RESPONSE_BODY_BYTES + 1)),
        Response(100, {}),
        AttemptError(FailureKind.MALFORMED, "\x1b[2J"),
        AttemptError(FailureKind.MALFORMED, "x" * 10_000),
    ):
        with pytest.raises(Violation):
            check(result)
