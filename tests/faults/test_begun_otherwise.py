"""An upload in parts that was begun when something else was said of its object: that is said for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.request_fields import CustomerKey, RequestFields
from s3_upload.s3.fields import mark_of
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Rule, Stall, s3_error
from tests.faults.test_journal import begun_elsewhere, broken_off, journaled, parts_sent, slices, tree
from tests.faults.uploads import BUCKET, big, config, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

SAID = RequestFields(storage_class="GLACIER", metadata={"a": "b"})
SHOWN = {"x-amz-storage-class": "GLACIER", "x-amz-meta-a": "b"}
ALL = [1, 2, 3, 4, 5]


def headers_of(server: FaultServer) -> dict[str, str]:
    return server.model.objects[f"{BUCKET}/big"].headers


def left_there(fault_server: StartFaultServer, tmp_path: Path) -> tuple[FaultServer, list[ObjectSource]]:
    """Nobody here knows how it was begun."""
    server, files = fault_server(), tree(tmp_path / "files", {"big": big()})
    parts = slices(big())
    begun_elsewhere(server, {n: parts[n] for n in (1, 2, 4)})
    return server, files


def test_what_lacks_what_is_said_of_it_now_is_sent_again_from_its_beginning(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files = left_there(fault_server, tmp_path)
    summary = upload(server, files, resume_multipart=True, default_request=lambda _: SAID)
    assert (summary.uploaded, summary.resumed_bytes, stored(server)) == (1, 0, {"big": big()})
    assert SHOWN.items() <= headers_of(server).items()
    assert parts_sent(server) == sorted([3, 5, *ALL])
    assert summary.wasted_bytes == sum(len(slices(big())[number]) for number in (3, 5))
    assert server.model.uploads == {}
    [note] = [note for note in summary.notes if "what is said now" in note]
    assert (
        note == "one of these had been begun without what is said now, and was sent again from the beginning"
    )


def test_what_was_begun_as_it_is_said_now_is_not_sent_again(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files = left_there(fault_server, tmp_path)
    server.model.uploads["elsewhere"].headers.update(SHOWN)
    summary = upload(server, files, resume_multipart=True, default_request=lambda _: SAID)
    assert (summary.uploaded, parts_sent(server)) == (1, [3, 5])
    assert len(server.of("HEAD")) == 1
    assert not [note for note in summary.notes if "what is said now" in note]


def test_what_lacks_it_fails_where_nothing_is_overwritten(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files = left_there(fault_server, tmp_path)
    how: dict[str, Any] = {"settings": config(if_exists="skip"), "default_request": lambda _: SAID}
    summary = upload(server, files, resume_multipart=True, **how)
    [failed] = summary.failed
    assert "its x-amz-storage-class is not what is asked for" in str(failed.error)
    assert parts_sent(server) == [3, 5]
    assert not [note for note in summary.notes if "sent again" in note]


def test_that_the_store_does_not_tell_how_it_was_begun_is_said(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files = left_there(fault_server, tmp_path)
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="HEAD")])
    summary = upload(server, files, resume_multipart=True, default_request=lambda _: SAID)
    assert (summary.uploaded, parts_sent(server)) == (1, [3, 5])
    [note] = [note for note in summary.notes if "what is said now" in note]
    assert note == "whether what is said now was said when one of these was begun, the store does not tell"


@pytest.mark.parametrize(
    ("first", "then", "goes_on"),
    [
        (RequestFields(), SAID, False),
        (SAID, RequestFields(), False),
        (SAID, SAID, True),
        (SAID, RequestFields(storage_class="GLACIER", metadata={"a": "c"}), False),
        (SAID, RequestFields(storage_class="GLACIER", metadata={"a": "b"}, request_payer="requester"), True),
    ],
)
@pytest.mark.parametrize("by", ["the source", "a function"])
def test_what_a_journal_knows_is_gone_on_with_only_where_the_same_is_said_of_it(
    fault_server: StartFaultServer,
    tmp_path: Path,
    *,
    first: RequestFields,
    then: RequestFields,
    goes_on: bool,
    by: str,
) -> None:
    server = fault_server([Rule(Stall(), query={"partNumber": "3"}, nth=1)])
    [plain], journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"

    def said(fields: RequestFields) -> list[ObjectSource]:
        return [ObjectSource.file(plain.path, plain.key, fields=fields)]

    broken_off(server, said(first), journal, after="partNumber=2")
    asked = len(server.requests)
    if by == "the source":
        summary = journaled(server, said(then), journal)
    else:
        summary = journaled(server, [plain], journal, default_request=lambda _: then)
    assert (summary.uploaded, stored(server)) == (1, {"big": big()})
    assert (set(parts_sent(server, asked)) != set(ALL)) is goes_on
    shown = {name: value for name, value in headers_of(server).items() if name in SHOWN}
    wanted = {"x-amz-storage-class": then.storage_class, "x-amz-meta-a": then.metadata.get("a")}
    assert shown == {name: value for name, value in wanted.items() if value}
    assert server.model.uploads == {}


def test_the_mark_of_what_is_said_shows_no_key_and_tells_keys_apart() -> None:
    keys = [CustomerKey(byte * 32) for byte in (b"1", b"2", b"1")]
    first, second, same = (mark_of(RequestFields(sse_customer_key=key)) for key in keys)
    assert first == same != second
    assert keys[0].base64 not in first


def test_what_no_header_can_carry_has_no_mark() -> None:
    assert mark_of(RequestFields(cache_control="a\nb")) == ""
