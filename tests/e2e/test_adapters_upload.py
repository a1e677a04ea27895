"""The whole algorithm over an SDK's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload.config import MIB, UploadConfig
from s3_upload.errors import FailureKind, RunError
from s3_upload.source import ObjectSource
from s3_upload.upload import s3_upload_files
from tests.sdk import with_client

if TYPE_CHECKING:
    from s3_upload.report import UploadSummary
    from tests.store import Store


def upload(sdk: str, store: Store, bucket: str, contents: dict[str, bytes]) -> UploadSummary:
    config = UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB, min_timeout=30.0)
    sources = [ObjectSource.data(body, key) for key, body in contents.items()]
    return with_client(
        sdk,
        lambda client: s3_upload_files(client, bucket, sources, config),
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
    )


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_small_and_multipart_objects_arrive(sdk: str, store: Store, bucket: str) -> None:
    contents = {f"small/{number}": b"%d" % number for number in range(50)}
    contents |= {"empty": b"", "big": b"0123456789abcdef" * (11 * MIB // 16)}
    summary = upload(sdk, store, bucket, contents)
    summary.raise_for_failures()
    assert store.objects(bucket) == contents


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_no_such_bucket_stops_the_run(sdk: str, store: Store) -> None:
    with pytest.raises(RunError) as caught:
        upload(sdk, store, "no-such-bucket-anywhere", {"a": b"x"})
    assert caught.value.kind is FailureKind.NO_SUCH_BUCKET
