"""The command's words: sources and a destination."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_upload.cli.output import UsageError
from s3_upload.cli.sources import refuse_overlap, split_words
from s3_upload.sources.mapping import Destination

COMMANDS = ("perf-data", "serve")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.txt").write_text("one")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_words() -> None:
    assert split_words(["a", "b", "s3://c/d"], COMMANDS) == (["a", "b"], Destination("c", "d"))


@pytest.mark.usefixtures("tree")
def test_a_store_inside_a_source_is_refused() -> None:
    for inside in ("d", "d/store", "./empty/../d/sub"):
        with pytest.raises(UsageError, match="lies in the source d"):
            refuse_overlap(["one.txt", "d"], inside)
    for beside in ("store", "d2", "empty"):
        refuse_overlap(["one.txt", "d"], beside)
