"""What to take, and what becomes of it: by the command and the calls, with a real store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import ConfigError, Credentials, Filter, ObjectSource, upload
from tests.e2e.test_cli import (
    account,  # noqa: F401 - fixtures
    env,  # noqa: F401
    records,
    s3_upload,
    src,  # noqa: F401
    store,  # noqa: F401
)
from tests.store import boto3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from s3_upload.embedded import EmbeddedStore

pytestmark = pytest.mark.usefixtures("src")


def metadata(store: EmbeddedStore, key: str) -> dict[str, str]:  # noqa: F811
    client = boto3_client(store.endpoint_url, store.access_key, store.secret_key)
    try:
        head = client.head_object(Bucket="bucket", Key=key)
    finally:
        client.close()
    said = {name.lower(): value for name, value in head["Metadata"].items()}  # the store writes "Mtime"
    return said | {"content-type": head["ContentType"]}


def test_the_time_of_modification_is_kept_as_rclone_keeps_it(
    account: dict[str, str],  # noqa: F811
    store: EmbeddedStore,  # noqa: F811
) -> None:
    os.utime("src/a.txt", ns=(0, 1_700_000_000_123_456_789))
    Path("src/big").write_bytes(bytes(6_000_000))
    os.utime("src/big", ns=(0, 1_000_000_000))
    words = ("src", "s3://bucket/kept", "--preserve", "mtime", "--metadata", "own=1")
    result = s3_upload(account, *words, "--multipart-threshold", "5MiB")
    assert result.returncode == 0, result.stderr
    assert metadata(store, "kept/a.txt") == {
        "mtime": "1700000000.123456789",
        "own": "1",
        "content-type": "text/plain",
    }
    assert metadata(store, "kept/big")["mtime"] == "1"


def test_what_is_uploaded_is_removed_here(account: dict[str, str]) -> None:  # noqa: F811
    Path("src/gone").symlink_to("nowhere")
    Path("src/to_a").symlink_to("a.txt")
    Path("src/big").write_bytes(bytes(6_000_000))
    words = ("src", "s3://bucket/moved", "--remove-source")
    dry = s3_upload(account, *words, "--dryrun", "--exclude", "gone")
    assert "(dryrun) move: src/a.txt to s3://bucket/moved/a.txt" in dry.stdout.splitlines()
    assert "(dryrun) upload: src/to_a to s3://bucket/moved/to_a" in dry.stdout.splitlines()
    said = s3_upload(account, *words, "--dryrun", "--json").stdout.splitlines()
    assert [json.loads(line).get("removes_source") for line in said] == [True, True, False, True, False, None]
    assert Path("src/a.txt").exists()
    result = s3_upload(account, *words, "--json", "--multipart-threshold", "5MiB")
    assert result.returncode == 1
    (summary,) = records(result.stdout, "summary")
    assert summary["notes"] == [
        "removed 3 files here",
        "stays, though it is uploaded: src/to_a: is a link, or lies behind one",
    ]
    assert sorted(path.name for path in Path("src").rglob("*")) == ["gone", "sub", "to_a"]
    Path("src/gone").unlink()
    Path("src/to_a").unlink()
    Path("src/last").touch()
    result = s3_upload(account, *words)
    assert (result.returncode, "removed 1 file here" in result.stdout + result.stderr) == (0, True)


def test_the_calls_take_and_remove_alike(store: EmbeddedStore) -> None:  # noqa: F811
    Path("src/old").touch()
    os.utime("src/old", (0, 0))
    summary = upload(
        "src",
        "s3://bucket/called",
        filter=Filter(newer_than="1d", exclude="sub"),
        preserve="mtime",
        remove_source=True,
        order="size,desc",
        endpoint_url=store.endpoint_url,
        region="us-east-1",
        credentials=Credentials(store.access_key, store.secret_key),
    )
    assert (summary.uploaded, summary.notes) == (1, ("removed 1 file here",))
    assert "mtime" in metadata(store, "called/a.txt")
    assert sorted(path.name for path in Path("src").iterdir()) == ["old", "sub"]


def test_of_paths_that_come_one_by_one_nothing_behind_a_link_is_removed_either(
    store: EmbeddedStore,  # noqa: F811
) -> None:
    Path("outside").mkdir()
    Path("outside/x").write_text("x")
    Path("src/sub/link").symlink_to("../../outside")
    where: dict[str, Any] = {
        "endpoint_url": store.endpoint_url,
        "region": "us-east-1",
        "credentials": Credentials(store.access_key, store.secret_key),
    }
    with pytest.raises(ConfigError, match="src/sub"):
        upload(iter([Path("src"), Path("src/sub")]), "s3://bucket/one", remove_source=True, **where)
    summary = upload(Path().glob("src"), "s3://bucket/one", remove_source=True, **where)
    assert summary.uploaded == 3
    assert [path.name for path in Path("src").rglob("*") if path.is_file()] == []
    assert Path("outside/x").exists()


class Both:
    """Sources in a loop; who reads them otherwise waits for ever."""

    def __iter__(self) -> Iterator[ObjectSource]:
        raise AssertionError("read without its loop")

    async def __aiter__(self) -> AsyncIterator[ObjectSource]:
        yield ObjectSource.data(b"x", "both")


def test_what_can_be_read_in_a_loop_is_read_in_it(store: EmbeddedStore) -> None:  # noqa: F811
    keys = Credentials(store.access_key, store.secret_key)
    where: dict[str, Any] = {"endpoint_url": store.endpoint_url, "region": "us-east-1"}
    assert upload(Both(), "s3://bucket", credentials=keys, **where).uploaded == 1


def test_in_shards_each_object_is_uploaded_once(
    account: dict[str, str],  # noqa: F811
) -> None:
    for number in range(20):
        Path(f"src/{number}").touch()
    keys: list[str] = []
    for share in ("1/3", "2/3", "3/3"):
        result = s3_upload(account, "src", "s3://bucket/shards", "--shard", share, "--json")
        assert result.returncode == 0, result.stderr
        keys += [line["key"] for line in records(result.stdout, "upload")]
    assert len(keys) == len(set(keys)) == 22
