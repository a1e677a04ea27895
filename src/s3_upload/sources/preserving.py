"""What objects keep of their files: the time of modification, as rclone keeps it.

`x-amz-meta-mtime` is seconds since 1970 with as many decimals as there are, which rclone gives back to the
file when it downloads.  A file is looked at when it is found: if it changes before it is read, the
object has the earlier time.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.sources.source import ObjectSource, info_of, is_sent
from s3_upload.threads import each

Files = Iterable[ObjectSource] | AsyncIterable[ObjectSource]
FieldsOf = Callable[[ObjectSource], RequestFields | None]
MTIME = "mtime"
"""What is kept, and the name of the metadata that keeps it."""
_TIME = r"(-?)([0-9]{1,15})(?:\.([0-9]*))?"


def check_preserve(preserve: str | None) -> bool:
    """Whether to. Raises `ConfigError`."""
    if preserve not in {None, MTIME}:
        raise ConfigError(f"preserve {preserve}: must be {MTIME}")
    return preserve is not None


def preserving(files: Files, fields_of: FieldsOf) -> Files:
    """The same files, whose fields tell when they were modified. `fields_of`: what else is said of each."""
    return each(files, partial(_with_mtime, fields_of), "s3-upload-look")


def _with_mtime(fields_of: FieldsOf, source: ObjectSource) -> ObjectSource:
    if not source.is_file or not is_sent(source) or (info := info_of(source.path)) is None:
        return source
    fields = fields_of(source) or NO_FIELDS
    if MTIME in map(str.lower, fields.metadata):  # somebody knows better
        return msgspec.structs.replace(source, fields=fields)
    metadata = {**fields.metadata, MTIME: rclone_time(info.st_mtime_ns)}
    return msgspec.structs.replace(source, fields=msgspec.structs.replace(fields, metadata=metadata))


def time_ns_of(text: str) -> int | None:
    """The time that `rclone_time` has written, in ns since 1970; None where it is none."""
    if (match := re.fullmatch(_TIME, text)) is None:
        return None
    sign, seconds, decimals = match.groups()
    time_ns = int(seconds) * 10**9 + int((decimals or "").ljust(9, "0")[:9])
    return -time_ns if sign else time_ns


def rclone_time(time_ns: int) -> str:
    """Seconds, as rclone writes them: "1700000000.123456789", "1700000000" and "-0.5"."""
    seconds, rest_ns = divmod(abs(time_ns), 10**9)
    decimals = f"{rest_ns:09}".rstrip("0")
    return f"{'-' if time_ns < 0 else ''}{seconds}{'.' if decimals else ''}{decimals}"
