"""What type checkers make of the public names: mypy and pyright read this (`make check`); it also runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_type

import pytest

from s3_upload import (
    AttemptEnded,
    BytesAcknowledged,
    Client,
    ConfigError,
    DefaultRequest,
    Event,
    Journal,
    Listener,
    Listening,
    ObjectEnded,
    ObjectSource,
    Pace,
    Progress,
    RequestFields,
    Running,
    Settings,
    Share,
    Sources,
    UploadConfig,
    UploadReport,
    UploadSources,
    UploadSummary,
    start_upload,
    upload,
    upload_async,
)


def calls(client: Client, sources: UploadSources, settings: Settings, share: Share) -> None:
    """Is read and never called."""
    assert_type(upload("photos", "s3://b/p"), UploadSummary)
    assert_type(upload(sources, "s3://b", client=client, **settings), UploadSummary)
    upload(["a", Path("b")], "s3://b/p", progress=True, share=share, part_size="16MiB", max_outage_s=300)
    upload([Path("a")], "s3://b/p", progress=print, events=lambda event: None, exclude=["*.tmp"])
    upload([ObjectSource.data(b"", "k")], "s3://b", fields=RequestFields(acl="private"))
    upload((ObjectSource.file(name, name) for name in "ab"), "s3://b")
    upload("p", "s3://b", journal=Path("p.journal"), resume_multipart=True)
    upload("p", "s3://b", processes=2)
    upload("p", "s3://b", processes="auto", executor=ThreadPoolExecutor(2))
    upload("p", "s3://b", journal=Journal("p.journal"))
    upload("p", "s3://b", journal=7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    upload("p", "s3://b", n_retry=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    upload("p", "s3://b", share="half")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    upload(7, "s3://b")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def handle() -> None:
    with start_upload("photos", "s3://b/p", endpoint_url="http://localhost:9000") as running:
        assert_type(running, Running)
        for event in running:
            assert_type(event, Event)
            if isinstance(event, ObjectEnded):
                assert_type(event.report, UploadReport)
                assert_type(event.report.object, ObjectSource | None)
            elif isinstance(event, AttemptEnded | BytesAcknowledged):
                assert_type(event.key, str)
        running.limit("20MB/s")
        assert_type(running.summary(), UploadSummary)
    assert_type(running.wait(), UploadSummary)


async def coroutines(sources: Sources) -> None:
    assert_type(await upload_async("photos", "s3://b/p"), UploadSummary)
    async with start_upload(sources, "s3://b") as running:
        async for event in running:
            assert_type(event, Event)
        assert_type(await running, UploadSummary)


def test_settings_are_numbers_though_they_may_be_given_as_texts() -> None:
    config = UploadConfig(part_size="16MiB", max_in_flight_bytes=1 << 30, max_outage_s="5m", min_timeout=2)
    assert_type(config.part_size, int)
    assert_type(config.max_outage_s, float)
    assert (config.part_size, config.max_outage_s, config.min_timeout) == (16 << 20, 300.0, 2)


def test_what_is_given_to_a_run_can_be_annotated() -> None:
    seen: list[object] = []
    progress: Progress = seen.append
    listener: Listener = seen.append
    by_source: DefaultRequest = lambda source: None  # noqa: E731
    assert callable(progress)
    assert by_source(ObjectSource.data(b"", "k")) is None
    assert Listening(listener).listener is listener
    with pytest.raises(ConfigError):
        Pace("half")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
