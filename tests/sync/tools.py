"""The tools that upload only what is different, as commands for one store: ours, and the peers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders import s5cmd_binary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.store import Store

BIN = Path(sys.prefix) / "bin"
AWS = Path(sys.prefix) / "awscli" / "bin" / "aws"
PEERS = ("aws s3 sync", "s5cmd sync", "rclone copy")
TIMEOUT_S = 600


def environment(store: Store) -> dict[str, str]:
    """All that any of them needs to find `store`."""
    rclone = {
        "TYPE": "s3", "PROVIDER": "Minio", "ENDPOINT": store.endpoint_url, "REGION": "us-east-1",
        "ACCESS_KEY_ID": store.access_key, "SECRET_ACCESS_KEY": store.secret_key,
    }  # fmt: skip
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))},
        "AWS_ENDPOINT_URL": store.endpoint_url,
        "S3_ENDPOINT_URL": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in rclone.items()},
        "RCLONE_CONFIG": "/dev/null",
    }


def command(tool: str, source: Path, bucket: str, prefix: str, *, size_only: bool = False) -> list[str]:
    """That brings what is different of the directory `source` below s3://BUCKET/PREFIX/."""
    url = f"s3://{bucket}/{prefix}/"
    if tool == "aws s3 sync":
        words = [str(AWS), "s3", "sync", str(source), url]
        return [*words, "--size-only"] if size_only else words
    if tool == "s5cmd sync":
        flags = ["--size-only"] if size_only else []
        return [s5cmd_binary(), "--numworkers", "16", "sync", *flags, f"{source}/", url]
    if tool == "rclone copy":
        words = [str(BIN / "rclone"), "copy", str(source), f"store:{bucket}/{prefix}", "--no-update-modtime"]
        return [*words, "--size-only"] if size_only else words
    assert tool == "s3-upload sync"
    words = [str(BIN / "s3-upload"), "sync", str(source), url, "--progress", "none"]
    return [*words, "--size-only"] if size_only else words


def run(store: Store, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=environment(store), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
