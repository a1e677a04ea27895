"""How far big bodies have come, as events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from s3_upload.observe.events import BytesAcknowledged, Event, Events, Listening
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, Operation
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.observer import BytesTeller
from s3_upload.transfer.record import Record


def test_the_list_of_parts_is_no_bytes_of_the_object() -> None:
    """Of 2,000 parts it is as large as a body: the object would come to more than it has."""
    told: list[Event] = []
    teller = BytesTeller(Events([Listening(told.append, frozenset({BytesAcknowledged}))]))
    source = ObjectSource.data(b"x", "k")
    record = Record(seq=0, source=source, size=1, started_s=0.0, est_MBps=1.0, attempt_reports=[])
    complete = Operation(name=COMPLETE_MULTIPART_UPLOAD, bucket="b", key="k", body=bytes(1 << 20))
    request = SimpleNamespace(operation=complete, settled=False, record=record)
    attempt: Any = SimpleNamespace(request=request, hedge=False)
    teller.tell([attempt], 1.0)
    assert told == []
