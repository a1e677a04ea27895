"""The content type that an object's name suggests, and its encoding: `RequestFields` made of a name.

By a table of one's own (`content_types=`), then ours (`content_types.py`), then the machine's.  A name that
none of them knows has no guess, and the store calls it binary.

What is compressed (x.csv.gz, x.tar.gz, x.log.zst) is a file of its own: its type is that of the compression,
and it has no Content-Encoding.  Whoever downloads it gets the bytes that the name promises: with a
Content-Encoding browsers, curl and most HTTP libraries unpack it on the way, and a data tool that goes by the
name (pandas, DuckDB, Spark) then fails to unpack it once more.  With the inner type and no encoding, which
is what the AWS CLI says, a browser shows compressed bytes as if they were text.

But a browser has no use for x.js.gz as a file: it loads scripts, styles, pages, pictures and WebAssembly by
their type, and knows that they are compressed from the Content-Encoding alone.  So what only a browser loads
(`_FOR_BROWSERS`, and .svgz, whose registration says so) has the inner type, and the encoding.

Who says a Content-Encoding says that the bytes are the inner type's: x.csv.gz is text/csv then.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import msgspec

from s3_upload.checks import must_be
from s3_upload.request_fields import NO_FIELDS, RequestFields, said_in
from s3_upload.sources.content_types import ContentTypes, content_types_of, own_types
from s3_upload.sources.source import ObjectSource

_ENCODINGS = {"gz": "gzip", "br": "br", "zst": "zstd"}
"""Suffixes, and what a Content-Encoding calls them."""
_FOR_BROWSERS = frozenset({"cjs", "css", "htm", "html", "js", "mjs", "svg", "wasm"})
"""Nobody but a browser has a use for these, so that nobody wants them to stay compressed."""


class Guess:
    """What is said of a source: its own fields, else `fields`, and the content type that its path (its key,
    where it has none) suggests, unless the fields name one."""

    def __init__(self, fields: RequestFields = NO_FIELDS, content_types: ContentTypes | None = None) -> None:
        must_be("fields", fields, RequestFields, "RequestFields", "RequestFields(**...) makes one of a dict")
        self._types = content_types_of(content_types)
        self.fields = fields
        self.said = f"{said_in(fields)} {sorted(self._types.items())!r}"
        """All that decides about what is said, as a text without secrets."""
        # Of millions of files there are few suffixes.
        self._of_suffix = lru_cache(maxsize=1024)(partial(_with_guess, self._types, fields))

    def __reduce__(self) -> tuple[type[Guess], tuple[RequestFields, Mapping[str, str]]]:
        """For another process: made anew there, of the same."""
        return Guess, (self.fields, self._types)

    def __call__(self, source: ObjectSource) -> RequestFields:
        if source.fields is None:
            return self.by_name(source)
        return _with_guess(self._types, source.fields, _suffix(source))

    def by_name(self, source: ObjectSource) -> RequestFields:
        """As of a source that has no fields of its own."""
        return self._of_suffix(_suffix(source))


def content_type_by_name(
    fields: RequestFields = NO_FIELDS, content_types: ContentTypes | None = None
) -> Callable[[ObjectSource], RequestFields]:
    """What `s3_upload_files` takes as `default_request`: `fields`, and the content type that a source's
    path (its key, where it has none) suggests. `fields` that name one themselves stay as they are.
    `content_types`: types that come before ours, by suffix ({"gcode": "text/x-gcode"}), or the path of a file
    in the format of mime.types."""
    guess = Guess(fields, content_types)
    return always(fields) if fields.content_type is not None else guess.by_name


def always(fields: RequestFields) -> Callable[[ObjectSource], RequestFields]:
    """The same of each. It can be sent to another process, as a lambda cannot."""
    return partial(_always, fields)


def said_by(default_request: Callable[[ObjectSource], RequestFields]) -> str:
    """All that decides about what one of `always` or `content_type_by_name` says, as `Guess.said`."""
    if isinstance(default_request, partial):
        return said_in(default_request.args[0])
    guess = getattr(default_request, "__self__", None)
    return guess.said if isinstance(guess, Guess) else ""


def fields_said_by(
    default_request: Callable[[ObjectSource], RequestFields | None] | None,
) -> RequestFields:
    """What one of these, or a `Guess`, says of each object: who pays, for one. Of other functions only they
    know that."""
    if isinstance(default_request, partial) and default_request.func is _always:
        return default_request.args[0]  # type: ignore[no-any-return]
    guess = getattr(default_request, "__self__", default_request)
    return guess.fields if isinstance(guess, Guess) else NO_FIELDS


def _always(fields: RequestFields, source: ObjectSource) -> RequestFields:
    return fields


def _suffix(source: ObjectSource) -> str:
    """What the type depends on: "csv", or "csv.gz" where it is compressed; "" for a name without one."""
    stem, _, suffix = (source.path or source.key).rpartition("/")[2].rpartition(".")
    if not stem:
        return ""
    if suffix.lower() in _ENCODINGS:
        stem, _, inner = stem.rpartition(".")
        return f"{inner}.{suffix}" if stem else suffix
    return suffix


def _with_guess(types: Mapping[str, str], fields: RequestFields, suffix: str) -> RequestFields:
    if fields.content_type is not None:
        return fields
    content_type, encoding = _guess(types, suffix.lower(), (fields.content_encoding or "").lower())
    if content_type is None:
        return fields
    if fields is NO_FIELDS:
        return RequestFields(content_type=content_type, content_encoding=encoding)
    encoding = fields.content_encoding or encoding
    return msgspec.structs.replace(fields, content_type=content_type, content_encoding=encoding)


def _guess(types: Mapping[str, str], suffix: str, encoding: str) -> tuple[str | None, str | None]:
    """Type and encoding of what has that suffix. `encoding`: the one that is said of it anyway."""
    inner, _, outer = suffix.rpartition(".")
    if outer == "svgz" and outer not in types:
        return _type("svg", types), "gzip"
    is_for_browsers = inner in _FOR_BROWSERS and not encoding and outer not in types
    if inner and (_ENCODINGS[outer] == encoding or is_for_browsers):
        return _type(inner, types), _ENCODINGS[outer]
    return _type(outer, types), None


def _type(suffix: str, types: Mapping[str, str]) -> str | None:
    if not suffix:
        return None
    found = types.get(suffix) or own_types().get(suffix)
    return found or mimetypes.guess_type("x." + suffix)[0]
