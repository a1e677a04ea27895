"""The screen of a run: a `Status` becomes lines of styled text. Pure.

Rules:

* A line is never wider than the terminal: what does not fit is left out, the least important first.
* What is said does not move about: numbers that change often stand where their length matters least.
* Trouble is said last, and in yellow; what failed, in red.
"""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from s3_upload.observe.limits import AWAY, CAP, OTHERS, THROTTLED
from s3_upload.observe.status import Moving, Status
from s3_upload.screen import words

MIN_WIDTH = 20
MIN_NAME_WIDTH = 12
MAX_NAMES = 4
"""Objects on their way that are shown: side by side where their names fit, else one a line."""
ROW_AFTER_S = 1.0
"""What is on its way for less is no row: it would flicker."""
BAR_WIDTH = (8, 44)
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


class Piece(NamedTuple):
    """Some text and its style: a parameter of SGR (ECMA-48), "" for none."""

    text: str
    style: str = ""


Line = list[Piece]


class Frame:
    """What stays the same during a run: `title` is "photos → s3://b/p at host". `notes`: what to add to what
    limits, by its name."""

    def __init__(self, title: str, *, glyphs: Glyphs = UNICODE, notes: dict[str, str] | None = None) -> None:
        self._title = title
        self._glyphs = glyphs
        self._notes = notes or {}

    def lines(self, status: Status, width: int) -> list[Line]:
        """The screen, from top to bottom, in a terminal of `width` columns."""
        width = max(width - 1, MIN_WIDTH)  # the last column makes some terminals wrap
        lines = [[Piece(_fit(self._title, width, self._glyphs), BOLD)]]
        lines += [self._bar_line(status, width), self._counts_line(status, width)]
        lines += self._rows(status, width)
        trouble = self._trouble_line(status, width)
        return [*lines, trouble] if trouble else lines

    # --- the second line: how far ---------------------------------------------------------------------

    def _bar_line(self, status: Status, width: int) -> Line:
        share, amount = status.share, words.bytes_phrase(status)
        left = f"{words.clock(status.left_s)} left" if status.left_s is not None else ""
        if share is None:
            rest = f"{amount}   {words.clock(status.elapsed_s)}"
            return [Piece(_fit(f" {rest}", width, self._glyphs))]
        head = f"{words.percent(share):>5} "
        for tail in (f"  {amount}   {left}".rstrip(), f"  {amount}", ""):
            room = width - cell_len(head) - cell_len(tail)
            if room >= BAR_WIDTH[0]:
                return [
                    Piece(head),
                    *self._bar(share, min(room, BAR_WIDTH[1])),
                    Piece(tail),
                ]
        return [Piece(_fit(head, width, self._glyphs))]

    def _bar(self, share: float, width: int) -> Line:
        halves = int(share * width * 2)
        full, half = divmod(halves, 2)
        done = self._glyphs.full * full + self._glyphs.half * half
        return [Piece(done, GREEN), Piece(self._glyphs.rest * (width - full - half), DIM)]

    # --- the third: what is done, how fast, and what limits -------------------------------------------------

    def _counts_line(self, status: Status, width: int) -> Line:
        dot = f" {self._glyphs.dot} "
        requests = "1 request at once" if status.requests == 1 else f"{status.requests:,} requests at once"
        small = status.rate_files_per_s >= 10.0
        limit = self._limit(status)
        parts = [
            (0, Piece(words.files_phrase(status))),
            (1, Piece(words.rate(status.rate_bytes_per_s))),
            (4, Piece(f"{status.rate_files_per_s:,.0f} a second" if small else "")),
            (3, Piece(requests if status.requests else "")),
            (2, Piece(limit, YELLOW if status.limited_by in {AWAY, THROTTLED} else "")),
        ]
        parts = [(rank, piece) for rank, piece in parts if piece.text]
        while len(parts) > 1 and _width(parts, dot) > width - 1:
            parts.remove(max(parts, key=lambda part: part[0]))
        line: Line = [Piece(" ")]
        for number, (_, piece) in enumerate(parts):
            line += [Piece(dot, DIM), piece] if number else [piece]
        return line

    def _limit(self, status: Status) -> str:
        phrase = words.limit_phrase(status)
        if status.limited_by in {CAP, OTHERS} and (note := self._notes.get(status.limited_by)):
            return note
        return phrase

    # --- objects on their way ----------------------------------------------------------------------------

    def _rows(self, status: Status, width: int) -> list[Line]:
        moving = [one for one in status.moving if status.elapsed_s - one.since_s >= ROW_AFTER_S]
        if status.total is not None and status.total.complete and status.total.files == 1:
            return []  # the bar says it
        shown = sorted(moving, key=lambda one: one.since_s)[:MAX_NAMES]
        longest = max((cell_len(one.key) for one in shown), default=0)
        columns = next(
            n for n in (3, 2, 1) if n == 1 or _name_width(width // n) >= max(longest, MIN_NAME_WIDTH)
        )
        rows = [shown[n : n + columns] for n in range(0, len(shown), columns)]
        return [[piece for one in row for piece in self._row(one, width // columns)] for row in rows]

    def _row(self, one: Moving, width: int) -> Line:
        room = _name_width(width)
        name = set_cell_size(_fit_end(_printable(one.key), room, self._glyphs), room)
        head = [Piece(f" {self._glyphs.up} ", CYAN), Piece(f"{name} ")]
        if not one.size:
            return [*head, Piece(f"{words.size(one.bytes):>{_row_bar(width) + TAIL}}")]
        share = min(1.0, one.bytes / one.size)
        return [*head, *self._bar(share, _row_bar(width)), Piece(f" {words.percent(share):>5} ")]

    # --- the last: trouble -------------------------------------------------------------------------------

    def _trouble_line(self, status: Status, width: int) -> Line:
        line: Line = []
        if status.retried:
            line.append(Piece(f" {status.retried:,} tried again", YELLOW))
        if status.failed:
            dot = f" {self._glyphs.dot} " if line else " "
            line += [Piece(dot, DIM), Piece(f"{status.failed:,} failed", RED)]
            if status.last_failure is not None:
                used = sum(cell_len(piece.text) for piece in line)
                why = f", last: {_printable(words_of(status))}"
                line.append(Piece(_fit(why, width - used, self._glyphs), RED))
        if status.away_s is not None and status.away_cause:
            return [Piece(_fit(f" {_printable(status.away_cause)}", width, self._glyphs), YELLOW)]
        return line


def words_of(status: Status) -> str:
    """The last failure: which source, and why."""
    report = status.last_failure
    assert report is not None
    if report.error is None:
        return f"{report.source}: {report.reason or report.outcome}"
    message = report.error.message
    return message if message.startswith(report.source) else f"{report.source}: {message}"


TAIL = 7
"""Columns of a row's percentage."""


def _row_bar(width: int) -> int:
    return max(4, min(width // 4, 24))


def _name_width(width: int) -> int:
    """What a row of so many columns leaves to the name."""
    return max(width - _row_bar(width) - TAIL - 4, 1)


def _width(parts: list[tuple[int, Piece]], dot: str) -> int:
    return sum(cell_len(piece.text) for _, piece in parts) + (len(parts) - 1) * cell_len(dot)


def _fit(text: str, width: int, glyphs: Glyphs) -> str:
    """The beginning of `text`."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + glyphs.cut if width > 0 else ""


def _fit_end(text: str, width: int, glyphs: Glyphs) -> str:
    """Its end, which tells names apart."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[max(1, (cell_len(text) - width) // 2) :]
    return glyphs.cut + text


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
