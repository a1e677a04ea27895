"""Uploads in parts that were neither completed nor aborted: which a bucket has, and what they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import msgspec

from s3_upload.bucket.asking import Asker, Unanswered, answer_to, run_error
from s3_upload.bucket.listing import SMALL_PAGE_KEYS
from s3_upload.errors import FailureKind, RunError
from s3_upload.http import Response
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    LIST_MULTIPART_UPLOADS,
    LIST_PARTS,
    Operation,
    Page,
)
from s3_upload.s3.operations.list_multipart_uploads import ListedUpload, listed_uploads
from s3_upload.s3.operations.list_parts import listed_parts

MAX_ABORTS = 3
"""A part that was on its way when its upload was aborted may be stored after that."""
ABORTED, GONE, HAS_PARTS = "aborted", "gone", "still has parts"
"""What can become of an upload: GONE where there is none when the store is first told to abort it."""


@contextmanager
def _may_be_refused() -> Iterator[None]:
    """Ends with what the store does not tell."""
    try:
        yield
    except RunError as error:
        if not error.kind.refuses:
            raise


def _otherwise(upload: ListedUpload) -> ListedUpload:
    """By its other key."""
    return msgspec.structs.replace(upload, key=upload.decoded_key, decoded_key=upload.key)


class Unfinished:
    """Those of one bucket."""

    def __init__(self, asker: Asker, bucket: str) -> None:
        self._asker = asker
        self._bucket = bucket

    async def below(self, prefix: str) -> AsyncIterator[ListedUpload]:
        """Those whose keys begin with `prefix`, in the order of keys. Raises `RunError`."""
        is_whole_key = bool(prefix)
        async for upload in self._listed(prefix):
            is_whole_key &= upload.key == prefix
            if upload.key.startswith(prefix):
                yield upload
        if not is_whole_key:
            return
        # MinIO takes a prefix for a whole key, and so finds nothing below it.
        async for upload in self._listed(""):
            if upload.key.startswith(prefix) and upload.key != prefix:
                yield upload

    async def _listed(self, prefix: str) -> AsyncIterator[ListedUpload]:
        """What the store lists of that prefix."""
        # Small at once, whatever the keys: each upload takes questions of its own, so a page more is no loss.
        page: Page | None = Page(prefix, max_keys=SMALL_PAGE_KEYS)
        while page is not None:
            operation = Operation(name=LIST_MULTIPART_UPLOADS, bucket=self._bucket, key="", page=page)
            answer = await self._ask(operation, "its unfinished uploads cannot be listed")
            if answer is None:  # gofakes3 (rclone serve s3) says so of a bucket that never had one
                return
            listed = listed_uploads(answer, page)
            for upload in listed.uploads:
                yield await self._named(upload)
            page = listed.next_page

    async def _named(self, upload: ListedUpload) -> ListedUpload:
        """By the key that the store knows it by; with the other one, too, where that is not known."""
        if not upload.decoded_key:
            return upload
        named = _otherwise(upload)
        with _may_be_refused():
            return upload if await self._of(LIST_PARTS, named) is None else named
        return named

    async def size(self, upload: ListedUpload) -> tuple[int, int] | None:
        """How many parts it has, and of how many bytes; None where the store does not tell: it may want the
        key of SSE-C for that. Raises `RunError`."""
        parts = size = 0
        behind: int | None = 0
        with _may_be_refused():
            while behind is not None and (answer := await self._of(LIST_PARTS, upload, behind)) is not None:
                listed = listed_parts(answer, behind)
                parts += len(listed.parts)
                size += sum(part.size for part in listed.parts.values())
                behind = listed.next_marker
            return parts, size
        return None

    async def abort(self, upload: ListedUpload) -> str:
        """Ends it, and says what became of it. Raises `RunError`."""
        for tries in range(MAX_ABORTS):
            if await self._of(ABORT_MULTIPART_UPLOAD, upload) is None:
                if not tries and upload.decoded_key:
                    return await self.abort(msgspec.structs.replace(_otherwise(upload), decoded_key=""))
                return ABORTED if tries else GONE
            left = await self.size(upload)
            if left is None or not left[0]:
                return ABORTED
        return HAS_PARTS

    async def _of(self, name: str, upload: ListedUpload, behind: int = 0) -> Response | None:
        """The answer; None where there is no such upload."""
        operation = Operation(
            name=name,
            bucket=self._bucket,
            key=upload.key,
            upload_id=upload.upload_id,
            part_number=behind,
        )
        return await self._ask(operation, f"{name} of {upload.key}")

    async def _ask(self, operation: Operation, what: str) -> Response | None:
        """The answer; None where there is no such upload."""
        try:
            return await self._asker.ask(operation, answer_to(operation), {FailureKind.NO_SUCH_UPLOAD})
        except Unanswered as unanswered:
            if unanswered.failure.kind is FailureKind.NO_SUCH_UPLOAD:
                return None
            raise run_error(self._asker.client, unanswered, what) from unanswered
