"""Uploads a directory with obstore, as fast as obstore can: a contender of `python -m bench`.

`async` keeps `concurrency` puts in flight from one asyncio loop; `threads` calls the synchronous put
from that many threads.  The benchmark tries both and keeps the faster.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator


def make_store(endpoint: str, bucket: str) -> S3Store:
    ca_file = os.environ.get("SSL_CERT_FILE")
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=os.environ["AWS_REGION"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        virtual_hosted_style_request=False,
        # obstore has no setting for a CA file; not verifying costs it nothing.
        client_options={"allow_http": True, "allow_invalid_certificates": bool(ca_file)},
    )


def files(directory: Path) -> Iterator[tuple[str, Path]]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            yield path.relative_to(directory).as_posix(), path


async def put_all_async(store: S3Store, directory: Path, concurrency: int) -> None:
    pending = files(directory)

    async def worker() -> None:  # as many workers as a semaphore would let through, and fewer tasks
        for key, path in pending:
            await store.put_async(key, path.read_bytes(), use_multipart=False)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())


def put_all_threads(store: S3Store, directory: Path, concurrency: int) -> None:
    def put(item: tuple[str, Path]) -> None:
        store.put(item[0], item[1].read_bytes(), use_multipart=False)

    with ThreadPoolExecutor(concurrency) as pool:
        for _ in pool.map(put, files(directory)):
            pass


def main(mode: str, concurrency: int, directory: Path, endpoint: str, bucket: str) -> None:
    store = make_store(endpoint, bucket)
    if mode == "async":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(put_all_async(store, directory, concurrency))
    else:
        put_all_threads(store, directory, concurrency)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5])
