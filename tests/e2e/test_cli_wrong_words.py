"""Words that the command refuses: one line each, nothing is begun. More: tests/unit/test_wrong_uses.py."""

from __future__ import annotations

import pytest

from s3_upload.cli.main import main
from tests.e2e.test_cli import Result, assert_one_line, src  # noqa: F401 - a fixture


def here(capsys: pytest.CaptureFixture[str], *words: str) -> Result:
    """The command in this process, for what ends before anything is begun: a start takes half a second."""
    return Result(words, main(list(words)), *capsys.readouterr())


WRONG_WORDS: list[tuple[list[str], str]] = [
    ([], "nothing to do: give SRC... and s3://BUCKET/PREFIX"),
    (["src"], "src: the destination is missing"),
    (["s3://bucket"], "the source is missing"),
    (["src", "s3:/bucket"], "Did you mean s3://bucket?"),
    (["src", "s3://"], "s3://: no bucket is named"),
    (["src", "s3://no bucket/x"], "no bucket is no bucket name"),
    (["nope", "s3://bucket"], "nope: no such file or directory"),
    (["src", "nope\n\x1b[31m", "s3://bucket"], r"nope\n\x1b[31m: no such file or directory"),
    (["src", "s3://bucket", "--part-sise", "8MiB"], "--part-sise: no such flag. Did you mean --part-size?"),
    (["src", "s3://bucket", "--part-size", "1"], "--part-size 1: must be a whole number from 5MiB"),
    (["src", "s3://bucket", "--max-in-flight", "many"], "--max-in-flight many: must be a whole number"),
    (["src", "s3://bucket", "--backoff", "nan"], "--backoff nan: must be a number"),
    (["src", "s3://bucket", "--metadata", "x"], "--metadata x: x is not KEY=VALUE"),
    (["src", "s3://bucket", "--ca-bundle", "nope.pem"], "nope.pem"),
    (["src", "s3://bucket", "--endpoint-url", "ftp://x"], "ftp://x"),
    (["src", "s3://bucket", "--endpoint-url", "localhost:9000"], "localhost:9000"),
    (
        ["src", "s3://bucket", "--endpoint-url", "https://trash.fra1.digitaloceanspaces.com"],
        "endpoint_url: names the bucket 'trash', and the destination is 'bucket'",
    ),
    (["src", "s3://bucket", "--embedded", "src/store"], "lies in the source src"),
    (["perf-dat", "src", "bucket", "p"], "perf-dat: no such command. Did you mean perf-data?"),
    (["perf-data", "-n", "0", "src", "bucket", "p"], "-n 0: must be at least 1"),
    (["perf-data", "-n", "x", "src", "bucket", "p"], "-n x: must be a whole number"),
    (["perf-data", "src", "bucket"], "PREFIX requires an argument"),
    (["perf-data", "src", "bucket", "p", "q"], "q"),
    (["perf-data", "src/a.txt", "bucket", "p"], "src/a.txt: is not a directory"),
    (["perf-data", "src", "s3://bucket", "p"], "is no bucket name"),
    (["serve"], "DIR requires an argument"),
    (["serve", "store", "--port", "70000"], "--port 70000: must be from 1 to 65535"),
    (["serve", "store", "--access-key", "abc"], "give both or neither"),
]


@pytest.mark.usefixtures("src")
@pytest.mark.parametrize(("words", "text"), WRONG_WORDS, ids=[" ".join(words) for words, _ in WRONG_WORDS])
def test_wrong_words_get_one_clear_line(
    capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert_one_line(here(capsys, *words), 2, text)
