"""Reads the XML that stores answer with. Pure: an answer in; the root's name and the texts in it out.

`element` and `written` write it, for answers that an SDK has parsed already.

Rules:

* Whatever comes is read: truncated, wrong or hostile text gives what can be understood of it, or nothing;
  never an exception.
* It takes one pass, linear in the text, and bounded: `MAX_TEXT_BYTES` and `MAX_TAGS` or, of a listing,
  `MAX_PAGE_BYTES` and `MAX_PAGE_TAGS`.  The bounds hold for what was compressed, too.
* A name counts without its prefix (`<s3:Code>` is Code), whatever attributes follow it.  CDATA is text,
  comments are nothing.  Entities that a document declares are not expanded: nobody needs them, and they
  are how small documents become huge.

This is a scanner and no parser: a parser gives nothing of a document that is cut short, and an error that
is cut short behind its code still has one.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from s3_upload.http import Response

MAX_TEXT_BYTES = 64 << 10
"""Of an answer, from its first byte that is no white space on: those of interest take a few hundred."""
MAX_PAGE_BYTES = 1 << 20
"""Of a page of ListParts (usually some 300 KB), and of what a compressed body becomes."""
MAX_ID_CHARS = 2_000
MAX_TAGS = 2_000
MAX_PAGE_TAGS = 50_000
"""Of a page of ListParts: up to 24 for each of its 1,000 parts."""
XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER = 47
"""zlib's `wbits`: the data say themselves whether they are gzip or zlib."""
# A value of an attribute may hold a ">" but no "<": what does not end is left at the next tag.
_TAG = re.compile(r"""<(/?)(?:[^\s<>/:="'!?]++:)?([^\s<>/:="'!?]++)((?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+)(>?)""")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SKIPPED = (("<!--", "-->"), ("<?", "?>"), ("<!", ">"))


class Xml(msgspec.Struct, frozen=True):
    """`root`: the name of the first element, "" if there is none; it may be all there is.  `elements`:
    names and texts of those that are closed, in the order of their ends; one that holds others has ""."""

    root: str
    elements: list[tuple[str, str]]

    def text(self, name: str) -> str:
        """What the first element of that name holds, "" if there is none."""
        return next((text for found, text in self.elements if found == name), "")


def read(response: Response) -> Xml:
    """What the body of `response` says."""
    return scan(plain_body(response)[:MAX_TEXT_BYTES].decode("utf-8", "replace"), MAX_TAGS)


def read_page(response: Response) -> Xml:
    """As `read`, of a listing."""
    return scan(plain_body(response)[:MAX_PAGE_BYTES].decode("utf-8", "replace"), MAX_PAGE_TAGS)


def plain_body(response: Response) -> bytes:
    """The body without a compression that nobody asked for, and without the white space before it."""
    body = response.body
    if body and response.headers.get("content-encoding", "").strip().lower() in _COMPRESSED:
        with contextlib.suppress(zlib.error):  # it may be called so and not be
            body = zlib.decompressobj(_ANY_HEADER).decompress(body, MAX_PAGE_BYTES)
    return body.lstrip()


def scan(text: str, max_tags: int = MAX_TAGS) -> Xml:
    """What `text` says in its first `max_tags` tags, comments and the like."""
    root = opened = ""  # `opened`: the element that began last, where nothing has ended since
    elements: list[tuple[str, str]] = []
    pieces: list[str] = []
    position = 0
    for _ in range(max_tags):
        start = text.find("<", position)
        if start < 0:
            break
        if opened:
            pieces.append(unescaped(text[position:start]))
        if text.startswith("<![CDATA[", start):
            end = text.find("]]>", start)
            pieces.append(text[start + 9 : end])
            position = end + 3
            if end < 0:
                break
        elif (tag := _TAG.match(text, start)) is not None:
            closing, name, rest, whole = tag.groups()
            root = root or name
            position = tag.end()
            if not whole:
                opened = ""
            elif closing or rest.endswith("/"):
                elements.append((name, "".join(pieces) if closing and name == opened else ""))
                opened = ""
            else:
                opened, pieces = name, []
        elif (position := _skipped(text, start)) < 0:
            break
    return Xml(root, elements)


def _skipped(text: str, start: int) -> int:
    """What follows the comment or declaration at `start`, -1 if it does not end; a "<" that begins nothing
    is skipped alone."""
    for opening, closing in _SKIPPED:
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening))
            return end + len(closing) if end >= 0 else -1
    return start + 1


def unescaped(text: str) -> str:
    """`text` of an element, with what its entities stand for."""
    if "&" not in text:
        return text
    # Not those of HTML, which knows others, and leaves out control characters: keys may have these.
    return re.sub(r"&(?:#(?:([0-9]{1,7})|x([0-9A-Fa-f]{1,6}))|(amp|lt|gt|quot|apos));", _meant, text)


def _meant(entity: re.Match[str]) -> str:
    decimal, hexadecimal, name = entity.groups()
    if name:
        return _NAMED[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd"


def identifier(text: str) -> str:
    """`text` as an upload ID, an ETag or the like; "" where it cannot be one.

    An identifier must go back to the store as it came: one that is too long is none.
    """
    value = text.strip()
    return value if len(value) <= MAX_ID_CHARS and value.isprintable() else ""


def element(root: str, tags: Mapping[str, str], *inner: bytes) -> bytes:
    """`<root>` with an element for each of `tags`, and `inner` behind them."""
    import html  # here: few runs need it, and all would wait for it at start

    said = "".join(f"<{name}>{html.escape(value)}</{name}>" for name, value in tags.items())
    return b"".join((f"<{root}>{said}".encode(), *inner, f"</{root}>".encode()))


def written(parsed: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Those of `names` that an SDK's answer has, as the store wrote them; of several values the first."""
    tags: dict[str, str] = {}
    for name in names:
        value = parsed.get(name)
        if isinstance(value, list):
            value = next(iter(value), None)
        if isinstance(value, bool):
            tags[name] = str(value).lower()
        elif value is not None:
            tags[name] = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return tags
