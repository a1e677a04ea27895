"""Uploads with a boto3 session that one has: its account, region, proxies and endpoint.

    python examples/with_boto3.py SRC... s3://BUCKET/PREFIX

Slower than s3-upload's own client, which needs no more than the same credentials; but whatever the session is
set up to do, it does.
"""

import sys

import boto3
from botocore.config import Config

from s3_upload import upload
from s3_upload.adapters import boto3_client


def main() -> int:
    *sources, destination = sys.argv[1:]
    session = boto3.Session()
    # The retries are s3-upload's; and so many requests at once can there be.
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
    client = boto3_client(session.client("s3", config=config))
    summary = upload(sources, destination, client=client, max_in_flight=32)
    print(summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
