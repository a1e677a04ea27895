"""A display beside what it shows; and runs that upload nothing, which only compare, from begin to end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from s3_upload.blocking import loop_factory
from s3_upload.cli.output import written_in_background
from s3_upload.cli.store import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from s3_upload.cli.options.store import StoreOptions
    from s3_upload.cli.views.display import Display
    from s3_upload.clients.s3 import S3Client
    from s3_upload.observe.events import Listening


@asynccontextmanager
async def watching(display: Display, endpoint: str) -> AsyncIterator[Listening | None]:
    """Within, the display shows how a run stands whose events go where this says."""
    if display.kind == "none":
        yield None
        return
    display.found(endpoint)
    task = asyncio.create_task(display.watch.run())
    try:
        yield display.watch.listening
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run_shown(
    store: StoreOptions, bucket: str, display: Display, act: Callable[[S3Client], Awaitable[None]]
) -> None:
    """Does what uploads nothing, with a client of the store, while `display` shows how far it is."""

    async def watched() -> None:
        async with connect() as client, watching(display, client.endpoint):
            await act(client)

    with (
        written_in_background(),
        open_store(store, bucket) as connect,
        display.on(),
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(watched())
