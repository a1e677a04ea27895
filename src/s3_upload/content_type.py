"""The content type that an object's name suggests, as a `default_request`; without one it is the default.

By the standard library's table, which knows what the system's mime.types says, as `aws s3 cp` goes by:
no guess for a name that it does not know, and x.tar.gz is of the type of x.tar.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from functools import lru_cache, partial

import msgspec

from s3_upload.checks import must_be
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.source import ObjectSource


def content_type_by_name(fields: RequestFields = NO_FIELDS) -> Callable[[ObjectSource], RequestFields]:
    """What `s3_upload_files` takes as `default_request`: `fields`, and the content type that a source's
    path (its key, where it has none) suggests. `fields` that name one themselves stay as they are."""
    must_be("fields", fields, RequestFields, "RequestFields", "RequestFields(**...) makes one of a dict")
    if fields.content_type is not None:
        return lambda source: fields
    of_suffix = lru_cache(maxsize=1024)(partial(_with_guess, fields))

    def default_request(source: ObjectSource) -> RequestFields:
        stem, _, suffix = (source.path or source.key).rpartition("/")[2].rpartition(".")
        if "." + suffix.lower() in mimetypes.encodings_map:  # x.tar.gz: the type is in the suffix before
            stem, _, inner = stem.rpartition(".")
            suffix = f"{inner}.{suffix}"
        return of_suffix(suffix) if stem else fields

    return default_request


def guessing() -> Callable[[ObjectSource], RequestFields]:
    """What is said of a source where there is no `default_request`: its own fields and, unless these name
    one, the content type that its name suggests."""
    by_name = content_type_by_name()

    def default_request(source: ObjectSource) -> RequestFields:
        fields = source.fields
        if fields is None:
            return by_name(source)
        if fields.content_type is not None:
            return fields
        guess = by_name(source).content_type
        return fields if guess is None else msgspec.structs.replace(fields, content_type=guess)

    return default_request


def _with_guess(fields: RequestFields, suffix: str) -> RequestFields:
    guess = mimetypes.guess_type("x." + suffix)[0]
    if guess is None:
        return fields
    return (
        RequestFields(content_type=guess)
        if fields is NO_FIELDS
        else msgspec.structs.replace(fields, content_type=guess)
    )
