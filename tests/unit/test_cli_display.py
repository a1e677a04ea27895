"""What shows while the command goes on, and where."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from s3_upload.cli.stdin import STDIN
from s3_upload.cli.views.display import Display, Kind, kind_of
from s3_upload.observe.events import ObjectEnded
from s3_upload.report import Counts
from s3_upload.screen import terminal
from s3_upload.screen.frame import Frame
from tests.screens.terminal import Terminal
from tests.unit.reports import attempt, failed, uploaded
from tests.unit.screen.statuses import status

# --- a bar, lines, or nothing -------------------------------------------------------------------------


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stderr is a terminal that understands escape sequences."""
    for name in ("CI", "NO_COLOR", "LC_ALL", "LC_CTYPE", "XTERM_VERSION", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 2)


def kind(
    wanted: str = "auto", *, silent: bool = False, stdout_is_shown: bool = False, replaced: bool = False
) -> Kind:
    """`replaced`: stderr is something else than the file that it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", None if replaced else sys.__stderr__)
        return kind_of(wanted, silent=silent, stdout_is_shown=stdout_is_shown)


@pytest.mark.usefixtures("on_terminal")
def test_a_terminal_has_a_bar_unless_something_else_is_wanted() -> None:
    assert [kind(wanted) for wanted in ("auto", "bar", "plain", "none")] == ["bar", "bar", "plain", "none"]


@pytest.mark.usefixtures("on_terminal")
def test_whoever_wants_to_hear_less_or_sees_rows_has_none_but_for_asking() -> None:
    for more in ({"silent": True}, {"stdout_is_shown": True}):
        assert [kind(wanted, **more) for wanted in ("auto", "bar", "plain", "none")] == [
            "none", "bar", "plain", "none",
        ]  # fmt: skip


@pytest.mark.usefixtures("on_terminal")
@pytest.mark.parametrize("name", ["dumb", ""])
def test_a_dumb_terminal_has_lines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", name)
    assert (kind(), kind("bar"), kind("none")) == ("plain", "plain", "none")


@pytest.mark.usefixtures("on_terminal")
def test_what_is_no_terminal_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: fd != 2)
    assert (kind(), kind("bar"), kind(silent=True)) == ("plain", "plain", "none")
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    assert kind(replaced=True) == "plain"


@pytest.mark.usefixtures("on_terminal")
def test_ci_has_lines_even_where_it_gives_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert (kind(), kind("bar")) == ("plain", "bar")


# --- what it can show ---------------------------------------------------------------------------------


class Encoded:
    def __init__(self, encoding: str) -> None:
        self.encoding = encoding


@pytest.mark.usefixtures("on_terminal")
@pytest.mark.parametrize(
    ("variables", "encoding", "shows"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", True),
        ({}, "utf-8", True),
        ({"LC_ALL": "C"}, "utf-8", False),  # Python writes UTF-8, and the terminal expects none
        ({"LANG": "POSIX"}, "utf-8", False),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "utf-8", True),
        ({"LANG": "de_DE"}, "iso8859-1", False),
        ({}, "no such encoding", False),
    ],
)
def test_other_characters_than_plain_ones_are_for_those_who_can_show_them(
    variables: dict[str, str], encoding: str, shows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LANG", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Encoded(encoding))
    assert terminal.can_show("━") is shows
    assert terminal.can_show("-") is (encoding != "no such encoding" or bool(variables))


@pytest.mark.parametrize(
    ("variables", "wraps"),
    [({"TERM": "xterm-256color"}, True), ({"TERM": "linux"}, False), ({"XTERM_VERSION": "XTerm(370)"}, False),
     ({"STY": "1.tty"}, False)],
)  # fmt: skip
@pytest.mark.usefixtures("on_terminal")
def test_some_terminals_do_not_wrap_anew(
    variables: dict[str, str], wraps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.wraps_anew() is wraps


@pytest.mark.parametrize(("value", "wants"), [(None, True), ("", True), ("1", False)])
def test_no_color(value: str | None, wants: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    assert terminal.wants_colors() is wants


# --- the title ----------------------------------------------------------------------------------------


def title(display: Display) -> str:
    frame = display._new_frame()
    assert isinstance(frame, Frame)
    return frame.lines(status(), 140)[0][0].text


@pytest.mark.usefixtures("on_terminal")
@pytest.mark.parametrize(
    ("sources", "endpoint", "text"),
    [
        (["photos"], "http://minio.local:9000", "photos → s3://b/p at minio.local:9000"),
        (["photos"], "https://s3.eu-west-1.amazonaws.com", "photos → s3://b/p"),
        (["a", "b", "c"], "", "a, b, c → s3://b/p"),
        ([f"f{n}" for n in range(1_234)], "", "f0, f1, f2 and 1,231 more → s3://b/p"),
        ([STDIN], "", "stdin → s3://b/p"),
    ],
)
def test_the_title_says_from_where_to_where(
    sources: list[str], endpoint: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Encoded("utf-8"))
    monkeypatch.setenv("LANG", "C.UTF-8")
    display = Display("bar", sources, "s3://b/p")
    display.found(endpoint)
    assert title(display) == text


# --- a block on the terminal, and what scrolls above ----------------------------------------------------

SCRIPT = """
import os, signal
from s3_upload.cli import output
from s3_upload.screen.frame import Piece

