"""Uploads a directory N times and prints a table of how each object fared.

    python examples/perf_data.py [-n N] SRC BUCKET PREFIX

The columns: 1 and the retries; size; duration of the try that succeeded; duration of all tries and the waits
between them; speed of the successful try; the estimate of that speed
when the upload began.  The command
`s3-upload perf-data` prints the same table.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from s3_upload import S3Client, S3UploadError, UploadConfig, UploadReport, files_recursive, s3_upload_files

HEAD = "attempts          bytes   success_ms     total_ms      MBps  MBps est"


def print_row(report: UploadReport) -> None:
    if not report.succeeded:
        print(f"{report.outcome}: {report.source}: {report.error or report.reason}", file=sys.stderr)
        return
    print(
        f"{report.attempts:8} {report.bytes:14} {report.success_time_s * 1e3:12.1f} "
        f"{report.total_time_s * 1e3:12.1f} {report.MBps:9.2f} {report.est_MBps:9.2f}"
    )


async def upload(options: argparse.Namespace) -> int:
    config = UploadConfig(max_in_flight=options.max_in_flight)
    failed = 0
    async with S3Client(endpoint_url=options.endpoint_url, profile=options.profile) as client:
        print(HEAD)
        for _ in range(options.n):
            files = files_recursive(options.src, options.prefix)
            summary = await s3_upload_files(client, options.bucket, files, config, progress=print_row)
            failed += len(summary.failed)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Uploads a directory N times and prints a table.")
    parser.add_argument("-n", type=int, default=1, help="times to upload it (1)")
    parser.add_argument("src", help="directory to upload")
    parser.add_argument("bucket")
    parser.add_argument("prefix", help="what all keys begin with")
    parser.add_argument("--endpoint-url", help="a store other than AWS")
    parser.add_argument("--profile", help="of the AWS configuration files")
    parser.add_argument(
        "--max-in-flight", type=int, default=UploadConfig.max_in_flight, help="requests at most"
    )
    try:
        return asyncio.run(upload(parser.parse_args()))
    except S3UploadError as error:
        print(f"perf_data.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
