"""The command run again after it was broken off: what it skips, goes on with and says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s3_upload.cli.journals import SUFFIX, folder
from tests.e2e import without_locks
from tests.faults.actions import Held, Rule, Stall, s3_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
WITHOUT_LOCKS = (sys.executable, without_locks.__file__)
TIMEOUT_S = 60
OLD_NS = 1_600_000_000_123_456_789
PARTS = ("--multipart-threshold", "5MiB", "--part-size", "5MiB")


@pytest.fixture
def src(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "src"
    folder.mkdir()
    for number in range(20):
        put(folder / f"{number:02}.txt", f"body {number}".encode())
    return folder


def put(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    os.utime(path, ns=(OLD_NS, OLD_NS))


def environment(server: FaultServer) -> dict[str, str]:
    return dict(os.environ) | {
        "AWS_ENDPOINT_URL_S3": server.url,
        "AWS_ACCESS_KEY_ID": "accesskey",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


def run(server: FaultServer, *words: str, beneath: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*beneath, COMMAND, *words],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def journals() -> list[Path]:
    return sorted(folder().glob(f"*{SUFFIX}"))


def test_the_same_command_again_sends_nothing_and_says_so(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    asked = len(server.requests)
    again = run(server, "src", "s3://bucket/p")
    assert again.returncode == 0
    assert len(server.requests) == asked
    assert "20 files were uploaded by earlier runs" in again.stderr


def test_what_earlier_runs_uploaded_is_removed_and_that_is_said(
    fault_server: StartFaultServer, src: Path
) -> None:
    server = fault_server()
    run(server, "src", "s3://bucket/p")
    again = run(server, "src", "s3://bucket/p", "--remove-source")
    assert (again.returncode, list(src.iterdir())) == (0, [])
    assert again.stderr.endswith("; removed 20 files here\n")


@pytest.mark.parametrize("flag", ["--no-journal", "--cache-control=no-store"])
def test_another_job_sends_everything(fault_server: StartFaultServer, src: Path, flag: str) -> None:
    server = fault_server()
    run(server, "src", "s3://bucket/p")
    assert run(server, "src", "s3://bucket/p", flag).stdout.startswith("uploaded 20 files")


def test_a_journal_of_ones_own(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    run(server, "src", "s3://bucket/p", "--journal", "j.sqlite")
    assert Path("j.sqlite").exists()
    assert (
        "20 files were uploaded by earlier runs"
        in run(server, "src", "s3://bucket/p", "--journal", "j.sqlite").stderr
    )


def test_a_named_journal_counts_more_than_the_variable_that_wants_none(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_UPLOAD_NO_JOURNAL", "1")
    assert run(fault_server(), "src", "s3://bucket/p", "--journal", "j.sqlite").returncode == 0
    assert Path("j.sqlite").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="<(command) is of bash")
def test_pipes_have_no_journal(fault_server: StartFaultServer, src: Path) -> None:
    command = ["bash", "-c", f"{COMMAND} <(printf body) s3://bucket/key"]
    env = environment(fault_server())
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert result.stdout.startswith("uploaded 1 file")
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.journal"))


def test_a_small_file_and_stdin_have_no_journal(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    for _ in range(2):
        assert "uploaded 1 file" in run(server, "src/00.txt", "s3://bucket/key").stdout
    assert not list(Path(os.environ["XDG_STATE_HOME"]).rglob("*.journal"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("src", "s3://bucket", "--journal", "a", "--no-journal"), "--journal and --no-journal do not go"),
        (("-", "s3://bucket/key", "--journal", "a"), "--journal: what comes in by stdin"),
        (("sync", "src", "s3://bucket", "--journal", "a"), "--journal: sync asks the store"),
        (("src", "s3://bucket", "--journal", "src/00.txt"), "src/00.txt: is no journal of s3-upload"),
    ],
)
def test_a_journal_that_cannot_be_is_one_clear_line(
    fault_server: StartFaultServer, src: Path, words: tuple[str, ...], text: str
) -> None:
    result = run(fault_server(), *words)
    assert result.returncode == 2
    assert result.stderr.startswith(f"s3-upload: error: {text}")
    assert len(result.stderr.splitlines()) == 1


def test_a_home_that_cannot_be_written_means_no_journal_and_is_said_once(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    result = run(fault_server(), "src", "s3://bucket")
    assert result.returncode == 0
    assert result.stderr.count("no journal is kept") == 1


def test_a_named_journal_and_an_embedded_store_do_not_go_together(
    fault_server: StartFaultServer, src: Path
) -> None:
    """It worked once: the store has another port in each run, and so was another one for the journal."""
    result = run(fault_server(), "src", "s3://bucket", "--embedded", "store", "--journal", "j")
    assert result.returncode == 2
    assert result.stderr.startswith("s3-upload: error: --journal and --embedded do not go together: ")
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in Path.cwd().iterdir()] == ["src"]


@pytest.mark.skipif(sys.platform == "win32", reason="no working directory can be removed there")
@pytest.mark.parametrize("journal", ["of its own", "named", "none"])
def test_whole_paths_are_uploaded_from_a_working_directory_that_was_removed(
    fault_server: StartFaultServer, src: Path, journal: str
) -> None:
    server, here = fault_server(), src.parent
    flags = {"of its own": [], "named": [f"--journal={here}/j"], "none": ["--no-journal"]}[journal]
    (here / "list").write_text(f"{src}/00.txt\n{src}/01.txt\n")
    flags += [f"--files-from={here}/list", f"--failed-to={here}/failed", f"--report={here}/page.html"]
    beneath = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]
    result = run(server, str(src), "s3://bucket/p", *flags, beneath=beneath)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("uploaded 2 files")
    for name in [Path(f"{here}/j")] if journal == "named" else journals():
        again = run(server, "jobs", "resume", str(name))
        assert again.returncode == 2
        assert "where it was run: No such file or directory: make it, or type the command" in again.stderr


def test_what_lies_in_a_working_directory_that_was_removed_is_said_in_words(
    fault_server: StartFaultServer, src: Path
) -> None:
    beneath = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]
    for words in (["."], ["src"], [".", "--report", "page.html"], [str(src), "--files-from", "list"]):
        result = run(fault_server(), *words, "s3://bucket", beneath=beneath)
        assert result.returncode in {0, 2}
        assert "unexpected" not in result.stderr
    relative: tuple[list[str], ...] = (
        [str(src), "s3://bucket", "--embedded", "store"],
        [str(src), "s3://bucket", "--journal", "j"],
        ["src", "s3://bucket", "--embedded", f"{src.parent}/store"],
        ["serve", "store"],
    )
    for words in relative:
        result = run(fault_server(), *words, beneath=beneath)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            "s3-upload: error: the working directory was removed: give whole paths, or cd to another\n"
        )


@pytest.mark.skipif(not without_locks.CAN, reason="needs seccomp, and the number of fcntl")
def test_a_journal_on_nfs_without_locks_is_none_and_is_said_once(
    fault_server: StartFaultServer, src: Path
) -> None:
    server = fault_server()
    for _ in range(2):
        ended = run(server, "src", "s3://bucket/p", beneath=WITHOUT_LOCKS)
        assert ended.returncode == 0
        assert ended.stdout.startswith("uploaded 20 files")
        assert ended.stderr.count("no file can be locked there (No locks available)") == 1
    assert run(server, "jobs", beneath=WITHOUT_LOCKS).stdout == run(server, "jobs").stdout
    named = run(server, "src", "s3://bucket/p", "--journal", "mine", beneath=WITHOUT_LOCKS)
    assert named.returncode == 2
    assert named.stderr.startswith(
        "s3-upload: error: mine: the journal cannot be opened: no file can be locked"
    )
    assert named.stderr.count("\n") == 1
    assert not Path("mine").exists()


KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYyE="


@pytest.mark.parametrize(
    "said",
    [
        ("--sse-c-key", KEY),
        (f"--sse-c-key={KEY}",),
        ("--sse_c_key", KEY),
        (f"--sse_c_key={KEY}",),
    ],
)
def test_no_secret_is_in_a_journal(fault_server: StartFaultServer, src: Path, said: tuple[str, ...]) -> None:
    server = fault_server()
    words = ("--sse-c", *said, "--proxy", "http://user:hunter2@127.0.0.1:9", "--max-outage", "0")
    run(server, "src", "s3://bucket", "--journal", "j", *words, "--n-retries", "0")
    kept = Path("j").read_bytes()
    assert b"s3://bucket" in kept
    assert KEY.encode() not in kept
    assert b"hunter2" not in kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_lets_what_is_under_way_end(
    fault_server: StartFaultServer, src: Path, number: signal.Signals
) -> None:
    """And begins nothing new."""
    let_go = threading.Event()
    server = fault_server([Rule(Held(let_go), method="PUT", nth=range(1, 5))])
    words = [COMMAND, "src", "s3://bucket", "--max-in-flight", "4", "--window", "fixed", "--json"]
    words += ["--min-timeout", "500", "--grace", "60"]
    with subprocess.Popen(
        words, env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        server.wait_until(lambda: len(server.of("PUT")) == 4, TIMEOUT_S)
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("s3-upload: stopping: ")  # it has heard of it
        let_go.set()
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 128 + number
    assert json.loads(out.splitlines()[-1])["uploaded"] == 4
    assert len(server.of("PUT")) == 4
    assert "run the same command again, or: s3-upload jobs resume " in err
    again = run(server, "src", "s3://bucket", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["uploaded"] == 16


def test_a_second_signal_waits_for_nothing_under_way(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server([Rule(Stall(), method="PUT")])
    words = [COMMAND, "src", "s3://bucket", "--min-timeout", "500", "--grace", "500"]
    with subprocess.Popen(
        words, env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        server.wait_until(lambda: bool(server.of("PUT")), TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said == "s3-upload: stopping: what is under way may take 8:20 more (again: at once)\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130


def test_a_killed_upload_in_parts_goes_on(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server([Rule(Stall(), query={"partNumber": "5"}, nth=1)])
    big = b"".join(bytes([n]) * (5 << 20) for n in range(6))
    put(src / "big", big)
    words = [COMMAND, "src", "s3://bucket", *PARTS, "--max-in-flight", "2", "--window", "fixed", "-q"]

    def parts() -> list[int]:
        return [r.part_number for r in server.requests if r.part_number and r.method == "PUT" and r.status]

    with subprocess.Popen(words, env=environment(server)) as process:
        server.wait_until(lambda: len(parts()) >= 3, TIMEOUT_S)
        process.kill()
    [upload] = server.model.uploads.values()
    had, before = set(upload.parts), len(server.requests)
    assert len(had) >= 3
    assert run(server, "src", "s3://bucket", *PARTS).returncode == 0
    sent = {r.part_number for r in server.requests[before:] if r.part_number and r.method == "PUT"}
    assert not sent & had
    assert server.model.bodies("bucket")["big"] == big
    assert server.model.uploads == {}


def test_jobs_lists_shows_resumes_and_prunes(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidArgument", "Not that one."), key="p/07.txt", nth=1)])
    assert run(server, "jobs").stdout.startswith("no jobs")
    assert run(server, "src", "s3://bucket/p").returncode == 1
    [line] = run(server, "jobs").stdout.splitlines()
    assert "19 done, 0 left, 1 failed  src → s3://bucket/p" in line
    name = line.split()[0]
    shown = run(server, "jobs", "show", name[:4]).stdout
    assert "command  s3-upload src s3://bucket/p\n" in shown
    assert "failed   src/07.txt: p/07.txt" in shown
    assert run(server, "jobs", "prune").stdout == "pruned 0 journals\n"
    monkeypatch.chdir("/")
    assert run(server, "jobs", "resume", name).stdout.startswith("uploaded 1 file")
    assert run(server, "jobs", "prune").stdout.endswith("pruned 1 journal\n")
    assert run(server, "jobs").stdout.startswith("no jobs")


def test_jobs_leaves_a_damaged_journal_to_the_run_that_tells_of_it(
    fault_server: StartFaultServer, src: Path
) -> None:
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    [journal] = journals()
    journal.write_bytes(journal.read_bytes()[:100] + b"?" * 8_000)
    name = journal.stem
    assert run(server, "jobs").stdout == f"{name}  damaged, or of another version\n"
    assert run(server, "jobs", "prune").stdout == "pruned 0 journals\n"
    for command in ("show", "resume"):
        looked = run(server, "jobs", command, name)
        assert looked.returncode == 2
        assert "the journal is of no use (damaged)" in looked.stderr
    again = run(server, "src", "s3://bucket/p")
    assert ".damaged-" in again.stderr + again.stdout


def test_shards_that_are_uploaded_at_once_have_a_journal_each(
    fault_server: StartFaultServer, src: Path
) -> None:
    server = fault_server()
    for shard in ("1/3", "2/3", "3/3"):
        assert run(server, "src", "s3://bucket/p", "--shard", shard).returncode == 0
    assert len(journals()) == 3
    assert len(server.of("PUT")) == 20
    run(server, "src", "s3://bucket/p", "--shard", "1/3")
    assert len(server.of("PUT")) == 20


def test_jobs_resume_takes_nothing_in_its_folder_for_a_module(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server()
    monkeypatch.chdir(src)
    put(src / "msgspec.py", b"raise SystemExit('it was run')")
    assert run(server, ".", "s3://bucket/p").returncode == 0
    put(src / "new", b"new")
    name = run(server, "jobs").stdout.split()[0]
    assert run(server, "jobs", "resume", name).stdout.startswith("uploaded 1 file")


def test_a_job_in_a_folder_whose_name_is_no_unicode_is_shown_and_resumed(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, folder = fault_server(), src / os.fsdecode(b"\xff")
    folder.mkdir()
    put(folder / "a", b"a")
    monkeypatch.chdir(folder)
    assert run(server, ".", "s3://bucket/p").returncode == 0
    put(folder / "b", b"b")
    monkeypatch.chdir("/")
    name = run(server, "jobs").stdout.split()[0]
    assert "\\xff\n" in run(server, "jobs", "show", name).stdout
    assert run(server, "jobs", "resume", name).stdout.startswith("uploaded 1 file")


def test_a_job_whose_last_failure_is_gone_is_done(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    (src / "dangling").symlink_to("nowhere")
    assert run(server, "src", "s3://bucket/p").returncode == 1
    assert "20 done, 0 left, 1 failed" in run(server, "jobs").stdout
    (src / "dangling").unlink()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    assert "20 done, 0 left  src" in run(server, "jobs").stdout
    assert run(server, "jobs", "prune").stdout.endswith("pruned 1 journal\n")


def test_what_was_skipped_is_not_left(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    os.mkfifo(src / "fifo")
    assert run(server, "src/00.txt", "s3://bucket/p/").returncode == 0
    assert "; 2 skipped" in run(server, "src", "s3://bucket/p", "--no-clobber").stdout
    assert "19 done, 0 left  src" in run(server, "jobs").stdout
    assert run(server, "jobs", "prune").stdout.endswith("pruned 1 journal\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("resume",), "jobs resume: name a job"),
        (("list", "x"), "jobs list: takes no job"),
        (("show", "nope"), "jobs: nope: no such job"),
        (("show", "./nope"), "jobs: ./nope: no such file"),
        (("show", "src/00.txt"), "src/00.txt: is no journal of s3-upload"),
        (("--older-than", "1d"), "--older-than is for jobs prune"),
    ],
)
def test_a_job_that_is_not_there_is_one_clear_line(
    fault_server: StartFaultServer, src: Path, words: tuple[str, ...], text: str
) -> None:
    result = run(fault_server(), "jobs", *words)
    assert result.returncode == 2
    assert result.stderr.startswith(f"s3-upload: error: {text}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("gone", ["folder", "sources"])
def test_a_job_whose_folder_or_sources_are_gone_is_one_clear_line(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    server, folder = fault_server(), src.parent / "where"
    folder.mkdir()
    src.rename(folder / "src")
    monkeypatch.chdir(folder)
    run(server, "src", "s3://bucket/p")
    monkeypatch.chdir(src.parent)
    job = run(server, "jobs").stdout.split()[0]
    (folder if gone == "folder" else folder / "src").rename(src.parent / "elsewhere")
    ended = run(server, "jobs", "resume", job)
    assert (ended.returncode, ended.stdout) == (2, "")
    where = f"jobs resume {job}: {folder}, where it was run" if gone == "folder" else "src"
    assert ended.stderr.startswith(f"s3-upload: error: {where}: ")
    assert ended.stderr.lower().count("no such file or directory") == ended.stderr.count("\n") == 1


def test_a_job_with_a_secret_in_its_command_is_to_be_typed_again(
    fault_server: StartFaultServer, src: Path
) -> None:
    server = fault_server()
    key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYyE="
    run(server, "src", "s3://bucket", "--journal", "./j", "--sse-c", "--sse-c-key", key)
    result = run(server, "jobs", "resume", "./j")
    assert result.returncode == 2
    assert "a secret, which is not kept: type it: s3-upload src s3://bucket" in result.stderr
    assert key not in result.stderr
