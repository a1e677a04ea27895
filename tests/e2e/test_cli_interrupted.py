"""What the command says where it ends before its time: nothing untrue, and no note is lost."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_cli_journal import COMMAND, PARTS, TIMEOUT_S, environment, journals
from tests.faults.actions import Rule, Stall, s3_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

THREE_PARTS = b"x" * (15 << 20)
ONE_IS_HELD = Rule(Stall(), query={"partNumber": "3"})
NO_ABORT = Rule(s3_error(403, "AccessDenied"), method="DELETE")
LEFT = "s3-upload: note: could not abort the multipart upload of big: parts may be left there"
CAN_GO_ON = "of files that can go on"
AGAIN = "to go on, run the same command again"


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "big"
    path.write_bytes(THREE_PARTS)
    return path


def interrupted(server: FaultServer, *words: str, before: Callable[[], None] = lambda: None) -> str:
    """What it says on stderr where it is interrupted while the third part is held; `before` is called in that
    moment."""
    with subprocess.Popen(
        [COMMAND, "big", "s3://bucket", *PARTS, "--hedge", "off", "--grace", "0", *words],
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        server.wait_until(
            lambda: (
                sum(r.part_number in {1, 2} and r.status == 200 for r in server.requests) == 2
                and any(r.part_number == 3 for r in server.requests)
            ),
            TIMEOUT_S,
        )
        before()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    return err


def test_what_is_kept_for_the_next_run_can_go_on(fault_server: StartFaultServer, big: Path) -> None:
    server = fault_server([ONE_IS_HELD])
    err = interrupted(server)
    assert CAN_GO_ON in err
    assert AGAIN in err
    assert "s3-upload: note: an upload in parts is left in the store for the next run to go on with" in err
    assert len(server.model.uploads) == 1


def test_without_a_journal_what_the_store_alone_will_tell_can_go_on(
    fault_server: StartFaultServer, big: Path
) -> None:
    server = fault_server([ONE_IS_HELD])
    err = interrupted(server, "--no-journal", "--resume-multipart")
    assert CAN_GO_ON in err
    assert len(server.model.uploads) == 1


def test_a_run_whose_journal_was_removed_says_so_and_not_that_anything_can_go_on(
    fault_server: StartFaultServer, big: Path
) -> None:
    def remove() -> None:
        for path in journals():
            path.unlink()

    server = fault_server([ONE_IS_HELD])
    err = interrupted(server, before=remove)
    assert server.model.uploads == {}
    assert CAN_GO_ON not in err
    assert AGAIN not in err
    assert "of it dropped with unfinished files" in err
    assert "has stopped: its file was removed or replaced; another run sends all again" in err


def test_parts_that_an_interrupted_run_could_not_remove_are_named(
    fault_server: StartFaultServer, big: Path
) -> None:
    server = fault_server([ONE_IS_HELD, NO_ABORT])
    assert LEFT in interrupted(server, "--no-journal").splitlines()


def test_parts_that_a_run_stopped_by_the_store_could_not_remove_are_named(
    fault_server: StartFaultServer, big: Path
) -> None:
    refused = Rule(s3_error(400, "ExpiredToken"), query={"partNumber": "3"})
    server = fault_server([refused, NO_ABORT])
    words = [COMMAND, "big", "s3://bucket", *PARTS, "--no-journal"]
    done = subprocess.run(
        words, env=environment(server), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 3, done.stderr
    assert LEFT in done.stderr.splitlines()


@pytest.mark.parametrize("flag", ["--quiet", "--only-show-errors"])
def test_who_wants_to_hear_less_hears_no_notes(fault_server: StartFaultServer, big: Path, flag: str) -> None:
    server = fault_server([ONE_IS_HELD, NO_ABORT])
    assert "note: " not in interrupted(server, "--no-journal", flag)