def block(*texts):
    return [[Piece(text, "32")] for text in texts]

with output.in_background():
    with output.screen(lambda: (40, 24)) as paint:
        paint(block("title", "bar 1", "row"))
        output.flush()
        {then}
    output.emit("the end")
    output.flush()
"""


def run_on_terminal(then: str, **streams: Any) -> list[str]:
    """What a terminal shows of the script, with both streams on it unless `streams` says otherwise."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    lines = (textwrap.indent(textwrap.dedent(then), " " * 8)).strip()
    given = {"stdin": theirs, "stdout": theirs, "stderr": theirs} | streams
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(then=lines)], timeout=60, check=False, **given
    )  # what it writes is less than a terminal keeps
    os.close(theirs)
    emulator = Terminal(40, 24)
    with suppress(OSError):  # nobody has it open any more
        while data := os.read(ours, 65_536):
            emulator.write(data.decode())
    os.close(ours)
    assert done.returncode == 0
    assert emulator.style_is_plain
    return emulator.lines()


def test_lines_of_both_streams_scroll_above_the_block_and_nothing_of_it_is_left() -> None:
    shown = run_on_terminal(
        """
        output.note("failed: a")
        output.emit("a row on stdout")
        paint(block("title", "bar 2"))
        """
    )
    assert shown == ["failed: a", "a row on stdout", "the end"]


def test_of_two_blocks_that_nobody_took_in_yet_the_first_is_painted() -> None:
    """What waits is bounded: a terminal that is stopped gets no pile of frames when it goes on."""
    shown = run_on_terminal(
        """
        paint(block("x"))
        output._screen._waits = True  # as while the one before is not taken in
        paint(block("y"))
        output.flush()
        output._screen.painter.forget()  # what stands there stays
        os.write(2, b"\\r\\n")
        """
    )
    assert shown == ["x", "the end"]


def test_after_a_stop_the_block_begins_where_the_shell_has_left_the_cursor() -> None:
    shown = run_on_terminal(
        """
        os.write(2, b"^Z\\r\\nstopped\\r\\n")
        os.kill(os.getpid(), signal.SIGCONT)
        paint(block("title", "bar 2"))
        output.flush()
        """
    )
    assert shown == ["title", "bar 1", "row^Z", "stopped", "the end"]


def test_a_job_in_the_background_leaves_the_terminal_to_others() -> None:
    shown = run_on_terminal(
        """
        os.write(2, b"\\r\\n$ ")
        output._in_foreground = lambda: False
        paint(block("title", "bar 2"))
        output.note("failed: a")
        """
    )
    assert shown == ["title", "bar 1", "row", "$ failed: a", "the end"]


def test_rows_that_go_elsewhere_are_no_lines_of_the_terminal(tmp_path: Path) -> None:
    with (tmp_path / "rows").open("wb") as rows:
        shown = run_on_terminal('output.emit("a row on stdout")', stdout=rows)
    assert shown == []
    assert (tmp_path / "rows").read_text() == "a row on stdout\nthe end\n"


def test_how_it_stands_counts_what_was_confirmed_also_where_nobody_has_read_of_it() -> None:
    display, one = Display("none"), attempt(0.0, 1.0, 5)
    for report in (uploaded(0, one), uploaded(1, one), failed(2)):
        display.watch.listening.listener(ObjectEnded(at_s=0.0, report=report))
    for told, files in ((Counts(1, 0, 0, 0), 2), (Counts(3, 0, 1, 0), 3)):
        stands = display.stands(told)
        assert (stands.files, stands.failed) == (files, 1)
