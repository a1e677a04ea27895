"""The order in which goes what is ready for a slot."""

from __future__ import annotations

from s3_upload.s3.operations import (
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    PUT_OBJECT,
    UPLOAD_PART,
    Operation,
)
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.ready import Ready
from s3_upload.transfer.unit import Unit, Upload


class Begun(Upload):
    upload_id = "id"


def unit(name: str, kind: type[Upload] = Begun, part_number: int = 0) -> Unit:
    upload = kind(0, ObjectSource.data(b"", "key"), 0, started_s=0.0, est_MBps=1.0)
    return Unit(upload, Operation(name=name, bucket="b", key="key", part_number=part_number))


def test_what_ends_an_object_goes_first_and_parts_in_the_order_of_coming() -> None:
    """Parts came all the time, and each went first: a file was completed at the end of the run."""
    ready = Ready()
    parts = [unit(UPLOAD_PART, part_number=number) for number in (1, 2, 3)]
    complete = unit(COMPLETE_MULTIPART_UPLOAD)
    for one in (*parts[:2], complete, parts[2]):
        ready.put_begun(one)
    assert list(ready) == [complete, *parts]


def test_bytes_go_before_what_brings_more_of_them() -> None:
    ready = Ready()
    create, put = unit(CREATE_MULTIPART_UPLOAD, Upload), unit(PUT_OBJECT, Upload)
    parts = [unit(UPLOAD_PART, part_number=number) for number in (1, 2)]
    ready.extend((create, put))
    for part in parts:
        ready.put_begun(part)
    assert list(ready) == [*parts, create, put]
