"""What is said of objects by something that a flag names, and that is another when the command runs again."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.cli.journals import journal_for
from s3_upload.cli.options.objects import ObjectOptions
from s3_upload.cli.options.upload import JournalOptions, UploadOptions
from tests.e2e.test_cli_journal import (
    COMMAND,
    TIMEOUT_S,
    environment,
    run,
    src,  # noqa: F401 - a fixture
)

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer

pytestmark = pytest.mark.usefixtures("src")
NAMED = [
    ("--metadata", "file://said", '{"k": "1"}', '{"k": "2"}'),
    ("--tags", "file://said", "k=1", "k=2"),
    ("--content-type-map", "said", "text/x-one txt", "text/x-two txt"),
]


@pytest.mark.parametrize(("flag", "named", "first", "second"), NAMED)
def test_with_another_content_of_what_a_flag_names_all_are_sent_again(
    fault_server: StartFaultServer, flag: str, named: str, first: str, second: str
) -> None:
    server = fault_server()
    for content, uploaded in ((first, 20), (first, 0), (second, 20)):
        Path("said").write_text(content)
        asked = len(server.of("PUT"))
        assert run(server, "src", "s3://bucket/p", "--journal", "j", flag, named).returncode == 0
        assert len(server.of("PUT")) - asked == uploaded


def said(**objects: Any) -> str:
    options = UploadOptions(objects=ObjectOptions(**objects), journal=JournalOptions(journal="j"))
    given = options.objects.default_request()
    journal = journal_for(options, ["src"], "s3://bucket/p", "https://store", print, given)
    assert journal is not None
    return journal.about["said"]


def test_another_key_of_sse_c_is_another_job_and_the_same_in_other_words_is_the_same() -> None:
    keys = [b"1" * 32, b"2" * 32]
    one, other = (said(sse_c="AES256", sse_c_key=base64.b64encode(key).decode()) for key in keys)
    assert one != other
    assert one == said(sse_c="AES256", sse_c_key=keys[0].decode())
    Path("key").write_bytes(keys[1])
    assert other == said(sse_c="AES256", sse_c_key="fileb://key")


def test_what_a_flag_names_is_read_once(fault_server: StartFaultServer) -> None:
    """A pipe would have nothing to say the second time."""
    server = fault_server()
    words = [COMMAND, "src", "s3://bucket/p", "--metadata", "file:///dev/stdin"]
    subprocess.run(
        words, env=environment(server), input=b"k=v", timeout=TIMEOUT_S, check=True, capture_output=True
    )
    assert {request.headers["x-amz-meta-k"] for request in server.of("PUT")} == {"v"}
