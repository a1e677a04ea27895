"""Uploads a directory with s3-upload's API and its default settings: a contender of `python -m bench`."""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from s3_upload import S3Client, UploadConfig, files_recursive, s3_upload_files


async def upload(directory: str, endpoint: str, bucket: str) -> None:
    verify = os.environ.get("SSL_CERT_FILE") or True
    async with S3Client(
        endpoint_url=endpoint, region=os.environ["AWS_REGION"], addressing_style="path", verify=verify
    ) as client:
        summary = await s3_upload_files(client, bucket, files_recursive(directory), UploadConfig())
    summary.raise_for_failures()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(upload(*sys.argv[1:4]))
