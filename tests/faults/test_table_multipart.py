"""The table of errors, row by row: what the store answers to the requests of an object in parts.

`counts` are the requests that were made: Creates, parts, Completes, HeadObjects, Aborts, ListParts.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import FailureKind
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.multipart import MAX_ABORTS
from tests.faults.actions import Action, Answer, Request, Reset, Rule, foreign, s3_error
from tests.faults.model import S3Model
from tests.faults.uploads import PART_BYTES, Reports, config, stored
from tests.faults.uploads import quick_upload as upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

BIG = random.Random(11).randbytes(2 * PART_BYTES + 5)
SETTINGS = config(n_retries=1)
COMPLETE = {"uploadId": None}
K = FailureKind


def part(action: Action | None, **which: Any) -> Rule:
    return Rule(action, method="PUT", query={"partNumber": "2"}, **which)


def complete(action: Action | None, **which: Any) -> Rule:
    return Rule(action, method="POST", query=COMPLETE, **which)


def said(status: int, code: str) -> Answer:
    return s3_error(status, code, "Why.")


def inside(code: str) -> Answer:
    """A 200 that is none."""
    return Answer(200, {}, b"\n \n<Error><Code>%s</Code><Message>Why.</Message></Error>" % code.encode())


def counts(server: FaultServer) -> tuple[int, ...]:
    """Creates, parts, Completes, HeadObjects, Aborts, ListParts."""
    names = Counter(
        "create" if "uploads" in r.query else "complete" if r.method == "POST" else r.method
        for r in server.requests
    )
    return tuple(names[name] for name in ("create", "PUT", "complete", "HEAD", "DELETE", "GET"))


@pytest.fixture
def big(tmp_path: Path) -> ObjectSource:
    """A file of two parts and five bytes."""
    (tmp_path / "big").write_bytes(BIG)
    return ObjectSource.file(tmp_path / "big", "big")


def stream(chunk_bytes: int = 1 << 20, body: bytes = BIG) -> ObjectSource:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk_bytes):
            yield body[start : start + chunk_bytes]

    return ObjectSource.stream(chunks(), "big")


LOST = Reset(stored=True)
ONE_PART = b"<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></ListPartsResult>"
ENDS_WELL: dict[str, tuple[Sequence[Rule], tuple[int, ...]]] = {
    "UploadPart 200 without ETag": ([part(Answer(200), nth=1)], (1, 4, 1, 0, 0, 0)),
    "UploadPart 400 BadDigest": ([part(said(400, "BadDigest"), nth=1)], (1, 4, 1, 0, 0, 0)),
    "UploadPart 400 IncompleteBody": ([part(said(400, "IncompleteBody"), nth=1)], (1, 4, 1, 0, 0, 0)),
    "UploadPart 404 NoSuchUpload": ([part(said(404, "NoSuchUpload"), nth=1)], (2, 6, 1, 0, 1, 1)),
    "Complete 200 with <Error> InternalError": (
        [complete(inside("InternalError"), nth=1)],
        (1, 3, 2, 0, 0, 0),
    ),
    "Complete 200 with <Error> SlowDown": ([complete(inside("SlowDown"), nth=1)], (1, 3, 2, 0, 0, 0)),
    "Complete 200 with truncated XML": (
        [complete(Answer(200, {}, b"<CompleteMultipartUploadResult><ETag>&quot;12"), nth=1)],
        (1, 3, 2, 1, 0, 0),
    ),
    "Complete 200 with an <Error> cut short": (
        [complete(Answer(200, {"ETag": '"e"'}, b"<Error><Co"), nth=1)],
        (1, 3, 2, 0, 0, 0),
    ),
    "Complete 400 BadDigest": ([complete(said(400, "BadDigest"), nth=1)], (2, 6, 2, 0, 1, 1)),
    "Complete 409 ConditionalRequestConflict": (
        [complete(said(409, "ConditionalRequestConflict"), nth=1)],
        (2, 6, 2, 0, 1, 1),
    ),
    "Complete 409 OperationAborted": ([complete(said(409, "OperationAborted"), nth=1)], (2, 6, 2, 0, 1, 1)),
    "Create 409 OperationAborted": (
        [Rule(said(409, "OperationAborted"), method="POST", query={"uploads": None}, nth=1)],
        (2, 3, 1, 0, 0, 0),
    ),
    "Complete 404 NoSuchUpload, unasked": ([complete(said(404, "NoSuchUpload"), nth=1)], (2, 6, 2, 0, 1, 1)),
    "Complete 404 NoSuchUpload three times: a store that restarts, and forgets": (
        [complete(said(404, "NoSuchUpload"), nth=1) for _ in range(3)],
        (4, 12, 4, 0, 3, 3),
    ),
    "Complete 404 NoSuchUpload after an ambiguous one that was done": (
        [complete(LOST, nth=1), complete(said(404, "NoSuchUpload"), nth=1)],
        (1, 3, 2, 1, 1, 1),
    ),
    "Complete 404 NoSuchUpload after an ambiguous one that was not": (
        [complete(Reset(), nth=1), complete(said(404, "NoSuchUpload"), nth=1)],
        (2, 6, 3, 1, 1, 1),
    ),
    "Complete is lost for ever and was done": ([complete(LOST)], (1, 3, 2, 1, 1, 1)),
    "Complete 400 InvalidPart, and no part is missing": (
        [complete(said(400, "InvalidPart"), nth=1)],
        (1, 3, 2, 0, 0, 1),
    ),
    "Complete is lost and was not done, then 400 InvalidPart": (
        [complete(Reset(), nth=1), complete(said(400, "InvalidPart"), nth=1)],
        (1, 3, 3, 1, 0, 1),
    ),
}


@pytest.mark.parametrize("signal", ENDS_WELL)
def test_it_ends_well(fault_server: StartFaultServer, big: ObjectSource, signal: str) -> None:
    rules, expected = ENDS_WELL[signal]
    server = fault_server(rules)
    reports = Reports()
    summary = upload(server, [big], settings=SETTINGS, progress=reports)
    assert (summary.uploaded, summary.failed) == (1, ())
    assert stored(server) == {"big": BIG}
    assert server.model.uploads == {}
    # Which parts of an upload that is given up were under way, time decides.
    assert abs(counts(server)[1] - expected[1]) <= (1 if expected[0] == 2 and "UploadPart" in signal else 0)
    assert counts(server)[:1] + counts(server)[2:] == expected[:1] + expected[2:]
    report = reports.of("big")
    assert report.etag.strip('"') == server.model.objects["bucket/big"].etag
    assert report.bytes == len(BIG)


ENDS_BADLY: dict[str, tuple[Sequence[Rule], tuple[int, ...], FailureKind, str]] = {
    "UploadPart 200 without ETag": (
        [part(Answer(200))], (1, 4, 0, 0, 1, 1), K.UNPROVEN, "UploadPart: 200 without an ETag",
    ),
    "UploadPart 400 BadDigest": (
        [part(said(400, "BadDigest"))], (1, 4, 0, 0, 1, 1), K.DIGEST, "corrupted on its way: .* BadDigest",
    ),
    "UploadPart 400 EntityTooLarge": (
        [part(said(400, "EntityTooLarge"))], (1, 3, 0, 0, 1, 1), K.TOO_LARGE, "400 EntityTooLarge: Why",
    ),
    "UploadPart 403 AccessDenied": (
        [part(said(403, "AccessDenied"))], (1, 3, 0, 0, 1, 1), K.ACCESS_DENIED, "403 AccessDenied: Why",
    ),
    "Complete 400 EntityTooSmall": (
        [complete(said(400, "EntityTooSmall"))], (1, 3, 1, 0, 1, 1), K.OUR_BUG, "this is a bug of s3-upload",
    ),
    "Complete 400 InvalidPartOrder": (
        [complete(said(400, "InvalidPartOrder"))], (1, 3, 1, 0, 1, 1), K.OUR_BUG, "this is a bug of s3-up",
    ),
    "Complete 400 InvalidPart": (
        [complete(said(400, "InvalidPart"))], (1, 3, 2, 0, 1, 2), K.INVALID_PART, "400 InvalidPart: Why",
    ),
    "Complete 400 InvalidPart, and ListParts 403 AccessDenied": (
        [complete(said(400, "InvalidPart")), Rule(said(403, "AccessDenied"), method="GET", nth=1)],
        (1, 3, 1, 0, 1, 2), K.INVALID_PART,
        "400 InvalidPart: Why.*; which parts it has cannot be asked .*403 AccessDenied",
    ),
    "Complete 400 BadDigest": (
        [complete(said(400, "BadDigest"))], (2, 6, 2, 0, 2, 2), K.DIGEST, "corrupted on its way: .* BadDig",
    ),
    "Complete 409 OperationAborted": (
        [complete(said(409, "OperationAborted"))], (2, 6, 2, 0, 2, 2), K.CONFLICT, "409 OperationAborted",
    ),
    "Complete 404 NoSuchUpload": (
        [complete(said(404, "NoSuchUpload"))], (4, 12, 4, 0, 4, 4), K.NO_SUCH_UPLOAD, "404 NoSuchUpload: Why",
    ),
    "Complete 403 AccessDenied, of which the message says no more": (
        [complete(s3_error(403, "AccessDenied", "AccessDenied"))], (1, 3, 2, 0, 1, 1), K.ACCESS_DENIED,
        "answered 403 AccessDenied(?!:)",
    ),
    "Complete 200 with <Error> InternalError": (
        [complete(inside("InternalError"))], (1, 3, 2, 1, 1, 1), K.SERVER, "answered 200 InternalError: Why",
    ),
    "Complete 412 PreconditionFailed": (
        [complete(said(412, "PreconditionFailed"))], (1, 3, 1, 0, 1, 1), K.EXISTS, "412 PreconditionFailed",
    ),
    "Complete is lost for ever and was not done": (
        [complete(Reset())], (1, 3, 2, 1, 1, 1), K.RESET, "the connection broke",
    ),
}  # fmt: skip


@pytest.mark.parametrize("signal", ENDS_BADLY)
def test_it_ends_badly(fault_server: StartFaultServer, big: ObjectSource, signal: str) -> None:
    rules, expected, kind, words = ENDS_BADLY[signal]
    server = fault_server(rules)
    summary = upload(server, [big, ObjectSource.data(b"x", "good")], settings=SETTINGS)
    assert stored(server) == {"good": b"x"}
    assert server.model.uploads == {}
    made = counts(server)
    assert (made[0], *made[2:]) == (expected[0], *expected[2:])
    if "UploadPart" not in signal:
        assert made[1] == expected[1] + 1
    [report] = summary.failed
    assert report.error is not None
    assert report.error.kind is kind
    with pytest.raises(type(report.error), match=words):
        raise report.error


# --- parts that the store does not have ----------------------------------------------------------------


def loses(server_of: list[FaultServer], *numbers: int, other: bool = False) -> Callable[[Request], None]:
    """A script: when Complete comes first, the store has lost these parts, or has others."""

    pending = [numbers]

    def script(request: Request) -> None:
        if request.method == "POST" and "uploadId" in request.query and pending:
            pending.clear()
            [found] = server_of[0].model.uploads.values()
            for number in numbers:
                if other:
                    found.parts[number].etag = "0" * 32
                else:
                    del found.parts[number]

    return script


@pytest.mark.parametrize("other", [False, True], ids=["missing", "another"])
@pytest.mark.parametrize("parts_per_page", [1, 2, 1000])
def test_parts_that_the_store_lost_are_sent_again(
    fault_server: StartFaultServer, big: ObjectSource, parts_per_page: int, other: bool
) -> None:
    """400 InvalidPart: ListParts, in pages; those that differ, and no other; Complete once more."""
    found: list[FaultServer] = []
    server = fault_server(loses(found, 1, 3, other=other), model=S3Model(parts_per_page=parts_per_page))
    found.append(server)
    assert upload(server, [big], settings=SETTINGS).uploaded == 1
    assert stored(server) == {"big": BIG}
    sent = Counter(request.part_number for request in server.of("PUT"))
    assert sent == {1: 2, 2: 1, 3: 2}
    there = 3 if other else 1
    assert counts(server)[5] == -(-there // parts_per_page)


def test_a_part_sent_again_is_of_the_same_version(
    fault_server: StartFaultServer, big: ObjectSource, tmp_path: Path
) -> None:
    found: list[FaultServer] = []
    lose = loses(found, 2)

    def script(request: Request) -> None:
        lose(request)
        if request.method == "GET" and request.attempt == 1:
            (tmp_path / "big").write_bytes(BIG[:-1])

    server = fault_server(script)
    found.append(server)
    assert upload(server, [big], settings=SETTINGS).uploaded == 1
    assert stored(server) == {"big": BIG[:-1]}
    assert server.model.uploads == {}
    assert counts(server)[0] == 2


# --- what is aborted is gone ---------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "aborts"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_an_abort_is_repeated_until_no_part_is_left(
    fault_server: StartFaultServer, big: ObjectSource, late: int, aborts: int
) -> None:
    """A part that was under way when the abort came is stored after it: here it shows `late` times.  The end
    of the run tries once more."""
    listing = Rule(Answer(200, {}, ONE_PART), method="GET", nth=range(1, late + 1))
    again = Rule(Answer(204), method="DELETE", nth=range(2, 100))
    server = fault_server([listing, again, part(said(403, "AccessDenied"))])
    summary = upload(server, [big], settings=SETTINGS)
    [failed] = summary.failed
    assert ("its parts may still be there" in str(failed.error)) is (late == MAX_ABORTS), "and it says so"
    assert counts(server)[4:] == (aborts, aborts)
    assert summary.notes == ()


def test_that_an_upload_is_gone_after_its_abort_is_no_failed_attempt(
    fault_server: StartFaultServer, big: ObjectSource
) -> None:
    server = fault_server([part(said(403, "AccessDenied"))])
    summary = upload(server, [big], settings=SETTINGS)
    assert counts(server)[4:] == (1, 1)
    assert set(summary.causes) == {"403 AccessDenied"}


def test_after_an_abort_whose_answer_was_lost_parts_are_looked_for(
    fault_server: StartFaultServer, big: ObjectSource
) -> None:
    """The next abort is told that the upload is gone; a part that was on its way came after the first one."""
    lost = Rule(Reset(stored=True), method="DELETE", nth=1)
    again = Rule(Answer(204), method="DELETE", nth=3)
    late = Rule(Answer(200, {}, ONE_PART), method="GET", nth=1)
    server = fault_server([lost, again, late, part(said(403, "AccessDenied"))])
    upload(server, [big], settings=SETTINGS)
    assert counts(server)[4:] == (3, 2)


def test_a_proxy_that_has_no_such_page_does_not_say_that_the_parts_are_gone(
    fault_server: StartFaultServer, big: ObjectSource
) -> None:
    listings = [Rule(foreign(404), method="GET", nth=1), Rule(Answer(200, {}, ONE_PART), method="GET", nth=1)]
    again = Rule(Answer(204), method="DELETE", nth=2)
    server = fault_server([*listings, again, part(said(403, "AccessDenied"))])
    upload(server, [big], settings=SETTINGS)
    assert counts(server)[4:] == (2, 3)


# --- streams: what was sent is gone --------------------------------------------------------------------

OF_STREAMS: dict[str, tuple[Sequence[Rule], str]] = {
    "UploadPart 400 BadDigest once": ([part(said(400, "BadDigest"), nth=1)], "success"),
    "UploadPart 400 BadDigest for ever": ([part(said(400, "BadDigest"))], "digest"),
    "Complete is lost for ever and was done": ([complete(LOST)], "success"),
    "UploadPart 404 NoSuchUpload": ([part(said(404, "NoSuchUpload"), nth=1)], "no-such-upload"),
    "Complete 409 OperationAborted": ([complete(said(409, "OperationAborted"), nth=1)], "conflict"),
    "Complete 400 InvalidPart": ([complete(said(400, "InvalidPart"), nth=1)], "invalid-part"),
    "Complete 400 BadDigest": ([complete(said(400, "BadDigest"), nth=1)], "digest"),
}


@pytest.mark.parametrize("signal", OF_STREAMS)
def test_a_stream_cannot_be_read_again(fault_server: StartFaultServer, signal: str) -> None:
    rules, outcome = OF_STREAMS[signal]
    server = fault_server(rules)
    reports = Reports()
    upload(server, [stream()], settings=SETTINGS, progress=reports)
    assert reports.of("big").outcome == outcome
    assert stored(server) == ({"big": BIG} if outcome == "success" else {})
    assert server.model.uploads == {}
    assert counts(server)[0] == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_short_stream_is_hashed_anew_and_sent_again_once(
    fault_server: StartFaultServer, times: int
) -> None:
    server = fault_server([Rule(said(400, "BadDigest"), attempt=range(1, times + 1))])
    summary = upload(server, [stream(body=b"short")], settings=config())
    assert (summary.uploaded, len(server.requests)) == (2 - times, 2)


# --- a file that is too large for one request ----------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1000])
def test_a_file_too_large_for_one_request_goes_in_parts(
    fault_server: StartFaultServer, tmp_path: Path, size: int
) -> None:
    """EntityTooLarge on a PutObject."""
    (tmp_path / "f").write_bytes(BIG[:size])
    server = fault_server(
        lambda r: said(400, "EntityTooLarge") if r.method == "PUT" and not r.query else None
    )
    reports = Reports()
    files = [ObjectSource.file(tmp_path / "f", "f")]
    assert upload(server, files, settings=SETTINGS, progress=reports).uploaded == 1
    assert stored(server) == {"f": BIG[:size]}
    assert counts(server) == (1, 2, 1, 0, 0, 0)
    report = reports.of("f")
    assert (report.bytes, report.attempts, len(report.attempt_reports)) == (size, 1, 4)
