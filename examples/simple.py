"""Uploads a directory.

    python examples/simple.py SRC BUCKET [PREFIX]

Credentials, region and endpoint come from where every AWS tool finds them (AWS_ACCESS_KEY_ID,
AWS_PROFILE, AWS_ENDPOINT_URL_S3, ~/.aws, ...), unless flags say otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from s3_upload import S3Client, S3UploadError, UploadConfig, files_recursive, s3_upload_files


async def upload(options: argparse.Namespace) -> int:
    config = UploadConfig(max_in_flight=options.max_in_flight)
    async with S3Client(endpoint_url=options.endpoint_url, profile=options.profile) as client:
        files = files_recursive(options.src, options.prefix)
        summary = await s3_upload_files(client, options.bucket, files, config)
    for report in summary.failed:
        print(f"failed: {report.error}", file=sys.stderr)
    print(f"{summary.uploaded} files, {summary.bytes} bytes, {summary.goodput_MBps:.2f} MB/s")
    return 1 if summary.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Uploads a directory to S3.")
    parser.add_argument("src", help="directory to upload")
    parser.add_argument("bucket")
    parser.add_argument("prefix", nargs="?", default="", help="what all keys begin with (nothing)")
    parser.add_argument("--endpoint-url", help="a store other than AWS")
    parser.add_argument("--profile", help="of the AWS configuration files")
    parser.add_argument(
        "--max-in-flight", type=int, default=UploadConfig.max_in_flight, help="requests at most"
    )
    try:
        return asyncio.run(upload(parser.parse_args()))
    except S3UploadError as error:
        print(f"simple.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
