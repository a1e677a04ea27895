"""Looks at sources before they are compared: size and time of each, in a thread, many at a time.

Rules:

* While a batch is compared, the next one is being looked at; no more than that is in memory.
* What cannot be compared (it is gone, or is no file, or is reported as skipped) is put aside for the upload,
  which says what is the matter with it.
* Sources have to come in the order of their keys.  Those of paths do; whoever makes sources is told.
* A file that comes twice under one key, as a list may name it, is looked at once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import NamedTuple

from s3_upload.bucket.compare import Local
from s3_upload.errors import ConfigError
from s3_upload.sources.source import ObjectSource, checked, is_sent
from s3_upload.text import printable
from s3_upload.threads import DaemonThreads

BATCH = 1_000
"""Sources that are looked at in one go, as many as there are objects on a page."""


class Looked(NamedTuple):
    """Sources that can be compared, in the order of their keys, and others. Both may be empty."""

    locals: list[Local]
    aside: list[ObjectSource]


class Looking:
    """Looks at `files` in a thread of `threads`."""

    def __init__(
        self, files: Iterable[ObjectSource] | AsyncIterable[ObjectSource], threads: DaemonThreads
    ) -> None:
        self._files = aiter(files) if isinstance(files, AsyncIterable) else iter(files)
        self._threads = threads
        self._last: str | None = None
        self._before: ObjectSource | None = None

    async def batches(self) -> AsyncGenerator[Looked, None]:
        """All of them, a batch ahead. Raises `ConfigError` for sources that are out of order."""
        coming = asyncio.ensure_future(self._batch())
        try:
            while (batch := await coming) is not None:
                coming = asyncio.ensure_future(self._batch())
                yield batch
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _batch(self) -> Looked | None:
        """Of the next sources; None where there are no more."""
        files = self._files
        if not isinstance(files, AsyncIterator):
            return await self._threads.call(lambda: self._looked(itertools.islice(files, BATCH)))
        some: list[ObjectSource] = []
        while len(some) < BATCH and (source := await anext(files, None)) is not None:
            some.append(source)
        return await self._threads.call(lambda: self._looked(some))

    def _looked(self, some: Iterable[ObjectSource]) -> Looked | None:
        looked: Looked | None = None
        for source in some:
            if looked is None:
                looked = Looked([], [])
            before, self._before = self._before, checked(source)
            if source.is_file and source == before:
                continue
            local = look(source)
            if local is None:
                looked.aside.append(source)
                continue
            if self._last is not None and local.key <= self._last:
                raise ConfigError(
                    f"{printable(local.key)}: comes after {printable(self._last)}: sources to be compared "
                    "must come in the order of their keys, each once"
                )
            self._last = local.key
            looked.locals.append(local)
        return looked


def look(source: ObjectSource) -> Local | None:
    """The source with its size and time; None for what only an upload can tell about."""
    if not is_sent(source):
        return None
    if not source.is_file:
        return Local(source.key, source.size if source.body is not None else None, None, source)
    try:
        info = os.stat(source.path)  # noqa: PTH116 - of a million files, a Path each is dear
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return Local(source.key, info.st_size, info.st_mtime_ns, source)
