"""A terminal to look at: an emulator that takes what a program writes, and says what stands there."""

from __future__ import annotations

import re
from typing import Any, cast

import pyte
from rich.cells import chop_cells, set_cell_size


class _Screen(pyte.HistoryScreen):
    """Saves what is seen before it is cleared, as tmux does."""

    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        if how == 0 and (self.cursor.x, self.cursor.y) == (0, 0):
            lines = [self.buffer[row].copy() for row in range(self.lines) if self.buffer[row]]
            self.history.top.extend(cast("list[Any]", lines))
        super().erase_in_display(how, *args, **kwargs)


class Terminal:
    """`wraps`: when it becomes narrower it wraps the lines that are there, as most terminals do; pyte itself
    cuts them, as xterm does."""

    def __init__(self, columns: int = 80, rows: int = 24, *, wraps: bool = True) -> None:
        self._wraps = wraps
        self.written = ""
        self._whole: list[str] | None = None
        """The lines as they were before they were wrapped, up to the cursor."""
        self._new_screen(columns, rows)

    def _new_screen(self, columns: int, rows: int) -> None:
        self._screen = _Screen(columns, rows, history=1000, ratio=0.5)
        self._stream = pyte.Stream(self._screen)

    def write(self, text: str) -> None:
        """As a program does; the system's driver lets each line begin at the left."""
        self.written += text
        self._whole = None
        self._stream.feed(re.sub(r"(?<!\r)\n", "\r\n", text))

    def size(self) -> tuple[int, int]:
        return self._screen.columns, self._screen.lines

    @property
    def column(self) -> int:
        """Where the cursor is."""
        return int(self._screen.cursor.x)

    @property
    def style_is_plain(self) -> bool:
        """Whether what is written next has no colour left from before."""
        return bool(self._screen.cursor.attrs == self._screen.default_char)

    def lines(self) -> list[str]:
        """What stands there from the first line on, with all that has scrolled away."""
        above = [self._text(line) for line in self._screen.history.top]
        found = above + [self._text(self._screen.buffer[row]) for row in range(self._screen.lines)]
        while found and not found[-1]:
            found.pop()
        return found

    def colors(self) -> dict[str, set[str]]:
        """What is shown in which colour, as words."""
        found: dict[str, set[str]] = {}
        for row in range(self._screen.lines):
            text, color = "", "default"
            cells = [self._screen.buffer[row][column] for column in range(self._screen.columns)]
            for cell in [*cells, self._screen.default_char._replace(fg="end")]:
                if cell.fg != color:
                    if text.strip():
                        found.setdefault(color, set()).add(text.strip())
                    text, color = "", cell.fg
                text += cell.data
        return found

    def resize(self, columns: int) -> None:
        """The same rows, other columns: what stands there is wrapped anew, or cut."""
        if not self._wraps:
            self._screen.resize(self._screen.lines, columns)
            return
        if self._whole is None:
            row = len(self._screen.history.top) + self._screen.cursor.y
            lines = self.lines()
            lines += [""] * (row + 1 - len(lines))
            self._whole = [*lines[:row], set_cell_size(lines[row], self.column)]
        self._new_screen(columns, self._screen.lines)
        wrapped = (part for line in self._whole for part in chop_cells(line, columns) or [""])
        self._stream.feed("\r\n".join(wrapped))

    def _text(self, line: dict[int, pyte.screens.Char]) -> str:
        """Without the empty second cells of wide characters, which pyte has."""
        cells = [line[column] for column in range(self._screen.columns)]
        return "".join(cell.data for cell in cells).rstrip()
