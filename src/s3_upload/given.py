"""What a call is given as its sources: paths, or `ObjectSource`s, and what there is to upload of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterable, Iterable
from functools import partial
from typing import Any

from s3_upload.checks import must_be, wrong_type
from s3_upload.errors import ConfigError
from s3_upload.showing import Walk
from s3_upload.sources.mapping import Choice, Destination, Mapped
from s3_upload.sources.ordering import BY_KEY
from s3_upload.sources.source import ObjectSource, checked
from s3_upload.sources.walk import Listings

Path = str | os.PathLike[str]
UploadSources = Path | ObjectSource | Iterable[Path | ObjectSource] | AsyncIterable[ObjectSource]
"""What `upload` takes: a path, several, or an iterable of `ObjectSource`, plain or async."""
Files = Iterable[ObjectSource] | AsyncIterable[ObjectSource]
_NONE = object()
"""There is no first source. None would be a wrong one."""


def files_of(
    sources: UploadSources, destination: Destination, choice: Choice, *, counted: bool
) -> tuple[Files, Walk | None]:
    """To upload, and to count."""
    if isinstance(sources, ObjectSource):
        sources = [sources]
    if isinstance(sources, str | os.PathLike):
        return _walked([os.fspath(sources)], destination, choice, counted=counted)
    if isinstance(sources, AsyncIterable):
        return _whole_keys(sources, destination, choice), None
    if isinstance(sources, bytes) or not isinstance(sources, Iterable):
        raise wrong_type("sources", sources, "a path, several, or an iterable of ObjectSource")
    if hasattr(sources, "read"):
        hint = "ObjectSource.stream(file, key) makes a source of a binary file"
        raise wrong_type("sources", sources, "a path, several, or an iterable of ObjectSource", hint)
    items = iter(sources)
    first = next(items, _NONE)
    if isinstance(first, str | os.PathLike):
        return _walked([_path(item) for item in (first, *items)], destination, choice, counted=counted)
    if first is _NONE:
        raise ConfigError("sources: there are none: give paths, or ObjectSources")
    files: Iterable[Any] = itertools.chain((checked(first),), items)
    if choice.order == BY_KEY and isinstance(sources, list | tuple):
        files = sorted(map(checked, files), key=lambda source: source.key)
    # A stream of no known size makes no sum.
    counts = isinstance(sources, list | tuple) and all(
        one.is_file or one.size is not None for one in map(checked, sources)
    )
    return _whole_keys(files, destination, choice), partial(iter, sources) if counts else None


def _walked(
    paths: list[str], destination: Destination, choice: Choice, *, counted: bool
) -> tuple[Iterable[ObjectSource], Walk | None]:
    mapped = Mapped(paths, destination, choice, Listings() if counted else None)
    return mapped.files(), mapped.entries if mapped.can_be_counted else None


def come_one_by_one(sources: UploadSources) -> bool:
    """Whether they are an iterable that may keep who asks it waiting: a generator, or the like."""
    whole = isinstance(sources, str | bytes | os.PathLike | list | tuple | AsyncIterable)
    return isinstance(sources, Iterable) and not whole and not hasattr(sources, "read")


def paths_listed(sources: UploadSources) -> UploadSources:
    """The same; paths that come one by one as a list, for each of them is asked for more than once."""
    if not come_one_by_one(sources):
        return sources
    items = iter(sources)  # type: ignore[arg-type]
    first: Any = next(items, _NONE)
    if first is _NONE:
        return []
    if isinstance(first, str | os.PathLike):
        return [_path(item) for item in (first, *items)]
    return itertools.chain((first,), items)


def named(sources: UploadSources) -> str:
    """For people."""
    if isinstance(sources, str | os.PathLike):
        return os.fspath(sources)
    if isinstance(sources, list | tuple) and len(sources) <= 3:
        return ", ".join(
            os.fspath(one) if isinstance(one, str | os.PathLike) else one.name for one in sources
        )
    return "objects"


def given_paths(sources: object) -> list[str]:
    given = [sources] if isinstance(sources, str | os.PathLike) else sources
    paths = given if isinstance(given, list | tuple) else []
    return [os.fsdecode(path) for path in paths if isinstance(path, str | os.PathLike)]


def _path(item: object) -> str:
    must_be("an item of sources", item, (str, os.PathLike), "a path, as the first is")
    return os.fspath(item)  # type: ignore[call-overload,no-any-return]


def _whole_keys(sources: Files, destination: Destination, choice: Choice) -> Files:
    """Sources that have their keys already: a prefix before these would be there twice when what failed is
    tried once more."""
    if destination.prefix:
        raise ConfigError(
            f"s3://{destination.bucket}/{destination.prefix}: an ObjectSource has its whole key: give "
            f"s3://{destination.bucket}, and the prefix in the keys"
        )
    of_paths = choice.filters or choice.listed or choice.shard or choice.order not in {None, BY_KEY}
    if of_paths:
        raise ConfigError("filter, exclude, order, …: for paths only; an iterable gives what is wanted")
    return sources
