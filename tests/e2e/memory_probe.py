"""Uploads tiny objects from a generator and prints the process's peak memory in bytes.

python -m tests.e2e.memory_probe ENDPOINT_URL COUNT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from s3_upload import Credentials, ObjectSource, S3Client, UploadConfig, s3_upload_files
from tests.e2e.peak import peak_bytes


async def main(endpoint_url: str, count: int) -> None:
    files = (ObjectSource.data(b"%099d" % n, f"dir/object-{n}") for n in range(count))
    seen = 0

    async def progress(_report: object) -> None:
        nonlocal seen
        seen += 1
        if seen % 1000 == 0:
            await asyncio.sleep(0)

    # At a store slowed down by whatever else runs here there would be more at once, and more memory.
    config = UploadConfig(max_in_flight=64)
    async with S3Client(
        endpoint_url=endpoint_url, region="us-east-1", credentials=Credentials("k", "s")
    ) as client:
        summary = await s3_upload_files(client, "bucket", files, config, progress=progress)
    assert summary.uploaded == seen == count
    assert summary.failed == ()
    print(peak_bytes())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
