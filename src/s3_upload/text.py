"""Text of any origin: names of files and the like as a line of display shows them, small files of text, what
an error of others says."""

from __future__ import annotations

import re
from pathlib import Path

_SURROGATES = "[\ud800-\udfff]"
_BYTE_0 = 0xDC00
"""Python reads a byte of a name that is no text as that and its value (PEP 383)."""
MAX_TEXT_BYTES = 1 << 20
MAX_REASON_CHARS = 300


def read_text(path: str) -> str:
    """What a small file says, in UTF-8, with a byte order mark or without.

    Raises `OSError`, `UnicodeDecodeError`, and `ValueError` for more than MAX_TEXT_BYTES: what never ends,
    such as /dev/zero, must not fill the memory.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"is larger than {MAX_TEXT_BYTES >> 20} MiB")
    return data.decode("utf-8-sig")


def reason_of(error: Exception) -> str:
    """What it says, on one line; its name where that is nothing."""
    return " ".join(str(error).split())[:MAX_REASON_CHARS] or type(error).__name__


def printable(text: str) -> str:
    """`text` with control characters, line breaks and invalid bytes escaped, for one line of display."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def unicode_of(text: str) -> str:
    """`text` with nothing escaped but what cannot be written: a byte that is no text becomes \\xff."""
    return text if text.isascii() else re.sub(_SURROGATES, lambda found: _escaped(found[0]), text)


def _escaped(char: str) -> str:
    byte = ord(char) - _BYTE_0
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()
