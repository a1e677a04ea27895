"""Uploads a directory and says all the while how much of it is done.

    python examples/live_progress.py SRC BUCKET [PREFIX]

A first walk adds up the sizes, so that there is something to take percent of; the second one feeds
the upload.  `progress` is called after each file; it may also be an async function.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from s3_upload import ObjectSource, S3Client, S3UploadError, UploadReport, files_recursive, s3_upload_files


class Percentage:
    """A line that is written anew after each file, on a terminal over the one before."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.done_bytes = self.files = 0
        self._end = "\r" if sys.stdout.isatty() else "\n"

    def __call__(self, report: UploadReport) -> None:
        if not report.succeeded:
            print(f"{report.outcome}: {report.source}: {report.error or report.reason}", file=sys.stderr)
            return
        self.files += 1
        self.done_bytes += report.bytes
        percent = 100 * self.done_bytes / self.total_bytes if self.total_bytes else 100.0
        print(f"{percent:5.1f} %  {self.files} files  {report.key}", end=self._end, flush=True)


def size_of(source: ObjectSource) -> int:
    """Bytes; 0 for what cannot be uploaded, which its report will tell."""
    if source.problem is not None or source.skip_reason:
        return 0
    return Path(source.path).stat().st_size


async def upload(options: argparse.Namespace) -> int:
    total_bytes = sum(size_of(source) for source in files_recursive(options.src))
    async with S3Client(endpoint_url=options.endpoint_url, profile=options.profile) as client:
        files = files_recursive(options.src, options.prefix)
        summary = await s3_upload_files(client, options.bucket, files, progress=Percentage(total_bytes))
    print(f"\n{summary.uploaded} files uploaded, {len(summary.failed)} failed")
    return 1 if summary.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Uploads a directory to S3 and shows the progress.")
    parser.add_argument("src", help="directory to upload")
    parser.add_argument("bucket")
    parser.add_argument("prefix", nargs="?", default="", help="what all keys begin with (nothing)")
    parser.add_argument("--endpoint-url", help="a store other than AWS")
    parser.add_argument("--profile", help="of the AWS configuration files")
    try:
        return asyncio.run(upload(parser.parse_args()))
    except S3UploadError as error:
        print(f"live_progress.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
