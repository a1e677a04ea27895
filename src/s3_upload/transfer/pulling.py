"""Pulls sources from what the caller gave, lazily: only as they are needed.

A plain iterable is asked in a thread, since it may block on a disk; an async one on the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any

import msgspec

from s3_upload.sources.files import PULL_BYTES, Reader
from s3_upload.sources.local_disk import Nearby
from s3_upload.sources.source import Bunches, ObjectSource, checked, held_bytes
from s3_upload.transfer.existing import Existing, Numbered
from s3_upload.transfer.reading import Offload

PULL_COUNT = 256
Sources = Iterable[ObjectSource] | AsyncIterable[ObjectSource]


Begun = AsyncIterator[ObjectSource] | Iterator[ObjectSource] | Bunches


def begun(files: Sources) -> Begun:
    """Raises what an iterable of the caller's raises where it is begun: before anything else is."""
    if isinstance(files, AsyncIterable):
        return aiter(files)
    return files if isinstance(files, Bunches) else iter(files)


class Pulling(msgspec.Struct, eq=False):
    """`sources`: pulled, numbered, and not yet begun; `exhausted`: there are no more.  `offload_source` runs
    code of the caller's, which may block for ever.  `came` is called when some more have come."""

    iterator: Begun
    reader: Reader
    nearby: Nearby
    existing: Existing
    offload_source: Offload
    came: Callable[[], None]
    sources: deque[Numbered] = msgspec.field(default_factory=deque)
    exhausted: bool = False
    under_way: bool = False
    few: int = PULL_COUNT // 2

    @property
    def due(self) -> bool:
        """Whether more are to be asked for."""
        return self._count <= self.few and not self.under_way and not self.exhausted

    @property
    def _count(self) -> int:
        # Those about which the store is asked come back unless they exist.
        return len(self.sources) + self.existing.count

    def pull(self) -> Coroutine[Any, Any, None]:
        """Asks for some more; from now on this is under way."""
        self.under_way = True
        return self._pull()

    async def _pull(self) -> None:
        iterator = self.iterator
        if isinstance(iterator, AsyncIterator):
            held = 0
            for _ in range(PULL_COUNT):
                try:
                    source = checked(await anext(iterator))
                except StopAsyncIteration:
                    self.exhausted = True
                    break
                self.sources.extend(await self.existing.sort_out([source]))
                # The next one may take long to come, so this one is begun now.
                self.came()
                held += len(source.body or b"")
                if held >= PULL_BYTES:
                    break
        else:
            sources, self.exhausted = await self.offload_source(
                self.nearby.pull_in_thread, self.reader, iterator, PULL_COUNT
            )
            self.sources.extend(await self.existing.sort_out(sources))
        # Bodies that are in memory count for it long before they are sent: 256 of 10 MB are many.
        much = self._held_bytes >= max(PULL_BYTES // 2, self.existing.max_held_bytes)
        self.few = self._count // 2 if much else PULL_COUNT // 2
        self.under_way = False

    @property
    def _held_bytes(self) -> int:
        return held_bytes(source for _, source in self.sources) + self.existing.held_bytes
