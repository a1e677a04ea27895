"""The command run again after it was broken off: what it skips, goes on with and says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.actions import Delay, Rule, Stall

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

COMMAND = str(Path(sys.executable).with_name("s3-upload"))
TIMEOUT_S = 60
OLD_NS = 1_600_000_000_123_456_789
PARTS = ("--multipart-threshold", "5MiB", "--part-size", "5MiB")
BIG = b"".join(bytes([n]) * (5 << 20) for n in range(6))


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


def run(server: FaultServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *words],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_the_same_command_again_sends_nothing_and_says_so(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    assert run(server, "src", "s3://bucket/p").returncode == 0
    asked = len(server.requests)
    again = run(server, "src", "s3://bucket/p")
    assert again.returncode == 0
    assert len(server.requests) == asked
    assert "20 files were uploaded by earlier runs" in again.stderr


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


def test_no_secret_is_in_a_journal(fault_server: StartFaultServer, src: Path) -> None:
    server = fault_server()
    key = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYyE="
    words = ("--sse-c", "--sse-c-key", key, "--proxy", "http://user:hunter2@127.0.0.1:9", "--max-outage", "0")
    run(server, "src", "s3://bucket", "--journal", "j", *words, "--n-retries", "0")
    kept = Path("j").read_bytes()
    assert b"s3://bucket" in kept
    assert key.encode() not in kept
    assert b"hunter2" not in kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_lets_what_is_under_way_end(
    fault_server: StartFaultServer, src: Path, number: signal.Signals
) -> None:
    """And begins nothing new."""
    server = fault_server([Rule(Delay(1.0), method="PUT", nth=range(1, 5))])
    words = [COMMAND, "src", "s3://bucket", "--max-in-flight", "4", "--window", "fixed", "--json"]
    with subprocess.Popen(
        words, env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        server.wait_until(lambda: len(server.of("PUT")) == 4, TIMEOUT_S)
        process.send_signal(number)
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
    put(src / "big", BIG)
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
    assert sent <= {3, 4, 5, 6}
    assert server.model.bodies("bucket")["big"] == BIG
    assert server.model.uploads == {}
