"""The S3-like store the tests upload to, and how they look into it."""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import botocore.exceptions
import botocore.handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL_ENDPOINT = "http://localhost:9000"
LOCAL_PROFILE = "testing"
REGION = "us-east-1"


def boto3_client(endpoint_url: str, access_key: str, secret_key: str, **options: Any) -> Any:
    """boto3's S3 client, path-style, without retries, with short timeouts.  It sends no `Expect`:
    botocore before 1.43.77 does not understand how rclone 1.75 answers that."""
    config = botocore.config.Config(
        retries={"max_attempts": 0},
        s3={"addressing_style": "path"},
        connect_timeout=2,
        read_timeout=30,
        max_pool_connections=16,
    )
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
        **options,
    )
    client.meta.events.unregister("before-call.s3", botocore.handlers.add_expect_header)
    return client


@dataclass
class Store:
    """`embedded` is False for a store that was running on this machine before the tests. `verify` is
    what its certificate is checked against, as boto3 and `S3Client` take it."""

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    embedded: bool
    verify: bool | str = True
    buckets: list[str] = field(default_factory=list)

    @cached_property
    def client(self) -> Any:
        """A boto3 client, for what s3-upload does not do itself."""
        return boto3_client(self.endpoint_url, self.access_key, self.secret_key, verify=self.verify)

    def new_bucket(self) -> str:
        """Makes an empty bucket and returns its name."""
        name = f"test-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        self.buckets.append(name)
        return name

    def keys(self, bucket: str) -> Iterator[str]:
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                yield entry["Key"]

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket, read back: key -> body."""

        def read(key: str) -> tuple[str, bytes]:
            return key, self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

        with ThreadPoolExecutor(8) as pool:
            return dict(pool.map(read, self.keys(bucket)))

    def close(self) -> None:
        """Removes what the tests left in a store that is not ours."""
        if not self.embedded:
            for bucket in self.buckets:
                with contextlib.suppress(botocore.exceptions.ClientError):
                    for key in list(self.keys(bucket)):
                        self.client.delete_object(Bucket=bucket, Key=key)
                    self.client.delete_bucket(Bucket=bucket)
        self.client.close()


def running_store() -> Store | None:
    """The store at LOCAL_ENDPOINT, if one answers there to the profile LOCAL_PROFILE."""
    try:
        socket.create_connection(("localhost", 9000), timeout=1).close()
        credentials = boto3.session.Session(profile_name=LOCAL_PROFILE).get_credentials()
        if credentials is None or credentials.token:
            return None
        store = Store(LOCAL_ENDPOINT, credentials.access_key, credentials.secret_key, embedded=False)
        store.client.list_buckets()
    except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return None
    return store


def complaints(stderr: str) -> str:
    """What a command has said, but for a request that went again since the embedded store refused it: with a
    rare 500, where two make the same folder at once (`embedded.py`)."""
    return re.sub(r"(?m)^  failed attempts: 500 InternalError (once|\d+ times)\n", "", stderr)
