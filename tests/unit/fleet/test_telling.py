"""What a process of a job says, and in which order."""

from __future__ import annotations

import asyncio

from s3_upload.fleet.member import Asked, Telling
from s3_upload.fleet.wire import Frame, Question, Told
from s3_upload.observe.events import PartStored


def test_that_an_upload_is_gone_is_said_after_what_became_of_its_parts() -> None:
    """Else the job would hear of it once more when it has forgotten it, and keep it for the next run."""
    said: list[Frame] = []

    async def main() -> None:
        telling = Telling(said.append)
        asked = Asked(True, telling.tell_now)
        telling.hear(
            PartStored(
                at_s=1.0, seq=0, key="k", upload_id="u", part_number=1, bytes=1, etag='"e"', checksum=""
            )
        )
        asked.freed("u")

    asyncio.run(main())
    assert [type(frame) for frame in said] == [Told, Question]
