"""boto3: `upload_file` from "N" threads with one client; only a file in parts gets threads of its own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from bench.peers.tree import files

if TYPE_CHECKING:
    from pathlib import Path

PARTS_FROM = 8 << 20


def main(setting: str, directory: str, endpoint: str, bucket: str) -> None:
    at_once = int(setting)
    config = Config(max_pool_connections=max(at_once, 16), s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=endpoint, config=config)
    whole = TransferConfig(multipart_threshold=PARTS_FROM, use_threads=False)
    in_parts = TransferConfig(multipart_threshold=PARTS_FROM)

    def put(item: tuple[str, Path]) -> None:
        key, path = item
        big = path.stat().st_size >= PARTS_FROM
        client.upload_file(str(path), bucket, key, Config=in_parts if big else whole)

    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(put, files(directory)):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
