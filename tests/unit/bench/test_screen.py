"""`bench.screen`: what is read from a terminal, and how it is judged."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest

from bench import screen
from bench.measure import Ended, FailedUploadError, Run, run_process
from bench.received import Received
from bench.screen import Frame, check, frames_of, judge, on_a_terminal
from tests.unit.bench.made_up import store

SHOWN = (
    "\x1b[?2026h\r\x1b[1ma → s3://b at h\x1b[0m\x1b[K\r\n"
    " 52 % \x1b[32m━━━\x1b[0m  1.04 of 2.00 GB   0:10 left\x1b[K\r\n"
    " 0 of 4 files · 99.5 MB/s · limited by the link\x1b[K\x1b[?2026l"
)


def test_a_frame_is_read_through_its_colours() -> None:
    assert frames_of([(3.0, SHOWN)]) == [Frame(3.0, 52, 1.04e9, 99.5e6, 10.0)]


def test_a_frame_without_a_time_left_is_one_too() -> None:
    [frame] = frames_of([(3.0, SHOWN.replace("   0:10 left", ""))])
    assert frame.left_s is None


@pytest.mark.parametrize(("shown", "rate"), [("0 B/s", 0.0), ("850 B/s", 850.0), ("85 kB/s", 85e3)])
def test_a_small_rate_is_one_too(shown: str, rate: float) -> None:
    [frame] = frames_of([(3.0, SHOWN.replace("99.5 MB/s", shown))])
    assert frame.rate == rate


def test_what_is_true_is_judged_to_be() -> None:
    sink = Received([float(s) for s in range(21)], [100_000_000 * s for s in range(21)])
    frames = [Frame(s, int(5 * s), 1e8 * s, 1e8, 20.0 - s) for s in range(1, 20)]
    found = judge(frames, sink, 20.0)
    assert found == {"first_s": 0.0, "rate_error": 0.0, "left_error": 0.0}


def test_what_is_off_is_judged_by_how_much() -> None:
    sink = Received([float(s) for s in range(21)], [100_000_000 * s for s in range(21)])
    frames = [Frame(s, int(5 * s), 1e8 * s, 1.1e8, 10.0) for s in range(5, 20)]
    found = judge(frames, sink, 20.0)
    assert found["first_s"] == 4.0
    assert found["rate_error"] == pytest.approx(0.1)
    assert found["left_error"] > 0.2


def test_a_command_on_the_terminal_keeps_nothing_in_the_users_own_folders() -> None:
    shown: list[tuple[float, str]] = []
    code = "import os, sys; print(os.isatty(2), os.environ['XDG_STATE_HOME'], file=sys.stderr)"
    ended = on_a_terminal([sys.executable, "-I", "-S", "-c", code], shown)
    terminal, state = "".join(text for _, text in shown).split()
    assert (ended.returncode, terminal) == (0, "True")
    assert state != os.environ["XDG_STATE_HOME"]
    assert not Path(state).exists()


def test_a_command_on_the_terminal_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "run_process", functools.partial(run_process, timeout_s=0.2))
    forever = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    assert on_a_terminal(forever, []).late


@pytest.mark.parametrize(
    ("returncode", "late", "size", "said"),
    [
        (1, False, 3, "s3-upload: exit 1: no"),
        (-9, True, 3, "s3-upload: not done after 300 s"),
        (0, False, 4, r"s3-upload: 1 object\(s\) of wrong size, the first is a"),
    ],
)
def test_a_run_counts_only_where_the_store_has_everything(
    returncode: int, late: bool, size: int, said: str
) -> None:
    check(Ended(Run(1.0, 1.0), 0, ""), "", {"a": 3}, store(a=3))
    with pytest.raises(FailedUploadError, match=f"^{said}$"):
        check(Ended(Run(1.0, 1.0), returncode, "", late), "no", {"a": size}, store(a=3))
