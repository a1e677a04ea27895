"""`--processes 2`, stopped by Ctrl-C or killed: nothing is left running, and the journal goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from bench.leases import children_of
from s3_upload.cli.main import main
from tests.faults.actions import Rule, Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

FILES = 60
TIMEOUT_S = 120.0


@pytest.fixture
def src(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    root.mkdir()
    for number in range(FILES):
        (root / f"{number:02}").write_bytes(b"%d" % number)
    return root


@pytest.fixture
def command(fault_server: StartFaultServer, src: Path) -> Iterator[Command]:
    made = Command(fault_server(), src)
    yield made
    made.close()


class Command:
    """`s3-upload --processes 2` with a journal."""

    def __init__(self, server: FaultServer, src: Path) -> None:
        self.server = server
        self.src = src
        self._begun: list[subprocess.Popen[str]] = []

    def begin(self) -> subprocess.Popen[str]:
        words = [
            str(self.src), "s3://bucket", "--endpoint-url", self.server.url, "--processes", "2", "--journal",
            str(self.src.parent / "journal"), "--grace", "0", "--json",
        ]  # fmt: skip
        begun = subprocess.Popen(
            [sys.executable, "-m", "s3_upload", *words],
            env=os.environ | {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._begun.append(begun)
        return begun

    def run_here(self, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
        """The exit code, of a command without a journal in this process."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        words = [str(self.src), "s3://bucket", "--endpoint-url", self.server.url, "--no-journal"]
        return main([*words, "--processes", "2", *more])

    def close(self) -> None:
        for begun in self._begun:
            begun.kill()
            begun.communicate()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(int(TIMEOUT_S / 0.02)):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("waited in vain")


def uploaded(out: str) -> int:
    """Objects, by the lines of --json."""
    lines = [json.loads(line) for line in out.splitlines()]
    return sum(line["type"] == "upload" and line["outcome"] == "success" for line in lines)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_ends_all_processes_in_one_line_and_the_journal_goes_on(command: Command) -> None:
    server = command.server
    server.set_script([Rule(Stall(), method="PUT", nth=range(21, 10**6))])
    begun = command.begin()
    until(lambda: bool(children_of(begun.pid)) and len(server.of("PUT")) > 20)
    [child] = children_of(begun.pid)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=TIMEOUT_S)
    assert begun.returncode == 130
    assert len(err.splitlines()) <= 2, err
    assert "Traceback" not in err
    first = uploaded(out)
    assert first <= 20  # an answer may have been on its way
    assert not is_there(child)

    server.set_script(None)
    again = command.begin()
    out, err = again.communicate(timeout=TIMEOUT_S)
    assert (again.returncode, uploaded(out)) == (0, FILES - first), err
    assert len(server.model.bodies("bucket")) == FILES
    requests = len(server.requests)
    nothing = command.begin()
    nothing.communicate(timeout=TIMEOUT_S)
    assert (nothing.returncode, len(server.requests)) == (0, requests)


def test_types_that_are_not_guessed_travel_too(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.run_here(monkeypatch, "--no-guess-mime-type") == 0, capsys.readouterr().err
    assert len(command.server.model.bodies("bucket")) == FILES


def test_when_the_job_is_killed_its_processes_end(command: Command) -> None:
    server = command.server
    server.set_script([Rule(Stall(), method="PUT", nth=range(1, 10**6))])
    begun = command.begin()
    until(lambda: bool(children_of(begun.pid)))
    [child] = children_of(begun.pid)
    begun.kill()
    begun.communicate(timeout=TIMEOUT_S)
    until(lambda: not is_there(child))


def test_what_one_process_alone_can_do_is_refused_by_the_name_of_the_flag(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command.run_here(monkeypatch, "--share", "fair") == 2
    assert capsys.readouterr().err.startswith("s3-upload: error: --processes 2: what leaves room to others ")
    assert command.server.requests == []
