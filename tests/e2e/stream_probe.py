"""Uploads streams and prints the process's peak memory in bytes.

python -m tests.e2e.stream_probe ENDPOINT_URL COUNT STREAM_BYTES CHUNK_BYTES MAX_IN_FLIGHT_BYTES
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import uvloop

from s3_upload import Credentials, ObjectSource, S3Client, UploadConfig, s3_upload_files
from tests.e2e.peak import peak_bytes


async def chunks(size: int, chunk_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, size, chunk_bytes):
        await asyncio.sleep(0)
        yield b"x" * min(chunk_bytes, size - start)


async def main(endpoint_url: str, *numbers: int) -> None:
    count, size, chunk_bytes, memory = numbers
    credentials = Credentials("k", "s")
    files = (ObjectSource.stream(chunks(size, chunk_bytes), f"stream-{n}") for n in range(count))
    config = UploadConfig(max_in_flight_bytes=memory)
    async with S3Client(
        endpoint_url=endpoint_url, region="us-east-1", credentials=credentials, checksum="off"
    ) as client:
        summary = await s3_upload_files(client, "bucket", files, config)
    assert (summary.uploaded, summary.bytes) == (count, count * size)
    print(peak_bytes())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
