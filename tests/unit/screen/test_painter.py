"""`screen.painter`: what a terminal shows. The terminal is an emulator."""

from __future__ import annotations

import re

import pytest

from s3_upload.screen.frame import GREEN, RED, Line, Piece
from s3_upload.screen.painter import BEGIN, END, Painter
from tests.screens.terminal import Terminal


def block(*texts: str, style: str = "") -> list[Line]:
    return [[Piece(text, style)] for text in texts]


def painted(terminal: Terminal, *, colors: bool = True, wraps: bool = True) -> Painter:
    """A painter at the terminal, on which a shell has written before."""
    terminal.write("$ s3-upload\n")
    return Painter(terminal.write, terminal.size, colors=colors, wraps=wraps)


def test_a_block_is_painted_over_the_one_before() -> None:
    terminal = Terminal(40, 10)
    painter = painted(terminal)
    painter.paint(block("title", "longer than the next", "c"))
    assert terminal.lines() == ["$ s3-upload", "title", "longer than the next", "c"]
    painter.paint(block("title", "short", "c", "d"))
    assert terminal.lines() == ["$ s3-upload", "title", "short", "c", "d"]
    painter.paint(block("title"))
    assert terminal.lines() == ["$ s3-upload", "title"]
    assert terminal.column == len("title")
    painter.paint(block("title", "b"))
    assert terminal.lines() == ["$ s3-upload", "title", "b"]


def test_when_it_is_gone_nothing_is_left_and_the_cursor_stands_where_it_began() -> None:
    terminal = Terminal(40, 10)
    painter = painted(terminal)
    painter.clear()
    painter.paint(block("a", "b", "c"))
    painter.clear()
    painter.clear()
    terminal.write("done\n")
    assert terminal.lines() == ["$ s3-upload", "done"]


def test_what_is_written_goes_above_and_is_kept_whole() -> None:
    terminal = Terminal(20, 6)
    painter = painted(terminal)
    painter.above("before any block\n")
    painter.paint(block("title", "bar"))
    for n in range(8):
        painter.above(f"failed: {n}: a line that is wrapped\n")
    painter.above("one\ntwo\n")
    painter.paint(block("title", "bar 2"))
    expected = [part for n in range(8) for part in (f"failed: {n}: a line th", "at is wrapped")]
    assert [line.strip() for line in terminal.lines()] == [
        "$ s3-upload", "before any block",
        *expected, "one", "two", "title", "bar 2",
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["x" * 20, "y" * 40, "世界" * 5, "x" * 19 + "世" + "z" * 18])
def test_of_a_line_that_fills_its_rows_no_character_is_erased(line: str) -> None:
    """The cursor waits in the last column until there is more, and xterm erases what stands there."""
    written: list[str] = []
    painter = Painter(written.append, lambda: (20, 6), colors=True)
    painter.paint(block("title"))
    painter.above(f"{line}\n{line[:-1]}\n")
    assert f"{line}\n{line[:-1]}\x1b[K\n" in written[-1]


def test_what_goes_to_another_stream_stands_above_too() -> None:
    terminal = Terminal(40, 10)
    painter = painted(terminal)
    painter.paint(block("title", "bar"))
    written: list[str] = []

    def write_stdout(text: str) -> None:
        written.append(text)
        terminal.write(text)

    painter.above("a row\n", write_stdout)
    assert written == ["a row\n"]
    assert terminal.lines() == ["$ s3-upload", "a row", "title", "bar"]


def test_a_change_is_one_write_and_nothing_is_erased_before_it_is_written_anew() -> None:
    writes: list[str] = []
    painter = Painter(writes.append, lambda: (80, 24), colors=True)
    for lines in (block("a", "b", "c"), block("d", "e", "f"), block("g"), block("h", "i")):
        painter.paint(lines)
    painter.above("text\n")
    assert len(writes) == 5
    for text in writes:
        assert text.startswith(BEGIN)
        assert text.endswith(END)
    for text in writes[1:4]:
        assert "\x1b[J" not in text or text.endswith(f"\x1b[J{END}")


def test_nothing_hides_the_cursor_and_no_colour_is_left_on() -> None:
    terminal = Terminal(40, 10)
    painter = painted(terminal)
    painter.paint([[Piece("ok ", GREEN), Piece("plain "), Piece("bad", RED)], *block("x", style=RED)])
    assert terminal.colors() == {"default": {"$ s3-upload", "plain"}, "green": {"ok"}, "red": {"bad", "x"}}
    assert terminal.style_is_plain
    assert "?25l" not in terminal.written


