"""`s3-upload - s3://BUCKET/KEY`: what comes in by stdin, through a real process to a real store."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_cli import assert_one_line
from tests.e2e.test_cli_wrong_words import here
from tests.store import REGION

if TYPE_CHECKING:
    from tests.store import Store

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
TIMEOUT_S = 60
PARTS = ("--part-size", "5MiB", "--max-in-flight-bytes", "24MiB", "--multipart-threshold", "5MiB")


@pytest.fixture
def account(store: Store) -> dict[str, str]:
    return dict(os.environ) | {
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": REGION,
    }


def s3_upload(account: dict[str, str], *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, *words], env=account, capture_output=True, timeout=TIMEOUT_S, check=False, **more
    )


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (5 << 20) + 1, 33_333_333])
def test_what_comes_in_is_what_is_there(
    account: dict[str, str], store: Store, bucket: str, size: int
) -> None:
    data = random.Random(size).randbytes(size)
    result = s3_upload(account, "-", f"s3://{bucket}/a/b.txt", *PARTS, "--tags", "a=1", input=data)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"uploaded 1 file, ")
    answer = store.client.get_object(Bucket=bucket, Key="a/b.txt")
    assert answer["Body"].read() == data
    assert answer["ContentType"] == "text/plain"


@pytest.mark.parametrize("expected", ["3TB", "48TiB"])
def test_much_may_be_expected(account: dict[str, str], store: Store, bucket: str, expected: str) -> None:
    result = s3_upload(account, "-", f"s3://{bucket}/key", "--expected-size", expected, input=b"little")
    assert (result.returncode, result.stderr) == (0, b"")
    assert store.objects(bucket) == {"key": b"little"}


def test_it_comes_as_it_comes(account: dict[str, str], store: Store, bucket: str) -> None:
    """A writer that takes its time and gives a few bytes at a time."""
    words = [COMMAND, "-", f"s3://{bucket}/key", "--quiet"]
    with subprocess.Popen(words, env=account, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for piece in (b"one ", b"two ", b"three"):
            process.stdin.write(piece)
            process.stdin.flush()
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
    assert store.objects(bucket) == {"key": b"one two three"}


def test_a_file_named_like_it_is_a_file(
    account: dict[str, str], store: Store, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "-").write_bytes(b"a file")
    result = s3_upload(account, "./-", f"s3://{bucket}/p/", cwd=tmp_path, input=b"stdin")
    assert result.returncode == 0
    assert store.objects(bucket) == {"p/-": b"a file"}


def test_ctrl_c_does_not_wait_for_the_writer(account: dict[str, str], store: Store, bucket: str) -> None:
    """The first parts are on their way when it comes; they are taken back."""
    words = [COMMAND, "-", f"s3://{bucket}/key", *PARTS, "--grace", "0"]
    with subprocess.Popen(words, env=account, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(bytes(30 << 20))  # more than what it may hold: so much has been sent by then
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(TIMEOUT_S) == 130
    assert re.fullmatch(
        rb"(s3-upload: stopping: .*\n)?"  # where that takes a while
        rb"s3-upload: interrupted after \d:\d\d: 0 files uploaded, \d[\w. ]* sent"
        rb"(, \d.* of it dropped with unfinished files)?\n",  # none where nobody has looked yet
        err,
    )
    assert store.objects(bucket) == {}


WRONG: list[tuple[list[str], str]] = [
    (["-", "s3://bucket"], "s3://bucket/: stdin has no name: give the whole key, as in s3://bucket/NAME"),
    (["-", "s3://bucket/a/"], "s3://bucket/a/: stdin has no name: give the whole key"),
    (["-", "-", "s3://bucket/a"], "-: stdin goes alone"),
    ([".", "-", "s3://bucket/a"], "-: stdin goes alone"),
    (["-"], "the destination is missing"),
    (["-", "s3://bucket/a", "--expected-size", "lots"], "--expected-size lots: is no size"),
    (["-", "s3://bucket/a", "--expected-size", "60TiB"], "--expected-size 61440GiB: no object has more than"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert_one_line(here(capsys, *words), 2, said)


def test_a_closed_stdin_is_not_read(account: dict[str, str]) -> None:
    """Its file descriptor may be that of anything by then."""
    result = s3_upload(account, "-", "s3://bucket/a", preexec_fn=lambda: os.close(0))
    assert result.returncode == 2
    assert result.stderr == b"s3-upload: error: -: stdin is closed: there is nothing to read\n"
