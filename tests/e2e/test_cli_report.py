"""--report and the command `report`: the page is there however the run ends, or it never begins."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from s3_upload.embedded import EmbeddedStore
from tests.e2e.test_cli import (
    COMMAND,
    TIMEOUT_S,
    account,  # noqa: F401 - fixtures
    assert_one_line,
    contents,
    env,  # noqa: F401
    s3_upload,
    src,  # noqa: F401
    store,  # noqa: F401
)
from tests.e2e.test_cli_wrong_words import here
from tests.platforms import needs_any_name, needs_full_disk
from tests.store import complaints

pytestmark = pytest.mark.usefixtures("src")


def verdict_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
    return text.partition('<p class="verdict">')[2].partition("</p>")[0]


def test_a_run_leaves_a_page(account: dict[str, str]) -> None:  # noqa: F811
    result = s3_upload(account, "src", "s3://bucket/paged", "--report", "run.html")
    assert (result.returncode, complaints(result.stderr)) == (0, "")
    assert verdict_of(Path("run.html")) == "<b>Uploaded</b> 2 files, 10.2 kB."
    assert "<h1>src → s3://bucket/paged</h1>" in Path("run.html").read_text(encoding="utf-8")


def test_json_lines_become_the_same_page(account: dict[str, str]) -> None:  # noqa: F811
    result = s3_upload(account, "src", "s3://bucket/paged", "--json", "--report", "src.html")
    Path("run.jsonl").write_text(result.stdout, encoding="utf-8")
    made = s3_upload(account, "report", "run.jsonl", "-o", "json.html")
    assert (made.returncode, made.stdout) == (0, "wrote json.html: 2 uploaded, 0 failed\n")
    piped = subprocess.run(
        [COMMAND, "report", "-", "-o", "stdin.html"], input=result.stdout.encode(), env=account, check=True
    )
    assert piped.returncode == 0
    pages = [Path(name).read_text(encoding="utf-8") for name in ("json.html", "stdin.html", "src.html")]
    assert len({page.partition("</h1>")[2] for page in pages}) == 1
    assert '"limits":{' in pages[0], "what limits the run from moment to moment is in all of them"


def test_several_passes_are_one_page(account: dict[str, str]) -> None:  # noqa: F811
    words = ("perf-data", "-n", "3", "src", "bucket", "p", "--report", "run.html", "--json")
    result = s3_upload(account, *words)
    assert result.returncode == 0
    Path("run.jsonl").write_text(result.stdout, encoding="utf-8")
    assert s3_upload(account, "report", "run.jsonl", "-o", "json.html").returncode == 0
    pages = [Path(name).read_text(encoding="utf-8") for name in ("json.html", "run.html")]
    assert len({page.partition("</h1>")[2] for page in pages}) == 1
    assert verdict_of(Path("run.html")) == "<b>Uploaded</b> 6 files, 30.7 kB."


@needs_any_name
def test_names_that_are_not_unicode_are_in_the_page(account: dict[str, str]) -> None:  # noqa: F811
    odd = Path(os.fsdecode(b"src/<script>\xff.txt"))
    odd.write_bytes(b"x")
    result = s3_upload(account, "src", "s3://bucket/odd", "--report", "run.html", "--json")
    assert result.returncode == 1
    assert r"src/&lt;script&gt;\xff.txt" in Path("run.html").read_text(encoding="utf-8")
    Path("run.jsonl").write_text(result.stdout, encoding="utf-8")
    assert s3_upload(account, "report", "run.jsonl", "-o", "json.html").returncode == 0
    assert r"src/&lt;script&gt;\xff.txt" in Path("json.html").read_text(encoding="utf-8")


def test_an_interrupted_run_leaves_a_page(account: dict[str, str]) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [COMMAND, "src", "s3://bucket", "--endpoint-url", url, "--report", "run.html", "--json"]
        with subprocess.Popen(
            words, env=account, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            connection = silent.accept()[0]
            connection.recv(1)  # the first request is on its way, and will never be answered
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
            connection.close()
    assert process.returncode == 130
    Path("run.jsonl").write_text(out, encoding="utf-8")
    assert s3_upload(account, "report", "run.jsonl", "-o", "json.html").returncode == 0
    pages = [Path(name).read_text(encoding="utf-8") for name in ("json.html", "run.html")]
    assert len({page.partition("</h1>")[2] for page in pages}) == 1
    # What takes a while to stop is said before.
    said = r"(s3-upload: stopping: .*\n)?s3-upload: interrupted after \d:\d\d: 0 files uploaded, \d.* sent\n"
    assert re.fullmatch(said, err)
    assert verdict_of(Path("run.html")) == (
        '<b class="cut">Not all was done:</b> interrupted. Uploaded so far: 0 files, 0 B.'
    )


def test_a_run_that_could_not_proceed_leaves_a_page(account: dict[str, str]) -> None:  # noqa: F811
    result = s3_upload(account, "src", "s3://no-such-bucket-here/p", "--report", "run.html")
    assert_one_line(result, 3, "no such bucket")
    verdict = verdict_of(Path("run.html"))
    assert verdict.startswith('<b class="cut">Not all was done:</b> ')
    assert "no such bucket" in verdict


@pytest.mark.parametrize("path", ["nowhere/run.html", "src", "src/a.txt/run.html", "x" * 300])
def test_a_page_that_cannot_be_written_is_told_before_anything_is_sent(
    account: dict[str, str],  # noqa: F811
    store: EmbeddedStore,  # noqa: F811
    path: str,
) -> None:
    result = s3_upload(account, "src", "s3://bucket/never", "--report", path)
    assert_one_line(result, 2, f"--report {path}: ")
    assert not (store.directory / "bucket" / "never").exists()


def test_a_page_is_not_among_what_is_uploaded(
    account: dict[str, str],  # noqa: F811
    store: EmbeddedStore,  # noqa: F811
) -> None:
    assert s3_upload(account, "src", "s3://bucket/beside", "--report", "src/run.html").returncode == 0
    assert set(contents(store.directory / "bucket" / "beside")) == {"a.txt", "sub/ä b.bin"}
    assert Path("src/run.html").is_file()


@needs_full_disk
def test_a_page_cannot_be_written_at_the_end(account: dict[str, str]) -> None:  # noqa: F811
    result = s3_upload(account, "src", "s3://bucket/full", "--report", "/dev/full")
    assert result.returncode == 3
    assert result.stdout.startswith("uploaded 2 files")
    assert result.stderr == "s3-upload: error: --report /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("report", "nothing.jsonl", "-o", "x.html"), ("nothing.jsonl: No such file",)),
        (("report", "src/a.txt", "-o", "x.html"), ("src/a.txt: line 1 is no record of a run", "--json")),
        (("report", "src", "-o", "x.html"), ("src: Is a directory",)),
        (("report", "src/a.txt", "-o", "nowhere/x.html"), ("-o nowhere/x.html: No such file",)),
        (("report", "src/a.txt"), ("-o",)),
        (("src", "s3://bucket", "--report", "-"), ("--report: give the name of a file",)),
        (("src", "s3://bucket", "--dryrun", "--report", "x.html"), ("--dryrun and --report",)),
    ],
)
def test_wrong_uses_are_one_line(
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    texts: tuple[str, ...],
) -> None:
    assert_one_line(here(capsys, *words), 2, *texts)
    assert not Path("x.html").exists()
