"""`--failed-to`: what failed, for another try."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.test_cli import (
    account,  # noqa: F401 - fixtures
    env,  # noqa: F401
    s3_upload,
    src,  # noqa: F401
    store,  # noqa: F401
)
from tests.platforms import needs_any_name

pytestmark = pytest.mark.usefixtures("src")


def test_the_sources_that_failed_are_written_one_a_line(account: dict[str, str]) -> None:  # noqa: F811
    for name in ("a gone", "b gone"):
        Path("src", name).symlink_to("nowhere")
    result = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "failed.txt")
    assert result.returncode == 1
    assert Path("failed.txt").read_bytes() == b"src/a gone\nsrc/b gone\n"


@needs_any_name
def test_with_nul_a_name_may_have_line_breaks(account: dict[str, str]) -> None:  # noqa: F811
    odd = b"src/\n\xff"
    Path(os.fsdecode(odd)).symlink_to("nowhere")
    result = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "failed.txt", "-0")
    assert result.returncode == 1
    assert Path("failed.txt").read_bytes() == odd + b"\0"
    again = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "failed.txt")
    assert "has a line break in its name: use -0" in again.stderr


def test_where_nothing_failed_the_file_is_empty(account: dict[str, str]) -> None:  # noqa: F811
    Path("failed.txt").write_text("of an earlier run")
    assert s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "failed.txt").returncode == 0
    assert Path("failed.txt").read_bytes() == b""


def test_a_file_that_cannot_be_written_is_found_before_anything_is_sent(
    account: dict[str, str],  # noqa: F811
) -> None:
    result = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "no/such/place")
    assert result.returncode == 2
    assert result.stderr == "s3-upload: error: --failed-to no/such/place: No such file or directory\n"
    result = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "-")
    assert (result.returncode, result.stderr) == (
        2,
        "s3-upload: error: --failed-to: give the name of a file (/dev/stdout is stdout)\n",
    )
    result = s3_upload(account, "src", "s3://bucket/failed", "-0")
    assert (result.returncode, result.stderr) == (
        2,
        "s3-upload: error: -0 is for --failed-to: give that, too\n",
    )
