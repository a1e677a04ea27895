"""The bytes of a file, read to be compared: piece by piece, and of one version by its size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from s3_upload.errors import SourceError
from s3_upload.sources.files import SUM_BYTES, pieces_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, SUM_BYTES - 1, SUM_BYTES, 2 * SUM_BYTES + 5])
def test_pieces_are_whole_however_few_bytes_a_read_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    body = os.urandom(size)
    (tmp_path / "f").write_bytes(body)
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, count: read(fd, min(count, 300_000)))
    expected = [body[start : start + SUM_BYTES] for start in range(0, size, SUM_BYTES)]
    assert list(pieces_of(str(tmp_path / "f"), size)) == expected


@pytest.mark.parametrize(("size", "now"), [(0, 1), (SUM_BYTES, SUM_BYTES + 1), (3, 2), (SUM_BYTES + 1, 1)])
def test_a_file_of_another_size_than_was_seen_is_an_error(tmp_path: Path, size: int, now: int) -> None:
    (tmp_path / "f").write_bytes(bytes(now))
    with pytest.raises(SourceError, match=f"its size was {size}, is {now}"):
        list(pieces_of(str(tmp_path / "f"), size))
