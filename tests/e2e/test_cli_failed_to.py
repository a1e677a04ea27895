"""`--failed-to`: what failed, for another try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_cli import (
    COMMAND,
    account,  # noqa: F401 - fixtures
    env,  # noqa: F401
    records,
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
    assert Path("failed.txt").read_text() == f"{Path.cwd()}/src/a gone\n{Path.cwd()}/src/b gone\n"


@needs_any_name
def test_with_nul_a_name_may_have_line_breaks(account: dict[str, str]) -> None:  # noqa: F811
    odd = b"src/\n\xff"
    Path(os.fsdecode(odd)).symlink_to("nowhere")
    result = s3_upload(account, "src", "s3://bucket/failed", "--failed-to", "failed.txt", "-0")
    assert result.returncode == 1
    assert Path("failed.txt").read_bytes() == os.fsencode(Path.cwd()) + b"/" + odd + b"\0"
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
        "s3-upload: error: --failed-to: give the name of a file\n",
    )
    result = s3_upload(account, "src", "s3://bucket/failed", "-0")
    assert (result.returncode, result.stderr) == (
        2,
        "s3-upload: error: -0 is for --failed-to, --files-from and --manifest: give one of them, too\n",
    )


FULL = """
import resource
from s3_upload.cli.failed_to import FailedTo
from s3_upload.errors import S3UploadError
from s3_upload.report import UploadReport
from s3_upload.sources.source import ObjectSource

failed_to = FailedTo("failed.txt")
resource.setrlimit(resource.RLIMIT_FSIZE, (30, 30))  # whose signal Python ignores
for path in ("/data/of/2023", "/data/of/2024/january", "/data/b"):
    source = ObjectSource.file(path, "k")
    try:
        failed_to.add(UploadReport(seq=0, key="k", source=path, bytes=0, outcome="source", object=source))
    except S3UploadError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_where_the_disk_is_full_no_path_is_cut_and_it_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert done.stdout == "--failed-to failed.txt: File too large\n"
    assert Path("failed.txt").read_text() == "/data/of/2023\n/data/b\n"


@pytest.mark.parametrize(
    ("sources", "prefix", "flags"),
    [
        (["src"], "once", []),
        (["./src/"], "once/", []),
        (["."], "", ["--exclude", "*.txt", "--exclude", "home"]),
        (["src", "other"], "both", []),
        (["src/.", "other"], "mixed", []),
        (["src"], "with-manifest", ["--manifest", "list"]),
        (["src"], "with-nul", ["-0"]),
    ],
)
def test_a_second_run_with_files_from_takes_exactly_those_with_the_same_keys(
    account: dict[str, str],  # noqa: F811
    sources: list[str],
    prefix: str,
    flags: list[str],
) -> None:
    for link in map(Path, ("src/gone", "src/sub/ü gone", "other/gone")):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(Path.cwd() / "home" / "mended")
    Path("list").write_text("a.txt\tA\ngone\tmy/key one\nsub/ü gone\tk2\n", encoding="utf-8")
    words = (*sources, f"s3://bucket/{prefix}", "--json")
    first = s3_upload(account, *words, *flags, "--failed-to", "home/failed")
    assert first.returncode == 1, first.stderr
    failed = [upload["key"] for upload in records(first.stdout, "upload") if upload["outcome"] != "success"]
    assert len(failed) == (2 if sources in (["src"], ["./src/"]) else 3)
    if "--manifest" in flags:
        assert failed == [f"{prefix}/my/key one", f"{prefix}/k2"]
    Path("home/mended").write_text("mended")
    again = "--manifest" if "--manifest" in flags else "--files-from"
    second = s3_upload(account, *words, again, "home/failed")
    assert second.returncode == 0, second.stderr
    assert sorted(upload["key"] for upload in records(second.stdout, "upload")) == sorted(failed)


def test_what_comes_in_by_stdin_is_in_no_list(account: dict[str, str]) -> None:  # noqa: F811
    words = (COMMAND, "-", "s3://no-such-bucket/key", "--failed-to", "failed.txt")
    subprocess.run(words, env=account, input=b"", capture_output=True, check=False, timeout=60)
    assert Path("failed.txt").read_bytes() == b""
