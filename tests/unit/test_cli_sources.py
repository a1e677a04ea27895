"""The command's words: sources and a destination."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_upload.cli.output import UsageError
from s3_upload.cli.sources import refuse_overlap, split_words
from s3_upload.errors import ConfigError
from s3_upload.mapping import Destination

COMMANDS = ("perf-data", "serve")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.txt").write_text("one")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to do: give SRC... and s3://BUCKET/PREFIX (s3-upload --help tells more)"),
        (["s3://b"], "s3://b: the source is missing: give files or directories before the destination"),
        (["x"], "x: the destination is missing: the last word must be s3://BUCKET/PREFIX"),
        (["x", ""], "'': the destination is missing: the last word must be s3://BUCKET/PREFIX"),
        (["x", "s3:/b"], "s3:/b: the destination must look like s3://BUCKET/PREFIX"),
        (["x", "s3://"], "s3://: no bucket is named, expected s3://BUCKET/PREFIX"),
        (["x", "s3:///key"], "s3:///key: no bucket is named, expected s3://BUCKET/PREFIX"),
        (["x", "s3://a b/"], "s3://a b/: a b is no bucket name (letters, digits, '.', '-', '_')"),
        (["perf-dat", "x", "b", "p"], "perf-dat: no such command. Did you mean perf-data?"),
    ],
)
@pytest.mark.usefixtures("tree")
def test_wrong_words(words: list[str], message: str) -> None:
    with pytest.raises((UsageError, ConfigError)) as caught:
        split_words(words, COMMANDS)
    assert str(caught.value) == message


def test_words() -> None:
    assert split_words(["a", "b", "s3://c/d"], COMMANDS) == (["a", "b"], Destination("c", "d"))


@pytest.mark.usefixtures("tree")
def test_a_store_inside_a_source_is_refused() -> None:
    for inside in ("d", "d/store", "./empty/../d/sub"):
        with pytest.raises(UsageError, match="lies in the source d"):
            refuse_overlap(["one.txt", "d"], inside)
    for beside in ("store", "d2", "empty"):
        refuse_overlap(["one.txt", "d"], beside)
