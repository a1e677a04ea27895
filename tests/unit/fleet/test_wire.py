"""What processes say to each other comes out as it went in."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from s3_upload.errors import ConfigError, FailureKind, UploadError
from s3_upload.fleet.member import travelling
from s3_upload.fleet.wire import (
    Ended,
    Finish,
    Frame,
    Frames,
    Lease,
    Stop,
    Told,
    Work,
    check_travels,
    framed,
    kinds_of,
    numbers_of,
    packed,
    unpacked,
)
from s3_upload.observe.events import (
    KINDS,
    AttemptEnded,
    BytesAcknowledged,
    Event,
    LimitsChanged,
    ObjectBegun,
    ObjectEnded,
    PartStored,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.report import AttemptReport, UploadReport
from s3_upload.request_fields import RequestFields
from s3_upload.sources.content_type import Guess
from s3_upload.sources.source import ObjectSource

NO_UTF8 = b"\xff\xfe.txt".decode("utf-8", "surrogateescape")
ATTEMPT = AttemptReport(
    operation="PutObject", started_s=0.5, ended_s=1.0, timeout_s=9.0, body_bytes=7,
    outcome=FailureKind.THROTTLE, status=503, code="SlowDown", hedged=True,
)  # fmt: skip
EVENTS: list[Event] = [
    ObjectBegun(at_s=0.1, seq=1, key=NO_UTF8, source=f"/src/{NO_UTF8}", size=None),
    UploadCreated(at_s=0.2, seq=1, key="k", upload_id="u", part_size=5, size=9, mtime_ns=3, ctime_ns=4),
    PartStored(at_s=0.3, seq=1, key="k", upload_id="u", part_number=2, bytes=5, etag='"e"', checksum="c"),
    BytesAcknowledged(at_s=0.4, seq=1, key="k", bytes=3, size=9),
    AttemptEnded(at_s=0.5, seq=1, key="k", report=ATTEMPT),
    LimitsChanged(at_s=0.6, requests=1, max_requests=2, limited_by="link", silent_since_s=0.1),
    StoreAway(at_s=0.7, since_s=0.1, next_try_s=1.0, cause="reset"),
    StoreBack(at_s=0.8, since_s=0.1),
    ObjectEnded(
        at_s=0.9,
        report=UploadReport(
            seq=1, key=NO_UTF8, source="s", bytes=7, outcome="success", attempt_reports=(ATTEMPT, ATTEMPT)
        ),
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_that_is_packed_and_unpacked_is_the_same(event: Event) -> None:
    there = pickle.loads(pickle.dumps(packed(event)))
    assert unpacked(there) == event
    assert unpacked(there) == event  # what was packed stays as it was


def test_there_is_one_of_each_kind() -> None:
    assert {type(event) for event in EVENTS} == set(KINDS)
    assert kinds_of(numbers_of(frozenset(KINDS))) == set(KINDS)


def test_what_an_object_failed_of_travels_too_and_its_source_stays() -> None:
    error = UploadError(
        "no", key=NO_UTF8, kind=FailureKind.REJECTED, attempts=2, status=400, code="C", request_id="r"
    )
    report = UploadReport(
        seq=1, key=NO_UTF8, source="s", bytes=0, outcome=error.kind, error=error,
        object=ObjectSource.file("/a", "a"),
    )  # fmt: skip
    event = unpacked(pickle.loads(pickle.dumps(packed(ObjectEnded(at_s=1.0, report=report)))))
    assert isinstance(event, ObjectEnded)
    there = event.report
    assert there.object is None
    assert there.outcome is FailureKind.REJECTED
    assert type(there.error) is UploadError
    assert (str(there.error), vars(there.error)) == (str(error), vars(error))


def test_frames_come_out_whole_however_the_bytes_come() -> None:
    sent: list[Frame] = [
        Work([(f"/{NO_UTF8}", NO_UTF8, RequestFields())]),
        Lease(1.5),
        Told([packed(EVENTS[0])]),
        Finish(),
    ]
    sent += [Finish(), Stop(at_once=True)]
    stream = b"".join(map(framed, sent))
    assert Frames().fed(stream) == sent
    frames, one_by_one = Frames(), list[Any]()
    for number in range(len(stream)):
        one_by_one += frames.fed(stream[number : number + 1])
    assert one_by_one == sent


def test_an_error_that_cannot_be_made_anew_is_told_in_words() -> None:
    # Here: Dask has Python pickle exceptions, of all classes that there are, in a way of its own.
    class PickyError(Exception):
        def __reduce__(self) -> tuple[type[int], tuple[str]]:
            return int, ("no number",)

    [told] = Frames().fed(framed(travelling(Ended(error=PickyError("why")))))
    assert isinstance(told, Ended)
    assert str(told.error) == "PickyError('why')"


def test_a_function_that_cannot_be_found_again_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"^processes: default_request cannot be sent .* processes=1$"):
        check_travels("default_request", lambda source: None)
    of_script = eval("lambda source: None", {"__name__": "__main__"})
    with pytest.raises(ConfigError, match="is defined in the script itself"):
        check_travels("default_request", of_script)
    check_travels("default_request", _said)


def _said(source: ObjectSource) -> None: ...


def test_a_guess_travels_and_says_the_same() -> None:
    guess = Guess(RequestFields(metadata={"a": "b"}), {"gcode": "text/x-gcode"})
    there = pickle.loads(pickle.dumps(guess))
    for name in ("a.gcode", "a.txt", "a"):
        source = ObjectSource.file(f"/{name}", name)
        assert there(source) == guess(source)
    assert there.said == guess.said
