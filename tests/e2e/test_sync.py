"""`sync_files` and `verify_files` at a real store, by our own client and by boto3's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from s3_upload import S3Client, list_objects, sync_files, verify_files
from s3_upload.adapters import boto3_client
from s3_upload.s3.credentials import Credentials
from tests.store import REGION

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from s3_upload import Client
    from tests.store import Store

    ClientOf = Callable[[Store], AbstractAsyncContextManager[Client]]

FILES = {"a": b"1", "a.txt": b"22", "a-b/c": b"333", "d e/f+g": b"", "ü/日本": b"4"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, body in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (1_500_000_000, 1_500_000_000))
    return tmp_path / "tree"


@asynccontextmanager
async def ours(store: Store) -> AsyncIterator[Client]:
    credentials = Credentials(store.access_key, store.secret_key)
    async with S3Client(endpoint_url=store.endpoint_url, credentials=credentials) as client:
        yield client


@asynccontextmanager
async def boto3s(store: Store) -> AsyncIterator[Client]:
    sdk = boto3.session.Session().client(
        "s3",
        endpoint_url=store.endpoint_url,
        region_name=REGION,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    yield boto3_client(sdk)
    sdk.close()


@pytest.fixture(params=[ours, boto3s])
def client_of(request: pytest.FixtureRequest) -> ClientOf:
    found: ClientOf = request.param
    return found


def test_what_is_different_is_sent_and_then_all_is_the_same(
    store: Store, bucket: str, tree: Path, client_of: ClientOf
) -> None:
    async def main() -> None:
        async with client_of(store) as client:
            url = f"s3://{bucket}/p"
            first = await sync_files(tree, url, client=client)
            assert (first.uploaded, first.unchanged) == (len(FILES), 0)
            for compare in ("time", "size", "checksum"):
                again = await sync_files(tree, url, client=client, compare=compare)
                assert (again.uploaded, again.unchanged, again.notes) == (0, len(FILES), ())
            (tree / "a").write_bytes(b"2")
            os.utime(tree / "a", (1_500_000_000, 1_500_000_000))
            assert (await sync_files(tree, url, client=client)).uploaded == 0
            marks = {one.key: one.mark async for one in verify_files(tree, url, client=client)}
            assert marks == {f"p/{name}": "*" if name == "a" else "=" for name in FILES}
            assert (await sync_files(tree, url, client=client, compare="checksum")).uploaded == 1
            keys = [found.key async for found in list_objects(f"{url}/", client=client)]
            assert keys == sorted(f"p/{name}" for name in FILES)

    asyncio.run(main())
    assert store.objects(bucket) == {f"p/{name}": body for name, body in {**FILES, "a": b"2"}.items()}


def test_objects_are_read_back(store: Store, bucket: str, tree: Path) -> None:
    async def main() -> None:
        async with ours(store) as client:
            url = f"s3://{bucket}"
            await sync_files(tree, url, client=client)
            found = [one.mark async for one in verify_files(tree, url, client=client, download=True)]
            assert found == ["="] * len(FILES)

    asyncio.run(main())


def test_the_time_that_an_object_keeps_is_compared_to_the_nanosecond(
    store: Store, bucket: str, tree: Path, client_of: ClientOf
) -> None:
    async def main() -> None:
        async with client_of(store) as client:
            url = f"s3://{bucket}/p"
            assert (await sync_files(tree, url, client=client, compare="mtime")).uploaded == len(FILES)
            assert (await sync_files(tree, url, client=client, compare="mtime")).unchanged == len(FILES)
            os.utime(tree / "a", ns=(1, 1_500_000_000_000_000_001))
            again = await sync_files(tree, url, client=client, compare="mtime")
            assert (again.uploaded, again.unchanged, again.notes) == (1, len(FILES) - 1, ())

    asyncio.run(main())
