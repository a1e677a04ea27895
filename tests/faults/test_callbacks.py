"""Whatever is raised in a callback of the loop ends the run: nothing may leave it without an end.

A loop prints what a callback raises and goes on; whoever waits for what it was to do would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import SourceError
from s3_upload.report import SummaryFold
from s3_upload.sources.local_disk import Nearby
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.line import Line
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.parts_line import PartsLine, PartsUnderWay
from s3_upload.transfer.prepare import Prepare
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.pulling import Pulling
from s3_upload.transfer.read_ahead import ReadAhead
from s3_upload.transfer.reporting import Reporting
from s3_upload.transfer.request import Requests
from s3_upload.transfer.run import Run
from s3_upload.transfer.senders import Senders
from s3_upload.transfer.slots import Slots
from s3_upload.transfer.streams import Streams
from s3_upload.transfer.verdicts import Verdicts
from s3_upload.transfer.waiting import Waiting
from s3_upload.transfer.watchdog import Watchdog
from tests.faults.actions import Rule, s3_error
from tests.faults.uploads import PART_BYTES, upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1_000_000):
        await asyncio.sleep(0)
        yield body[start : start + 1_000_000]


def everything(tmp_path: Path) -> list[ObjectSource]:
    """Of every kind, so that every callback has its turn."""
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "big").write_bytes(bytes(PART_BYTES + 1))
    return [
        ObjectSource(key="socket", path="/s", skip_reason="is a socket"),
        ObjectSource(key="unreadable", path="/p", problem=SourceError("/p: Permission denied")),
        ObjectSource.data(b"x", "data"),
        ObjectSource.file(tmp_path / "small", "small"),
        ObjectSource.file(tmp_path / "big", "big"),
        ObjectSource.file(tmp_path / "missing", "missing"),
        ObjectSource.stream(chunks(b"x"), "stream"),
        ObjectSource.stream(chunks(bytes(2 * PART_BYTES)), "long stream"),
        ObjectSource.data(b"x", "again"),
    ]


class BrokenError(Exception):
    pass


PLACES: list[tuple[type, str]] = [
    (ReadAhead, "top_up"), (ReadAhead, "_start_batch"), (ReadAhead, "_start_part"), (Pulling, "pull"),
    (Prepare, "record"), (Prepare, "sizes"),
    (Senders, "send"), (Senders, "_go"), (Senders, "_send"), (Streams, "begin"), (Streams, "end"),
    (PartsLine, "add"), (PartsUnderWay, "end"), (MultipartUpload, "begin_part"),
    (MultipartUpload, "send_part"), (Nearby, "saw"),
    (Memory, "hold"), (Memory, "release"), (Requests, "begin"), (Requests, "carry_out"), (Requests, "_ended"),
    (Slots, "stand"), (Slots, "let_in"), (Slots, "leave"), (Line, "pop"), (Verdicts, "on"),
    (Verdicts, "succeeded"), (Waiting, "add"), (Reporting, "ended"), (Reporting, "unread"),
    (Delivery, "deliver"), (SummaryFold, "add"), (Run, "_changed"), (Watchdog, "watch"),
    (Watchdog, "unwatch"),
]  # fmt: skip
NTHS = (1, 2, 3, 5, 8, 13, 21)


def broken_at(nth: int, works: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    """What `works` does, but for the nth call, which fails; each call is counted in `calls`."""

    def breaks(*arguments: Any, **named: Any) -> Any:
        calls.append(nth)
        if len(calls) == nth:
            raise BrokenError
        return works(*arguments, **named)

    return breaks


@pytest.mark.parametrize(("place", "name"), PLACES, ids=[f"{p.__name__}.{name}" for p, name in PLACES])
def test_whatever_breaks_wherever_it_is_called_from_ends_the_run(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    """The nth call fails, be it in a task or a callback: the run raises that, or never comes to it; but it
    comes to the first."""
    works = getattr(place, name)
    for nth in NTHS:
        calls: list[int] = []
        monkeypatch.setattr(place, name, broken_at(nth, works, calls))
        server = fault_server([Rule(s3_error(500, "InternalError"), key="again", nth=1)])
        try:
            upload(server, everything(tmp_path), progress=lambda _: None)
        except BrokenError:
            assert len(calls) >= nth
        else:
            assert len(calls) < nth
            break
    assert nth > 1, "nobody calls it"


ERRORS: list[BaseException] = [KeyError("mine"), StopIteration(), asyncio.CancelledError(), RuntimeError("x")]
NO_ERRORS = (StopIteration, asyncio.CancelledError)
"""What others would take for an end that was asked for."""


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["skipped", "unreadable", "missing", "uploaded"])
def test_what_progress_raises_ends_the_run_whatever_it_is(
    fault_server: StartFaultServer, kind: str, error: BaseException
) -> None:
    """Reports of what is not sent are made in callbacks, with no task around them."""
    make: Callable[[], ObjectSource] = {
        "skipped": lambda: ObjectSource(key="k", path="/s", skip_reason="is a socket"),
        "unreadable": lambda: ObjectSource(key="k", path="/p", problem=SourceError("/p: denied")),
        "missing": lambda: ObjectSource.file("/no/such/file", "k"),
        "uploaded": lambda: ObjectSource.data(b"x", "k"),
    }[kind]

    def progress(_: object) -> None:
        raise error

    expected = RuntimeError if isinstance(error, NO_ERRORS) else type(error)
    with pytest.raises(expected):
        upload(fault_server(), [make()], progress=progress)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_default_request_raises_ends_the_run_whatever_it_is(
    fault_server: StartFaultServer, tmp_path: Path, error: BaseException
) -> None:
    def default_request(_: object) -> None:
        raise error

    expected = RuntimeError if isinstance(error, NO_ERRORS) else type(error)
    for source in everything(tmp_path)[2:]:
        if source.key == "missing":
            continue
        with pytest.raises(expected):
            upload(fault_server(), [source], default_request=default_request)
