"""Asks, before anything of an object is read, whether the store has one of that name: `if_exists="skip"`.

Rules:

* It spares what would be sent in vain, and decides nothing else: what HeadObject finds is skipped, and any
  other answer, or none within ANSWER_S, leaves the object to its upload, which goes with If-None-Match.
* At most AT_ONCE are asked for at a time, and the sources keep their order.
* S3 itself keeps to If-None-Match, so there bodies below ASK_FROM_BYTES cost less than a question.  Other
  stores need not (some take the header and overwrite): there every object is asked for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import msgspec

from s3_upload.errors import S3UploadError
from s3_upload.report import EXISTS
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.source import ObjectSource, checked
from s3_upload.wire.exchange import Exchange

if TYPE_CHECKING:
    from s3_upload.config import UploadConfig
    from s3_upload.engine.client import Client
    from s3_upload.engine.feed import Sources
    from s3_upload.engine.reader import Reader
    from s3_upload.request_fields import RequestFields

AT_ONCE = 256
ANSWER_S = 10.0
ASK_FROM_BYTES = 64 * 1024
MAX_GUARDED_FIELDS = 1_000
_PULLED = 64

Sized = tuple[ObjectSource, int]


def to_send(  # noqa: PLR0917 - what a run has
    files: Sources,
    client: Client,
    bucket: str,
    reader: Reader,
    offload_source: Callable[..., Awaitable[Any]],
    fields_of: Callable[[ObjectSource], RequestFields],
    config: UploadConfig,
) -> AbstractAsyncContextManager[Sources]:
    """The sources themselves, or those of which what exists is marked, as `config` says."""
    if config.if_exists != "skip":
        return nullcontext(files)
    return WithoutExisting(
        files,
        client=client,
        bucket=bucket,
        reader=reader,
        offload_source=offload_source,
        fields_of=fields_of,
        ask_from_bytes=ASK_FROM_BYTES if getattr(client, "is_aws", False) else 0,
        at_once=config.max_in_flight,
    )


def not_overwriting(
    fields_of: Callable[[ObjectSource], RequestFields],
) -> Callable[[ObjectSource], RequestFields]:
    """The same fields with If-None-Match. Objects share them, and so do requests what is made of them: what
    was one stays one."""
    made: dict[int, tuple[RequestFields, RequestFields]] = {}

    def guarded_fields(source: ObjectSource) -> RequestFields:
        fields = fields_of(source)
        found = made.get(id(fields))
        if found is None:
            if len(made) >= MAX_GUARDED_FIELDS:
                made.clear()
            found = made[id(fields)] = fields, msgspec.structs.replace(fields, if_none_match="*")
        return found[1]

    return guarded_fields


class WithoutExisting:
    """An async iterable of the same sources, of which those that exist have a `skip_reason`."""

    def __init__(
        self,
        files: Sources,
        *,
        client: Client,
        bucket: str,
        reader: Reader,
        offload_source: Callable[..., Awaitable[Any]],
        fields_of: Callable[[ObjectSource], RequestFields],
        ask_from_bytes: int,
        at_once: int,
    ) -> None:
        self._files = aiter(files) if isinstance(files, AsyncIterable) else iter(files)
        self._client, self._bucket, self._reader = client, bucket, reader
        self._offload, self._fields_of = offload_source, fields_of
        self._ask_from_bytes = ask_from_bytes
        self._slots = asyncio.Semaphore(min(AT_ONCE, at_once))
        self._asking: set[asyncio.Task[ObjectSource]] = set()
        self._queue: asyncio.Queue[asyncio.Task[ObjectSource] | ObjectSource | None] = asyncio.Queue(AT_ONCE)
        self._puller: asyncio.Task[None] | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[ObjectSource]:
        return self

    async def __anext__(self) -> ObjectSource:
        if self._puller is None:
            self._puller = asyncio.get_running_loop().create_task(self._pull())
        item = await self._queue.get()
        if item is None:
            await self._puller  # raises what the caller's iterable has raised
            raise StopAsyncIteration
        return item if isinstance(item, ObjectSource) else await item

    async def __aenter__(self) -> Sources:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is pulled or asked any more."""
        self._closed = True
        tasks = [*self._asking, *([self._puller] if self._puller is not None else [])]
        for task in tasks:
            task.cancel()
        while not self._queue.empty():
            item = self._queue.get_nowait()
            if isinstance(item, asyncio.Task):
                tasks.append(item)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pull(self) -> None:
        """Ends with a None in the queue, whatever the caller's iterable raises; but not when it is closed."""
        try:
            await self._pull_all()
        finally:
            if not self._closed:
                await self._queue.put(None)

    async def _pull_all(self) -> None:
        async for source, size in self._sized():
            if source.problem is not None or source.skip_reason or size < self._ask_from_bytes:
                await self._queue.put(source)
                continue
            await self._slots.acquire()
            asking = asyncio.get_running_loop().create_task(self._looked_up(source))
            self._asking.add(asking)
            await self._queue.put(asking)

    async def _sized(self) -> AsyncIterator[Sized]:
        if isinstance(self._files, AsyncIterator):
            async for source in self._files:
                sized: Sized = await self._offload(_with_size, checked(source))
                yield sized
            return
        exhausted = False
        while not exhausted:
            found: list[Sized]
            found, exhausted = await self._offload(self._pulled)
            for one in found:
                yield one

    def _pulled(self) -> tuple[list[Sized], bool]:
        """In a thread."""
        assert not isinstance(self._files, AsyncIterator)
        sources, exhausted = self._reader.pull(self._files, _PULLED)
        return [_with_size(source) for source in sources], exhausted

    async def _looked_up(self, source: ObjectSource) -> ObjectSource:
        try:
            head = Operation(
                name=HEAD_OBJECT, bucket=self._bucket, key=source.key, fields=self._fields_of(source)
            )
            exchange = Exchange(now=asyncio.get_running_loop().time, connect_timeout_s=ANSWER_S)
            response = await asyncio.wait_for(self._client.send(head, exchange), ANSWER_S)
        except (S3UploadError, TimeoutError):
            return source
        finally:
            self._slots.release()
            self._asking.discard(cast("asyncio.Task[ObjectSource]", asyncio.current_task()))
        return msgspec.structs.replace(source, skip_reason=EXISTS) if response.status == 200 else source


def _with_size(source: ObjectSource) -> Sized:
    """A stream's size need not be known: to ask is always less than to read it."""
    if not source.path:
        return source, ASK_FROM_BYTES if source.size is None else source.size
    try:
        return source, os.stat(source.path).st_size  # noqa: PTH116 - of a million files, a Path each is dear
    except (OSError, ValueError):  # it turns out at its turn what is wrong
        return source, 0
