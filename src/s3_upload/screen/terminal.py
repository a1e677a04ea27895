"""The terminal that stderr is: whether it understands escape sequences, its size, what it can show."""

from __future__ import annotations

import os
import sys

USUAL_SIZE = (80, 24)
"""Columns and rows where nobody knows: some terminals say 0."""


def understands_escapes() -> bool:
    """False where stderr is no terminal, or one that calls itself dumb."""
    if sys.stderr is None or sys.stderr is not sys.__stderr__ or not os.isatty(2):
        return False
    return os.environ.get("TERM", "") not in {"", "dumb"} or sys.platform == "win32"


def terminal_size() -> tuple[int, int]:
    """Columns and rows."""
    try:
        columns, rows = os.get_terminal_size(2)
    except (OSError, ValueError):
        columns = rows = 0
    return columns or USUAL_SIZE[0], rows or USUAL_SIZE[1]


def can_show(text: str) -> bool:
    """Whether the locale has all its characters."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    if locale in {"C", "POSIX"}:  # in which Python writes UTF-8 all the same
        return text.isascii()
    try:
        text.encode(sys.stderr.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def wants_colors() -> bool:
    """See https://no-color.org."""
    return not os.environ.get("NO_COLOR")


def wraps_anew() -> bool:
    """Whether it wraps the lines that are there when it becomes narrower. Most do; not the console of Linux,
    xterm and GNU screen."""
    return os.environ.get("TERM") != "linux" and not any(map(os.environ.get, ("XTERM_VERSION", "STY")))
