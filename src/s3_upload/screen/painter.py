"""Keeps a block of lines at the bottom of a terminal. Escape sequences: ECMA-48, as every terminal has them.

Rules:

* A change is one write, between the marks of a synchronized update (mode 2026; a terminal that does not know
  them ignores them), and nothing is erased before it is written again: nothing flickers.
* "Erase what is below" is sent at a block's end only: at the top of the screen it would be "clear", before
  which tmux and others save what is seen, with the block.
* The cursor stays where it is seen, at the block's end: whoever is killed leaves the terminal in order.
* What others print goes above the block.
* A terminal that has become narrower has wrapped the lines, if it is one that does (`wraps`): so many more
  rows are taken back.

(The library rich has a `Live` that does nearly this; its import takes as long as 500 small uploads, and it
leaves pieces of the block behind where a terminal becomes narrower.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len, chop_cells

from s3_upload.screen.frame import Line

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
TO_END, REST = "\x1b[K", "\x1b[J"
"""Erase to the end of the line; of the screen."""

Size = Callable[[], tuple[int, int]]
"""Columns and rows of the terminal, now."""


class Painter:
    """See the module's rules. `write` takes what is to be sent to the terminal; `colors`: whether styles may
    be."""

    def __init__(self, write: Callable[[str], None], size: Size, *, colors: bool, wraps: bool = True) -> None:
        self._write = write
        self._size = size
        self._colors = colors
        self._wraps = wraps
        self._lines: Sequence[Line] = ()
        self._widths: list[int] = []

    def paint(self, lines: Sequence[Line]) -> None:
        """The block becomes `lines`."""
        columns, rows = self._size()
        lines = lines[: max(1, rows - 1)]
        rows = self._rows(columns)
        rest = REST if len(lines) < rows else ""
        self._write(f"{BEGIN}{_to_top(rows)}{self._block(lines)}{rest}{END}")

    def above(self, text: str, write: Callable[[str], None] | None = None) -> None:
        """Writes `text`, whole lines, above the block; with `write`, where it is of another stream."""
        columns = self._size()[0]
        rows, lines = self._rows(columns), self._lines
        if not lines:
            (write or self._write)(text)
        elif write is None:
            written = "\n".join(_ended(line, columns) for line in text.split("\n"))
            self._write(f"{BEGIN}{_to_top(rows)}{written}{self._block(lines)}{REST}{END}")
        else:
            self._write(_erased(rows))
            write(text)
            self._write(self._block(lines))

    def clear(self) -> None:
        """The block is gone; the cursor stands where it began."""
        if self._lines:
            text = _erased(self._rows(self._size()[0]))
            self.forget()
            self._write(text)

    def forget(self) -> None:
        """Others have written to the terminal since: the block stays where it is, the next one begins where
        the cursor stands."""
        self._lines, self._widths = (), []

    def _rows(self, columns: int) -> int:
        """Of the terminal, that the block takes."""
        rows = len(self._lines)
        if self._wraps and columns < max(self._widths, default=0):
            texts = ("".join(piece.text for piece in line) for line in self._lines)
            rows = sum(len(chop_cells(text, max(columns, 2))) or 1 for text in texts)
        return rows

    def _block(self, lines: Sequence[Line]) -> str:
        self._lines = lines
        self._widths = [sum(cell_len(piece.text) for piece in line) for line in lines]
        return "\r\n".join(self._styled(line) + TO_END for line in lines)

    def _styled(self, line: Line) -> str:
        if not self._colors:
            return "".join(piece.text for piece in line)
        return "".join(f"\x1b[{style}m{text}\x1b[0m" if style else text for text, style in line)


def _ended(line: str, columns: int) -> str:
    """With nothing behind it of what was there. Where it fills its last row there is nothing, and the cursor
    may wait on its last character, which would be erased."""
    is_full = cell_len(line) >= columns and cell_len(chop_cells(line, max(columns, 2))[-1]) >= columns
    return line if is_full else line + TO_END


def _to_top(rows: int) -> str:
    """Moves the cursor from the end of a block of so many rows to its begin."""
    return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r" * rows


def _erased(rows: int) -> str:
    """The same, and erases it."""
    return f"\r{TO_END}" + f"\x1b[A{TO_END}" * (rows - 1) if rows else ""