def test_without_colours_no_style_is_written() -> None:
    terminal = Terminal(40, 10)
    painted(terminal, colors=False).paint(block("a", "b", style=RED))
    assert re.findall(r"\x1b\[[0-9;]*m", terminal.written) == []
    assert terminal.lines() == ["$ s3-upload", "a", "b"]


LINES = ["t" * 37, "b" * 30, "日本" * 9, "", "n" * 12]


@pytest.mark.parametrize("wraps", [True, False])
@pytest.mark.parametrize("columns", [8, 11, 13, 20, 36, 37, 38, 40, 90])
def test_a_terminal_that_is_resized_keeps_the_text_above_and_nothing_of_the_block(
    columns: int, wraps: bool
) -> None:
    terminal = Terminal(40, 30, wraps=wraps)
    painter = painted(terminal, wraps=wraps)
    painter.above("above\n")
    painter.paint(block(*LINES))
    terminal.resize(columns)
    painter.paint(block("title", "bar"))
    shown = "".join(terminal.lines())
    assert shown == "$ s3-upload"[: len(shown) - 13] + "abovetitlebar" or shown == "$ s3-uploadabovetitlebar"
    terminal.resize(40)
    painter.above("more\n")
    assert terminal.lines()[-4:] == ["above", "more", "title", "bar"]
    painter.clear()
    assert terminal.lines()[-2:] == ["above", "more"]


def test_at_the_top_of_the_screen_nothing_of_the_block_is_saved_as_what_was_seen() -> None:
    """tmux and others save it where "erase what is below" comes at the top."""
    terminal = Terminal(40, 12)
    painter = Painter(terminal.write, terminal.size, colors=True)
    painter.paint(block("title", "bar 1", "row"))
    painter.paint(block("title", "bar 2"))
    terminal.resize(50)
    painter.paint(block("title", "bar 3"))
    painter.above("text\n")
    painter.above("a row\n", terminal.write)
    assert terminal.lines() == ["text", "a row", "title", "bar 3"]
    painter.clear()
    assert terminal.lines() == ["text", "a row"]


def test_several_sizes_between_two_frames_count_as_the_last() -> None:
    terminal = Terminal(40, 30)
    painter = painted(terminal)
    painter.paint(block(*LINES))
    for columns in (12, 70, 25):
        terminal.resize(columns)
    painter.paint(block("title"))
    assert terminal.lines() == ["$ s3-upload", "title"]


def test_of_a_block_that_is_higher_than_the_terminal_the_first_lines_are_shown() -> None:
    terminal = Terminal(40, 5)
    painter = painted(terminal)
    lines = block(*(f"line {n}" for n in range(9)))
    for _ in range(3):
        painter.paint(lines)
    assert terminal.lines() == ["$ s3-upload", "line 0", "line 1", "line 2", "line 3"]
    painter.above("text\n")
    assert terminal.lines() == ["$ s3-upload", "text", "line 0", "line 1", "line 2", "line 3"]


def test_a_terminal_of_one_row_or_none_has_one_line() -> None:
    for rows in (0, 1):
        writes: list[str] = []
        Painter(writes.append, lambda rows=rows: (40, rows), colors=True).paint(block("a", "b"))  # type: ignore[misc]
        assert "a" in writes[0]
        assert "b" not in writes[0]


def test_after_a_shell_has_written_the_block_begins_where_the_cursor_stands() -> None:
    terminal = Terminal(40, 12)
    painter = painted(terminal)
    painter.paint(block("a", "b"))
    terminal.write("^Z\n[1]+ Stopped\n$ fg\n")
    painter.forget()
    painter.paint(block("a", "b 2"))
    assert terminal.lines() == ["$ s3-upload", "a", "b^Z", "[1]+ Stopped", "$ fg", "a", "b 2"]


def test_the_echo_of_ctrl_c_is_painted_over() -> None:
    terminal = Terminal(40, 12)
    painter = painted(terminal)
    painter.paint(block("a", "b" * 37))
    terminal.write("^C")
    painter.paint(block("a", "c" * 37))
    assert terminal.lines() == ["$ s3-upload", "a", "c" * 37]
