"""`remove_source` of a job that is run again: what earlier runs uploaded, and did not come to remove.

Rules:

* The journal says which files these are: their objects were proved, and they still have that path, size and
  time of modification.
* A journal may be old, and a file that is removed is gone.  So the store is asked once more (HeadObject): the
  object has to have the ETag and the size that the journal knows of it.
* What it does not have like that, or does not tell, goes again, and is removed when that is proved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from s3_upload.api import DefaultRequest, fields_of
from s3_upload.bucket.asking import Asker, Patience, Unanswered, answer_to
from s3_upload.bucket.sync import asking_fields
from s3_upload.config import UploadConfig
from s3_upload.observe.journal import Journal, revisit_by
from s3_upload.observe.journal_rows import Done
from s3_upload.removing import Remover
from s3_upload.request_fields import RequestFields
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.s3.proof import same_etag
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.client import Client


def removes_what_is_done(
    journal: Journal | None,
    remover: Remover | None,
    client: Client,
    bucket: str,
    *,
    config: UploadConfig,
    default_request: DefaultRequest | None,
) -> None:
    """The next run with `journal` has `remover` remove what earlier ones uploaded, too; None: it has not."""
    if journal is None:
        return
    if remover is None:
        revisit_by(journal, None)
        return
    asker = Asker(client, Patience.of(config))
    revisit_by(journal, Moved(asker, bucket, remover, fields_of(default_request)).left)


class Moved(msgspec.Struct, frozen=True):
    """For one run. `fields_of`: what is said of an object."""

    asker: Asker
    bucket: str
    remover: Remover
    fields_of: Callable[[ObjectSource], RequestFields]

    async def left(self, done: Sequence[Done]) -> list[ObjectSource]:
        """Has those removed that are there, and gives the others. Raises `RunError`."""
        there = await asyncio.gather(*map(self._is_there, done))
        for one, is_there in zip(done, there, strict=True):
            if is_there:
                await self.remover.uploaded_before(one.source, one.size, one.mtime_ns)
        return [one.source for one, is_there in zip(done, there, strict=True) if not is_there]

    async def _is_there(self, one: Done) -> bool:
        fields = asking_fields(self.fields_of(one.source))
        operation = Operation(name=HEAD_OBJECT, bucket=self.bucket, key=one.source.key, fields=fields)
        try:
            head = await self.asker.ask(operation, answer_to(operation))
        except Unanswered:
            return False  # it is sent again, and its upload bears with the store as any other does
        if not one.etag:
            return False
        etag, size = head.headers.get("etag", ""), head.headers.get("content-length", "")
        return same_etag(etag, one.etag) and size == str(one.size)
