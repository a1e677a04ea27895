"""Uploads the files of a directory with nearly no file descriptor left, and prints how many there were.

python descriptor_probe.py ENDPOINT_URL DIRECTORY LIMIT TAKEN HOW

HOW "before": TAKEN descriptors of LIMIT are taken before the run.  "meanwhile": when the first file is
uploaded all that are left are taken, and given back HOLD_S later.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Iterator

from s3_upload import Credentials, S3Client, UploadReport, files_recursive, s3_upload_files

HOLD_S = 0.5


def take(count: int) -> Iterator[int]:
    for _ in range(count):
        try:
            yield os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return


def release(taken: list[int]) -> None:
    for fd in taken:
        os.close(fd)


async def main(endpoint_url: str, directory: str, limit: int, count: int, how: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    taken = list(take(count)) if how == "before" else []
    loop = asyncio.get_running_loop()

    def progress(_report: UploadReport) -> None:
        if how == "meanwhile" and not taken:
            taken.extend(take(limit))
            loop.call_later(HOLD_S, release, taken)

    credentials = Credentials("k", "s")
    async with S3Client(endpoint_url=endpoint_url, region="us-east-1", credentials=credentials) as client:
        summary = await s3_upload_files(client, "bucket", files_recursive(directory), progress=progress)
    print(summary.uploaded, *[report.error for report in summary.failed][:3])


if __name__ == "__main__":
    url, directory, limit, taken, how = sys.argv[1:]
    asyncio.run(main(url, directory, int(limit), int(taken), how))
