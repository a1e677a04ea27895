"""What a bucket has, by ListObjectsV2: lazily, one page ahead, in the order of the keys' UTF-8 bytes.

Rules:

* Whoever compares relies on the order, so it is proven key by key: a page out of order, or a continuation
  token that comes again, ends the listing with an error.  Directory buckets have no order and are refused.
* While a page is being worked on, the next one is on its way; no more than that is in memory.
* A page that fails is asked for again (`asking.py`).  One that is larger than an answer may be (long keys) is
  asked for in smaller ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from s3_upload.bucket.asking import Asker, Unanswered, run_error
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.http import Response
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.s3.bucket_kinds import is_directory
from s3_upload.s3.operations import LIST_OBJECTS_V2, Operation, Page
from s3_upload.s3.operations.list_objects_v2 import ListedPage, UnreadableListing, listed_page
from s3_upload.s3.responses import Failure, classify
from s3_upload.text import printable

PERMISSION = "listing takes the permission s3:ListBucket"
MAX_KEYS = 1_000
"""Of a page: S3 gives no more."""
SMALL_PAGE_KEYS = 200
"""Of a page that is not larger than an answer may be (`http1/received.py`), however long its keys are."""


def refuse_unordered(bucket: str) -> None:
    """Raises `ConfigError` for a bucket whose objects are not listed in the order of their keys."""
    if is_directory(bucket):
        raise ConfigError(
            f"{bucket}: directory buckets (S3 Express One Zone) do not list objects in the order of their "
            "keys, so nothing can be compared with them: upload, with --if-exists skip perhaps"
        )


class Lister:
    """Lists the objects of one bucket, all of whose listings share `asker`. `fields`: who pays, whose bucket
    it is; `may_be_missing`: a bucket that is not there has no objects."""

    def __init__(
        self, asker: Asker, bucket: str, fields: RequestFields = NO_FIELDS, *, may_be_missing: bool = False
    ) -> None:
        refuse_unordered(bucket)
        self._may_be_missing = may_be_missing
        self._fields = fields
        self._asker = asker
        self._bucket = bucket
        self._max_keys = MAX_KEYS

    async def pages(self, prefix: str, after: str = "", until: str = "") -> AsyncGenerator[ListedPage, None]:
        """The objects whose keys begin with `prefix` and come behind `after`, a page at a time, at least up
        to the key `until`.

        Raises `RunError` where the store refuses, or lists in no order.
        """
        page = Page(prefix, after)
        seen: set[int] = set()
        last = after
        coming = asyncio.ensure_future(self.page(page))
        try:
            while True:
                listed = await coming
                reached = until and listed.objects and listed.objects[-1].key >= until
                if listed.token and not reached:
                    if hash(listed.token) in seen:
                        raise self._wrong("the store gives the same continuation token twice")
                    seen.add(hash(listed.token))
                    coming = asyncio.ensure_future(self.page(Page(prefix, "", listed.token)))
                last = self._in_order(listed, prefix, last)
                yield listed
                if reached or not listed.token:
                    return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def page(self, page: Page) -> ListedPage:
        """That page, as it came. Raises `RunError`."""
        while True:
            few = msgspec.structs.replace(page, max_keys=min(page.max_keys, self._max_keys))
            operation = Operation(
                name=LIST_OBJECTS_V2, bucket=self._bucket, key="", page=few, fields=self._fields
            )
            # Of a smaller page there is more to hope only once.
            final = {FailureKind.MALFORMED} if few.max_keys > SMALL_PAGE_KEYS else ()
            try:
                return await self._asker.ask(operation, _read, final)
            except Unanswered as unanswered:
                kind = unanswered.failure.kind
                if kind in final:
                    self._max_keys = SMALL_PAGE_KEYS
                    continue
                if self._may_be_missing and unanswered.failure.code == "NoSuchBucket":
                    return ListedPage([], [], "")
                what = "its objects cannot be listed"
                if kind is FailureKind.ACCESS_DENIED:
                    what = f"{what} ({PERMISSION})"
                raise run_error(self._asker.client, unanswered, what) from unanswered

    def _in_order(self, listed: ListedPage, prefix: str, last: str) -> str:
        """The last key of the page. Raises `RunError` where it is not in order behind `last`."""
        for found in listed.objects:
            key = found.key
            if key <= last:
                raise self._wrong(
                    f"the store does not list in the order of the keys: {printable(key)!r} comes after "
                    f"{printable(last)!r}"
                )
            last = key
        if listed.objects and not (listed.objects[0].key.startswith(prefix) and last.startswith(prefix)):
            raise self._wrong(f"the store lists keys that do not begin with {printable(prefix)!r}")
        return last

    def _wrong(self, why: str) -> RunError:
        where = f"{self._asker.client.endpoint}: bucket {self._bucket!r}"
        return RunError(f"{where}: {why}; nothing can be compared with such a listing", FailureKind.UNPROVEN)


def _read(response: Response) -> ListedPage | Failure:
    why = ""
    if response.status == 200:
        try:
            return listed_page(response)
        except UnreadableListing as unreadable:
            why = f": {unreadable}"
    message = f"{LIST_OBJECTS_V2}: {response.status} with a page that cannot be read{why}"
    unproven = Failure(FailureKind.UNPROVEN, status=response.status, message=message)
    return classify(LIST_OBJECTS_V2, response) or unproven
