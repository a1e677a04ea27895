"""Uploads in parts that one process has begun, for whoever goes on with one."""

from __future__ import annotations

import msgspec
import pytest

from s3_upload.errors import ConfigError
from s3_upload.fleet.kept_uploads import KeptUploads
from s3_upload.fleet.processes import MAX_PROCESSES, Spread, check_processes
from s3_upload.observe.events import ObjectEnded, PartStored, UploadCreated
from s3_upload.observe.journal_rows import KnownUploads, PartRow, UploadRow
from s3_upload.report import UploadReport
from tests.unit.reports import attempt

CREATED = UploadCreated(
    at_s=0.0, seq=1, key="k", upload_id="u", part_size=5, size=9, mtime_ns=3, ctime_ns=4,
    checksum_algorithm="CRC32", checksum_type="FULL_OBJECT",
)  # fmt: skip
STORED = PartStored(at_s=1.0, seq=1, key="k", upload_id="u", part_number=1, bytes=5, etag="e", checksum="c")
ENDED = ObjectEnded(at_s=2.0, report=UploadReport(seq=1, key="k", source="s", bytes=9, outcome="success"))
FAILED = ObjectEnded(at_s=2.0, report=msgspec.structs.replace(ENDED.report, outcome="timeout"))
ROW = UploadRow("u", "k", 5, 9, 3, 4, "CRC32", "FULL_OBJECT")


def ended_by(*operations: str) -> ObjectEnded:
    """The same, by these requests."""
    attempts = tuple(attempt(0.0, 1.0, 9, operation=name) for name in operations)
    return ObjectEnded(at_s=2.0, report=msgspec.structs.replace(ENDED.report, attempt_reports=attempts))


class Before:
    """A journal."""

    works = True

    def __init__(self) -> None:
        self.creating: list[str] = []
        self.ended: list[str] = []
        self.was_freed: list[str] = []

    def known_uploads(self, key: str) -> KnownUploads:
        return KnownUploads(((UploadRow("old", key, 5, 9, 3, 4), {}), (ROW, {})), 7.0)

    def begin_creating(self, key: str) -> None:
        self.creating.append(key)

    def end_upload(self, upload_id: str) -> None:
        self.ended.append(upload_id)

    def outlived(self) -> list[tuple[str, str]]:
        return [("k", "old")]

    def freed(self, upload_id: str) -> None:
        self.was_freed.append(upload_id)


def test_what_one_has_begun_another_knows_with_its_parts() -> None:
    kept = KeptUploads(None)
    kept.begin_creating("k")
    assert kept.known_uploads("k").creating_since_s is not None
    kept.hear(CREATED)
    kept.hear(STORED)
    assert kept.known_uploads("k") == KnownUploads(((ROW, {1: PartRow("u", 1, 5, "e", "c")}),))
    assert [one.row.upload_id for one in kept.left()] == ["u"]
    kept.hear(ended_by("ListParts", "UploadPart", "CompleteMultipartUpload"))
    assert kept.known_uploads("k") == KnownUploads(())
    assert kept.left() == []


def test_what_is_ended_is_not_left() -> None:
    kept = KeptUploads(None)
    kept.hear(CREATED)
    kept.end_upload("u")
    assert kept.left() == []
    assert not kept.works


def test_what_a_failed_object_may_have_in_the_store_is_left() -> None:
    kept = KeptUploads(None)
    kept.hear(CREATED)
    kept.hear(FAILED)
    assert [one.row.upload_id for one in kept.left()] == ["u"]


def test_what_an_object_that_went_in_one_request_has_left_of_a_larger_file_is_left() -> None:
    kept = KeptUploads(None)
    kept.hear(CREATED)
    kept.hear(ended_by("HeadObject", "PutObject"))
    assert [one.row.upload_id for one in kept.left()] == ["u"]


def test_what_another_run_finds_is_left_to_it_but_for_what_is_outlived() -> None:
    kept = KeptUploads(None)
    for upload_id, key in (("u", "k"), ("other", "other")):
        kept.hear(msgspec.structs.replace(CREATED, upload_id=upload_id, key=key))
    kept.hear(ended_by("PutObject"))
    assert [one.row.upload_id for one in kept.left(keeps=True)] == ["u"]


def test_a_journal_is_asked_and_told_too_and_what_is_newer_counts() -> None:
    before = Before()
    kept = KeptUploads(before)
    kept.hear(CREATED)
    kept.hear(STORED)
    known = kept.answer("known_uploads", "k")
    assert [(row.upload_id, sorted(parts)) for row, parts in known.uploads] == [("old", []), ("u", [1])]
    assert known.creating_since_s == 7.0
    kept.answer("begin_creating", "k")
    kept.answer("end_upload", "u")
    assert (before.creating, before.ended, kept.works) == (["k"], ["u"], True)
    assert kept.outlived() == [("k", "old")]
    kept.freed("old")
    assert before.was_freed == ["old"]


def test_who_cannot_ask_is_told_beforehand_of_those_keys_of_which_something_is_known() -> None:
    kept = KeptUploads(None)
    kept.hear(CREATED)
    kept.perhaps_begun(["lost"], 5.0)
    assert kept.known_of(["k", "lost", "new"]) == {
        "k": KnownUploads(((ROW, {}),)),
        "lost": KnownUploads((), 5.0),
    }


@pytest.mark.parametrize("given", [1, 2, MAX_PROCESSES, "auto"])
def test_processes_may_be_a_number_or_auto(given: object) -> None:
    assert check_processes(given) == given


@pytest.mark.parametrize("given", [0, -1, MAX_PROCESSES + 1, True, 2.0, "2", None])
def test_other_numbers_of_processes_are_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=f"processes = {given!r}: must be a whole number from 1 to 256"):
        check_processes(given)


def test_only_auto_grows() -> None:
    assert [Spread(given).grows for given in (1, 2, "auto")] == [False, False, True]
