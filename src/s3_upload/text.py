"""Text of any origin, such as names of files, as a line of display shows it."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")
_BYTE_0 = 0xDC00
"""Python reads a byte of a name that is no text as that and its value (PEP 383)."""


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invalid bytes escaped, for one line of display."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def unicode_of(text: str) -> str:
    """`text` with nothing escaped but what cannot be written: a byte that is no text becomes \\xff."""
    return text if text.isascii() else _SURROGATES.sub(lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    byte = ord(char) - _BYTE_0
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()
