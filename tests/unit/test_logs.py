"""A run's events as lines of `logging`: which, at which level, and what nobody asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import FailureKind, UploadError
from s3_upload.observe.events import (
    AttemptEnded,
    Event,
    LimitsChanged,
    ObjectEnded,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.observe.logs import log_lines
from s3_upload.report import UploadReport
from tests.unit.control.reports import attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = UploadError("the store answered 400", key="a\nb", kind=FailureKind.REJECTED)
LINES: list[tuple[Event, str, int, str]] = [
    (
        AttemptEnded(at_s=1.0, seq=0, key="a\nb", report=attempt()),
        "s3_upload.attempts",
        logging.DEBUG,
        "a\\nb: PutObject",
    ),
    (
        UploadCreated(at_s=1.0, seq=0, key="k", upload_id="id", part_size=5),
        "s3_upload.attempts",
        logging.DEBUG,
        "k: multipart upload id",
    ),
    (
        ObjectEnded(at_s=1.0, report=UploadReport(seq=0, key="k", source="f", bytes=5, outcome="success")),
        "s3_upload.objects",
        logging.INFO,
        "uploaded f to k",
    ),
    (
        ObjectEnded(
            at_s=1.0,
            report=UploadReport(seq=0, key="a\nb", source="f", bytes=0, outcome="rejected", error=FAILED),
        ),
        "s3_upload.objects",
        logging.INFO,
        "failed f to a\\nb: the store answered 400",
    ),
    (
        LimitsChanged(at_s=1.0, requests=3, max_requests=8, limited_by="link"),
        "s3_upload.limits",
        logging.INFO,
        "limited by link: 3 of 8 requests under way",
    ),
    (
        StoreAway(at_s=2.0, since_s=1.0, next_try_s=3.0, cause="refused"),
        "s3_upload.objects",
        logging.INFO,
        "the store is away since 1.000 s: refused",
    ),
    (StoreBack(at_s=2.0, since_s=1.0), "s3_upload.objects", logging.INFO, "the store is back"),
]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    for name in ("s3_upload", "s3_upload.objects", "s3_upload.limits", "s3_upload.attempts"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize(("event", "name", "level", "text"), LINES, ids=lambda value: str(value)[:30])
def test_each_event_is_one_line_of_its_logger(
    caplog: pytest.LogCaptureFixture, event: Event, name: str, level: int, text: str
) -> None:
    caplog.set_level(logging.DEBUG, "s3_upload")
    listening = log_lines()
    assert listening is not None
    assert type(event) in listening.kinds
    listening.listener(event)
    [record] = caplog.records
    assert (record.name, record.levelno) == (name, level)
    assert record.getMessage().startswith(text)
    assert "\n" not in record.getMessage()


def test_who_keeps_no_log_pays_for_none() -> None:
    assert log_lines() is None


def test_attempts_are_made_into_events_for_those_alone_who_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "s3_upload")
    listening = log_lines()
    assert listening is not None
    assert listening.kinds == {ObjectEnded, StoreAway, StoreBack, LimitsChanged}


def test_a_program_without_logging_sees_nothing_of_it() -> None:
    program = "import s3_upload.observe.logs as logs; logs.OBJECTS.error('x'); logs.OBJECTS.warning('y')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (result.stdout, result.stderr) == (b"", b"")
