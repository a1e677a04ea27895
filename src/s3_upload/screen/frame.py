"""The screen of a run: a `Status` becomes lines of styled text.

Rules:

* A line is never wider than the terminal: what does not fit is left out, the least important first.
* What is said does not move about.  The bar's length depends on the terminal alone, what may be missing
  stands last in its line, and the lines that come and go stand last of all.
* An object on its way keeps its row until it ends.
* Trouble is yellow; what failed, red.
* No character of a name reaches the terminal as anything but a character.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from s3_upload.observe.limits import AWAY, THROTTLED
from s3_upload.observe.status import Moving, Status
from s3_upload.screen import words
from s3_upload.text import printable
from s3_upload.units import show_rate

NARROW = 60
"""Below so many columns amounts have a line of their own."""
MAX_ROWS = 4
"""Objects on their way that are shown."""
ROW_AFTER_S = 1.0
"""What is on its way for less is no row: it would flicker."""
MAX_BAR, ROW_BARS = 44, (6, 14)
PERCENT = 6
AMOUNT = 16
"""Columns of "1.12 of ~2.15 GB", which an amount mostly has."""
LEFT = 10
"""Of "12:05 left"."""
MIN_NAME = 8
DIM, BOLD, RED, YELLOW, GREEN, CYAN = "2", "1", "31", "33", "32", "36"


class Glyphs(NamedTuple):
    """What bars and arrows are made of."""

    full: str = "━"
    half: str = "╸"
    rest: str = "─"
    up: str = "↑"
    to: str = "→"
    dot: str = "·"
    cut: str = "…"


UNICODE = Glyphs()
ASCII = Glyphs(full="#", half="#", rest="-", up="^", to="->", dot="|", cut="~")


class Title(NamedTuple):
    """From where to where. `host`: that of the store, "" where it goes without saying."""

    sources: str
    destination: str
    host: str = ""

    @property
    def prefix(self) -> str:
        """What all keys begin with."""
        return self.destination.removeprefix("s3://").partition("/")[2]


class Piece(NamedTuple):
    """Some text and its style: a parameter of SGR (ECMA-48), "" for none."""

    text: str
    style: str = ""


Line = list[Piece]


class Frame:
    """The screen of one run. `notes`: what to say of what limits instead, by its name."""

    def __init__(
        self, title: Title, *, glyphs: Glyphs = UNICODE, notes: Mapping[str, str] | None = None
    ) -> None:
        self._title = title
        self._glyphs = glyphs
        self._notes = notes or {}
        self._rows: list[int] = []  # whose they are

    def lines(self, status: Status, width: int) -> list[Line]:
        """The screen, from top to bottom, in a terminal of `width` columns."""
        width = max(width - 3, 1)  # behind the last line the terminal writes ^C, and must not wrap
        lines = [[Piece(self._title_text(width), BOLD)], self._bar_line(status, width)]
        lines += self._counts_lines(status, width) + self._trouble_lines(status)
        lines += self._moving_lines(status, width)
        return [self._clipped(line, width) for line in lines]

    def _title_text(self, width: int) -> str:
        """What there is too much of is the sources' names; the host goes first."""
        sources, destination, host = (printable(text) for text in self._title)
        to = f" {self._glyphs.to} {destination}"
        for end in (f"{to} at {host}" if host else to, to):
            room = width - cell_len(end)
            if room >= min(cell_len(sources), width // 4):
                return f"{_fit(sources, room, self._glyphs)}{end}"
        return f"{sources}{to}"

    # --- the second line: how far ---------------------------------------------------------------------

    def _bar_line(self, status: Status, width: int) -> Line:
        share, amount = status.share, words.bytes_phrase(status)
        if share is None:
            return [Piece(f" {amount}"), Piece(f"   {words.clock(status.elapsed_s)}", DIM)]
        line = [Piece(f"{words.percent(share):>{PERCENT - 1}} ")]
        shown = 0 if width < NARROW else AMOUNT + 2
        line += self._bar(share, max(4, min(MAX_BAR, width - PERCENT - shown - LEFT - 2)))
        if shown:
            line.append(Piece(f"  {amount:<{AMOUNT}}"))
        if status.left_s is not None:
            line.append(Piece(f"  {words.clock(status.left_s)} left"))
        elif status.away_s is not None or status.silent_s is not None:
            line.append(Piece("  waiting"))
        return line

    def _bar(self, share: float, width: int) -> Line:
        full, half = divmod(int(share * width * 2), 2)
        done = self._glyphs.full * full + self._glyphs.half * half
        return [Piece(done, GREEN), Piece(self._glyphs.rest * (width - full - half), DIM)]

    # --- the third: what is done, how fast, and what limits -------------------------------------------------

    def _counts_lines(self, status: Status, width: int) -> list[Line]:
        """In the order of importance, as many as fit; in a narrow terminal, on two lines."""
        at_once = status.requests
        first = [
            Piece(words.compared_phrase(status)),
            Piece(words.files_phrase(status)),
            Piece(show_rate(status.rate_bytes_per_s)),
        ]
        more = [
            Piece(
                self._notes.get(status.limited_by) or words.limit_phrase(status),
                YELLOW if status.limited_by in {AWAY, THROTTLED} else "",
            ),
            Piece(f"{status.rate_files_per_s:,.0f} files/s" if status.rate_files_per_s >= 10.0 else ""),
            Piece(f"{at_once:,} {'request' if at_once == 1 else 'requests'} at once" if at_once else ""),
        ]
        if width >= NARROW:
            return [self._dotted([*first, *more], width)]
        known = status.share is not None  # else the second line says how much it is
        amount = [Piece(words.bytes_phrase(status))] if known else []
        return [self._dotted(first, width), self._dotted([*amount, *more], width)]

    def _dotted(self, pieces: list[Piece], width: float = inf) -> Line:
        """The first of `pieces` that says something, and of the others the first that fit."""
        line: Line = []
        used = 0
        for piece in (piece for piece in pieces if piece.text):
            between = f" {self._glyphs.dot} " if line else " "
            used += cell_len(between) + cell_len(piece.text)
            if used > width and line:
                break
            line += [Piece(between, DIM), piece]
        return line

    # --- trouble ------------------------------------------------------------------------------------------

    def _trouble_lines(self, status: Status) -> list[Line]:
        phrase = words.trouble_phrase(status)
        trouble = [Piece(f" {phrase}", YELLOW)] if phrase else []
        pieces = [
            Piece(f"{status.failed:,} failed" if status.failed else "", RED),
            Piece(f"{status.retried:,} tried again" if status.retried else "", YELLOW),
            Piece(f"{status.skipped:,} skipped" if status.skipped else ""),
            Piece(_last_failure(status), RED),
        ]
        return [line for line in (trouble, self._dotted(pieces)) if line]

    # --- objects on their way ----------------------------------------------------------------------------

    def _moving_lines(self, status: Status, width: int) -> list[Line]:
        shown = self._shown(status)
        total = status.total
        alone = len(shown) == 1 and (total is None or (total.complete and total.files == 1))
        return [] if alone else [self._row(one, width) for one in shown]  # the second line says it

    def _shown(self, status: Status) -> list[Moving]:
        """Those that have a row keep it; where one has ended, the next follows that takes long."""
        moving = {one.seq: one for one in status.moving if status.elapsed_s - one.since_s >= ROW_AFTER_S}
        waiting = sorted(moving.keys() - set(self._rows), key=lambda seq: (moving[seq].since_s, seq))
        waiting.reverse()
        rows = [seq if seq in moving else waiting.pop() if waiting else None for seq in self._rows]
        self._rows = [seq for seq in rows if seq is not None]
        while waiting and len(self._rows) < MAX_ROWS:
            self._rows.append(waiting.pop())
        return [moving[seq] for seq in self._rows]

    def _row(self, one: Moving, width: int) -> Line:
        """Under the line about the whole, and like it; the name, which has any length, at the end."""
        bar = min(max(width // 5, ROW_BARS[0]), ROW_BARS[1])
        if one.size:
            share = min(1.0, one.bytes / one.size)
            line = [Piece(f"{words.percent(share):>{PERCENT - 1}} "), *self._bar(share, bar)]
            amount = words.size_of(min(one.bytes, one.size), one.size)
        else:
            line = [Piece(" " * (PERCENT + bar))]
            amount = words.size(one.bytes)
        if width >= NARROW or not one.size:
            line.append(Piece(f"  {amount:<{AMOUNT}}", DIM))
        line.append(Piece(f" {self._glyphs.up} ", CYAN))
        room = max(width - sum(cell_len(text) for text, _ in line), MIN_NAME)
        name = one.key.removeprefix(self._title.prefix).lstrip("/") or one.key
        return [*line, Piece(_fit_end(printable(name), room, self._glyphs))]

    # --- what fits ----------------------------------------------------------------------------------------

    def _clipped(self, line: Line, width: int) -> Line:
        """As much of `line` as goes into `width`, and nothing but printable characters."""
        found: Line = []
        for text, style in line:
            shown = printable(text)
            size = cell_len(shown)
            if size > width:
                return [*found, Piece(_fit(shown, width, self._glyphs), style)]
            found.append(Piece(shown, style))
            width -= size
        if found:
            found[-1] = Piece(found[-1].text.rstrip(), found[-1].style)
        return found


def _last_failure(status: Status) -> str:
    """ "last: old/link: the link leads to nothing"."""
    report = status.last_failure
    if report is None:
        return ""
    why = report.error.message if report.error is not None else report.reason or report.outcome
    return f"last: {why}" if why.startswith(report.source) else f"last: {report.source}: {why}"


def _fit(text: str, width: int, glyphs: Glyphs) -> str:
    """The beginning of `text`."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + glyphs.cut if width > 0 else ""


def _fit_end(text: str, width: int, glyphs: Glyphs) -> str:
    """Its end, which tells names apart."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[max(1, (cell_len(text) - width) // 2) :]
    return glyphs.cut + text
