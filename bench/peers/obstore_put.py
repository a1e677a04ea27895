"""obstore: "async N" keeps N puts in flight from one loop, "threads N" calls the synchronous put from N.

A file of more than `PARTS_FROM` bytes goes as a path, in parts, as obstore does it by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import uvloop
from obstore.store import S3Store

from bench.peers.tree import files

if TYPE_CHECKING:
    from pathlib import Path

PARTS_FROM = 5 << 20


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


def body(path: Path) -> dict[str, Any]:
    if path.stat().st_size > PARTS_FROM:
        return {"file": path}
    return {"file": path.read_bytes(), "use_multipart": False}


async def put_async(store: S3Store, directory: str, at_once: int) -> None:
    pending = files(directory)

    async def worker() -> None:  # as many workers as a semaphore would let through, and fewer tasks
        for key, path in pending:
            await store.put_async(key, **body(path))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


def put_threads(store: S3Store, directory: str, at_once: int) -> None:
    def put(item: tuple[str, Path]) -> None:
        store.put(item[0], **body(item[1]))

    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(put, files(directory)):
            pass


def main(setting: str, directory: str, endpoint: str, bucket: str) -> None:
    mode, at_once = setting.split()
    store = make_store(endpoint, bucket)
    if mode == "threads":
        put_threads(store, directory, int(at_once))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(put_async(store, directory, int(at_once)))


if __name__ == "__main__":
    main(*sys.argv[1:])
