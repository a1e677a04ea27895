"""How far a comparison is, as whoever shows it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload import S3Client
from s3_upload.bucket.etags import Sums
from s3_upload.bucket.sync import Sync
from s3_upload.config import MIB
from s3_upload.sources.mapping import Destination
from tests.faults.model import S3Model
from tests.faults.test_sync import put, write
from tests.faults.uploads import BUCKET, config, run
from tests.mapped import map_paths

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.http import Buffer
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Request


@pytest.mark.parametrize("downloads", [False, True])
def test_a_big_file_shows_how_far_it_is_read_while_it_is_compared(
    fault_server: StartFaultServer, tmp_path: Path, *, downloads: bool
) -> None:
    """Looked at whenever a piece of the object is asked for, or one of the file is added to its sum."""
    body = bytes(7 * MIB)
    write(tmp_path / "big", body)
    model = S3Model()
    put(model, "big", body)
    sync = Sync(Destination(BUCKET), "checksum", config(), downloads=downloads)
    seen: list[tuple[int, int]] = []
    add = Sums.add

    def looking(sums: Sums, piece: Buffer) -> None:
        seen.append(sync.so_far())
        add(sums, piece)

    def asked(request: Request) -> None:
        if request.method == "GET" and not request.query:
            seen.append(sync.so_far())

    async def compare(client: S3Client) -> None:
        async for _ in sync.compared(client, map_paths([str(tmp_path)], Destination(BUCKET))):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sums, "add", looking)
        run(fault_server(asked, model=model), compare)
    assert {objects for objects, _ in seen} == {0}
    far = {size // MIB for _, size in seen}
    assert max(far) >= 3 if downloads else far == set(range(1, 8))
    assert sync.so_far() == (1, 7 * MIB)
