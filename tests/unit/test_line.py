"""The order in which those go who stand in line for a slot."""

from __future__ import annotations

from s3_upload.s3.operations import (
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    PUT_OBJECT,
    UPLOAD_PART,
    Operation,
)
from s3_upload.transfer.line import Line, Place, Stander

PLACES = {COMPLETE_MULTIPART_UPLOAD: Place.FIRST, UPLOAD_PART: Place.PART}


def stander(name: str, part_number: int = 0) -> Stander:
    operation = Operation(name=name, bucket="b", key="key", part_number=part_number)
    return Stander(operation, lambda: True, PLACES.get(name, Place.NEW))


def order(line: Line) -> list[Stander]:
    found = []
    while line.length:
        found.append(line.pop())
    return found


def test_what_ends_an_object_goes_first_and_parts_in_the_order_of_coming() -> None:
    """Parts came all the time, and each went first: a file was completed at the end of the run."""
    line = Line()
    parts = [stander(UPLOAD_PART, part_number=number) for number in (1, 2, 3)]
    complete = stander(COMPLETE_MULTIPART_UPLOAD)
    for one in parts[:2]:
        line.add(one)
    line.add(complete)
    line.add(parts[2])
    assert order(line) == [complete, *parts]


def test_bytes_go_before_what_brings_more_of_them() -> None:
    line = Line()
    create, put = stander(CREATE_MULTIPART_UPLOAD), stander(PUT_OBJECT)
    parts = [stander(UPLOAD_PART, part_number=number) for number in (1, 2)]
    for new in (create, put):
        line.add(new)
    for part in parts:
        line.add(part)
    assert line.length == 4
    assert order(line) == [*parts, create, put]


def test_who_had_to_wait_elsewhere_goes_before_all_others() -> None:
    line = Line()
    first, waited = stander(COMPLETE_MULTIPART_UPLOAD), stander(PUT_OBJECT)
    line.add(first)
    line.put_back(waited)
    assert order(line) == [waited, first]


def test_where_nothing_is_begun_any_more_only_what_was_tried_before_goes() -> None:
    line = Line()
    complete, put, part = stander(COMPLETE_MULTIPART_UPLOAD), stander(PUT_OBJECT), stander(UPLOAD_PART, 1)
    for one in (put, part, complete):
        line.add(one)
    line.only_first()
    line.add(stander(PUT_OBJECT))
    line.put_back(stander(UPLOAD_PART, 2))
    assert order(line) == [complete]


def test_nor_goes_what_had_to_wait_elsewhere_and_was_never_tried() -> None:
    """For the rate that the store accepts, say: a run that was cancelled began it."""
    line, complete = Line(), stander(COMPLETE_MULTIPART_UPLOAD)
    for one in (stander(PUT_OBJECT), complete, stander(UPLOAD_PART, 1), stander(CREATE_MULTIPART_UPLOAD)):
        line.put_back(one)
    line.only_first()
    assert line.length == 1
    assert order(line) == [complete]
