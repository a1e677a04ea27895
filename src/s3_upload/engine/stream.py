"""Cuts an async iterable of chunks into blocks of a given size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from s3_upload.errors import SourceError


class BlockStream:
    """Reads one source of the kind "stream"; `taken` counts the bytes given out."""

    def __init__(self, chunks: AsyncIterable[bytes], name: str, expected_size: int | None) -> None:
        self._chunks = aiter(chunks)
        self._name = name
        self._expected_size = expected_size
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._exhausted = False
        self.taken = 0

    async def next_block(self, size: int) -> tuple[bytes, bool]:
        """The next block and whether it is the last: `size` bytes, fewer only then.

        One chunk is read ahead, so that a stream that ends exactly at a block's end ends there.
        Raises `SourceError` for whatever the iterable raises, and for a stream that is not as long
        as it was said to be.
        """
        while not self._exhausted and self._held_bytes <= size:
            try:
                chunk = bytes(await anext(self._chunks))
            except StopAsyncIteration:
                self._exhausted = True
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise  # it is we who are cancelled, not something of the stream's own
                raise SourceError(f"{self._name}: {type(error).__name__}: {error}") from error
            else:
                self._held.append(chunk)
                self._held_bytes += len(chunk)
        joined = b"".join(self._held)
        block, rest = joined[:size], joined[size:]
        self._held, self._held_bytes = ([rest] if rest else []), len(rest)
        self.taken += len(block)
        last = self._exhausted and not rest
        if last and self._expected_size not in (None, self.taken):
            raise SourceError(
                f"{self._name}: the stream gave {self.taken} bytes instead of {self._expected_size}"
            )
        return block, last
