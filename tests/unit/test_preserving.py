"""The time of modification as metadata, as rclone writes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3_upload import ConfigError, ObjectSource, RequestFields, SourceError, upload
from s3_upload.sources.preserving import preserving, rclone_time, time_ns_of
from s3_upload.sources.source import ObjectSource as Source


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (1_700_000_000_123_456_789, "1700000000.123456789"),
        (1_700_000_000_120_000_000, "1700000000.12"),
        (1_700_000_000_000_000_000, "1700000000"),
        (1, "0.000000001"),
        (0, "0"),
        (-500_000_000, "-0.5"),
    ],
)
def test_times_are_written_as_rclone_writes_them(time_ns: int, text: str) -> None:
    assert rclone_time(time_ns) == text
    assert time_ns_of(text) == time_ns


@pytest.mark.parametrize("text", ["", "-", "x", "1.2.3", "1e9", "2026-01-01T00:00:00Z", "\u0661", " 1"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert time_ns_of(text) is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.touch()
    os.utime(file, ns=(0, 1_500_000_000))
    return file


def fields_of(source: ObjectSource) -> RequestFields | None:
    return source.fields or RequestFields(content_type="text/x", metadata={"own": "1"})


def metadata(source: Source) -> dict[str, str]:
    return dict(source.fields.metadata) if source.fields is not None else {}


def test_a_file_s_time_stands_beside_what_else_is_said_of_it(path: Path) -> None:
    (found,) = preserving([ObjectSource.file(path, "k")], fields_of)  # type: ignore[misc]
    assert metadata(found) == {"own": "1", "mtime": "1.5"}
    assert found.fields is not None
    assert found.fields.content_type == "text/x"
    own = RequestFields(storage_class="GLACIER")
    (found,) = preserving([ObjectSource.file(path, "k", fields=own)], fields_of)  # type: ignore[misc]
    assert found.fields is not None
    assert (metadata(found), found.fields.storage_class) == ({"mtime": "1.5"}, "GLACIER")


@pytest.mark.parametrize("name", ["mtime", "Mtime"])
def test_who_says_a_time_knows_better_in_whichever_case(path: Path, name: str) -> None:
    said = RequestFields(metadata={name: "7"})
    (found,) = preserving([ObjectSource.file(path, "k", fields=said)], fields_of)  # type: ignore[misc]
    assert metadata(found) == {name: "7"}


def test_what_is_no_file_stays_as_it_is(tmp_path: Path) -> None:
    sources = [
        ObjectSource.data(b"", "data"),
        ObjectSource.stream([b""], "stream"),
        ObjectSource.file(tmp_path / "gone", "gone"),
        ObjectSource(key="k", path="p", problem=SourceError("p: no")),
        ObjectSource(key="k", path="p", skip_reason="is a FIFO"),
    ]
    assert list(preserving(sources, fields_of)) == sources  # type: ignore[arg-type]


def test_an_async_iterable_stays_one(path: Path) -> None:
    async def sources() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.file(path, "k")

    async def found() -> list[ObjectSource]:
        return [source async for source in preserving(sources(), lambda source: None)]  # type: ignore[union-attr]

    (source,) = asyncio.run(found())
    assert metadata(source) == {"mtime": "1.5"}


def test_nothing_else_can_be_preserved(path: Path) -> None:
    with pytest.raises(ConfigError, match="preserve atime: must be mtime"):
        upload(path, "s3://bkt", preserve="atime")  # type: ignore[arg-type]
