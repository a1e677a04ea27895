"""Text of any origin, such as names of files, as a line of display shows it."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invalid bytes escaped, for one line of display."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
