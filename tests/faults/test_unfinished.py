"""Which uploads in parts a bucket has that were never ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_upload.bucket.asking import Asker
from s3_upload.bucket.unfinished import Unfinished
from tests.faults.model import S3Model, Upload
from tests.faults.uploads import BUCKET, run

if TYPE_CHECKING:
    from s3_upload import S3Client
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


def keys_of(server: FaultServer, prefix: str = "") -> list[str]:
    async def main(client: S3Client) -> list[str]:
        unfinished = Unfinished(Asker(client), BUCKET)
        return [upload.key async for upload in unfinished.below(prefix)]

    return run(server, main)


def test_all_are_listed_however_long_their_keys_are(fault_server: StartFaultServer) -> None:
    """S3 would give a thousand at a time, which is more than an answer may be: 3 KiB for each of these."""
    keys = [f"{number:03}{'日' * 340}" for number in range(700)]
    model = S3Model()
    for number, key in enumerate(keys):
        model.uploads[f"upload-{number}"] = Upload(BUCKET, key, {})
    assert keys_of(fault_server(model=model)) == keys
