"""The events of a run, with real sockets: what is told, in which order, and what it costs to listen."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.observe.events import (
    AttemptEnded,
    BytesAcknowledged,
    Event,
    LimitsChanged,
    Listening,
    ObjectBegun,
    ObjectEnded,
    PartStored,
    StoreAway,
    StoreBack,
    UploadCreated,
)
from s3_upload.observe.limits import AWAY, NAMES
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Rule, Stall, s3_error
from tests.faults.test_outage import SMALL, WAITS, Tripping, nth_request
from tests.faults.uploads import BUCKET, PART_BYTES, config, quiet, run, sources, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

BIG = random.Random(5).randbytes(2 * PART_BYTES + 1)
MOMENTARY = (BytesAcknowledged, LimitsChanged)
"""What is told at moments that the machine's speed decides."""


def heard_until(
    server: FaultServer, files: Any, *kinds: type, enough: Callable[[Any], bool], **options: Any
) -> list[Any]:
    """What a listener hears of an upload, up to the event that is `enough`: it ends the run."""
    heard: list[Any] = []

    class EnoughError(Exception):
        pass

    def listen(event: Event) -> None:
        heard.append(event)
        if enough(event):
            raise EnoughError

    with pytest.raises(EnoughError):
        upload(server, files, events=Listening(listen, frozenset(kinds)), **options)
    return heard


def test_a_small_object_begins_is_tried_and_ends(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(s3_error(500, "InternalError"), nth=1)])
    heard: list[Event] = []
    upload(server, {"a": b"body"}, events=heard.append)
    begun, failed, done, ended = [event for event in heard if not isinstance(event, MOMENTARY)]
    assert begun == ObjectBegun(at_s=begun.at_s, seq=0, key="a", source="data", size=4)
    assert isinstance(failed, AttemptEnded)
    assert isinstance(done, AttemptEnded)
    assert (failed.report.status, done.report.status) == (500, 200)
    assert isinstance(ended, ObjectEnded)
    assert ended.report.attempt_reports == (failed.report, done.report)
    times_s = [event.at_s for event in heard]
    assert times_s == sorted(times_s)


def test_an_object_in_parts_tells_its_upload_id_and_each_part(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "big"
    path.write_bytes(BIG)
    server = fault_server()
    heard: list[Event] = []
    kinds = frozenset({ObjectBegun, UploadCreated, PartStored, ObjectEnded})
    upload(server, [ObjectSource.file(path, "big")], events=Listening(heard.append, kinds))
    begun, created, *parts, ended = heard
    assert isinstance(begun, ObjectBegun)
    assert begun.size == len(BIG)
    assert isinstance(created, UploadCreated)
    assert (created.part_size, created.key) == (PART_BYTES, "big")
    assert created.upload_id
    numbers = {part.part_number: part.bytes for part in parts if isinstance(part, PartStored)}
    assert numbers == {1: PART_BYTES, 2: PART_BYTES, 3: 1}
    assert all(part.etag for part in parts if isinstance(part, PartStored))
    assert isinstance(ended, ObjectEnded)


def test_the_bytes_of_a_big_body_are_told_while_it_is_on_its_way(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """The server stops reading in the middle, until enough was heard: then the body goes on."""
    taken = 1 << 20
    path = tmp_path / "big"
    path.write_bytes(BIG[: 4 << 20])
    server = fault_server([Rule(Stall(after_body_bytes=taken), nth=1)], receive_buffer_bytes=64 << 10)
    files = [ObjectSource.file(path, "big")]
    heard = heard_until(server, files, BytesAcknowledged, enough=lambda event: event.bytes >= taken)
    assert all(0 <= event.bytes < 4 << 20 for event in heard)
    assert {(event.key, event.seq, event.size) for event in heard} == {("big", 0, 4 << 20)}


@pytest.mark.parametrize("said", [None, 2 * PART_BYTES + 1], ids=["unknown", "said"])
def test_the_size_of_a_stream_is_what_was_said_of_it_and_not_what_has_come(
    fault_server: StartFaultServer, said: int | None
) -> None:
    """A part stalls until it was told how far it is."""
    server = fault_server([Rule(Stall(after_body_bytes=1 << 20), query={"partNumber": "1"})])
    files = [ObjectSource.stream([BIG], "stream", said)]
    heard = heard_until(
        server,
        files,
        ObjectBegun,
        BytesAcknowledged,
        enough=lambda event: isinstance(event, BytesAcknowledged),
    )
    assert [event.size for event in heard] == [said, said]


def test_an_outage_and_its_end_are_told(fault_server: StartFaultServer) -> None:
    server = fault_server()
    heard: list[Event] = []

    async def main(_: S3Client) -> UploadSummary:
        async with Tripping(server, nth_request(15), 3) as client:
            listening = Listening(heard.append, frozenset({StoreAway, StoreBack}))
            summary = await s3_upload_files(client, BUCKET, sources(SMALL), WAITS, events=listening)
            await quiet()
            return summary

    run(server, main)
    *away, back = heard
    assert away
    for event in away:
        assert isinstance(event, StoreAway)
        assert event.since_s <= event.at_s <= event.next_try_s
        assert event.cause
    assert isinstance(back, StoreBack)


def test_what_limits_is_told_by_names_that_are_known(fault_server: StartFaultServer) -> None:
    server = fault_server()
    heard: list[Event] = []
    summary = upload(
        server,
        {f"k{n:04}": bytes(2_000) for n in range(1_500)},
        settings=config(max_in_flight=2),
        events=Listening(heard.append, frozenset({LimitsChanged})),
    )
    limits = [event for event in heard if isinstance(event, LimitsChanged)]
    assert {event.limited_by for event in limits} <= set(NAMES)
    assert all(0 <= event.requests <= event.max_requests == 2 for event in limits)
    assert set(summary.limits) <= set(NAMES)
    assert 0.9 <= sum(summary.limits.values()) <= 1.001


def test_what_a_listener_raises_ends_the_run(fault_server: StartFaultServer) -> None:
    def listen(event: Event) -> None:
        raise ZeroDivisionError("of the listener's")

    with pytest.raises(ZeroDivisionError, match="of the listener's"):
        upload(fault_server(), {"a": b"1"}, events=listen)


def test_so_it_is_when_the_run_is_through(fault_server: StartFaultServer) -> None:
    """The last look tells what limited, and what that raised was lost: `--json` into a closed pipe gave 0."""
    heard_until(fault_server(), {"a": b"1"}, LimitsChanged, enough=lambda event: event.requests == 0)


def test_a_listener_that_is_none_is_refused(fault_server: StartFaultServer) -> None:
    with pytest.raises(TypeError, match="events"):
        upload(fault_server(), {"a": b"1"}, events=7)


def test_a_store_that_takes_nothing_in_any_more_is_said_to_be_silent(fault_server: StartFaultServer) -> None:
    """As a process that is stopped, whose kernel takes in what there is room for."""
    server = fault_server([Rule(Stall(after_body_bytes=0), method="PUT")])
    heard = heard_until(
        server,
        {"big": bytes(4 * PART_BYTES)},
        LimitsChanged,
        enough=lambda event: event.silent_since_s is not None,
        settings=config(multipart_threshold=5 * PART_BYTES),
    )
    assert heard[-1].limited_by == AWAY
