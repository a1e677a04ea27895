"""Asks, before anything of an object is read, whether the store has one of that name, unless
`if_exists="overwrite"`.

Rules:

* It spares what would be sent in vain, and decides nothing else.  What HeadObject finds is skipped, or
  fails ("fail").  Any other answer, or none at last, leaves the object to its upload, which goes with
  If-None-Match.  So does what may be our own: of an object that a process of this job had which has ended,
  and that is as large and no older than the job.  Its upload proves it, or is refused.
* A question is a request like any other: it takes a slot, is tried again, counts for outages and for the rate
  that the store accepts, and its attempts are in the object's report.
* At most AHEAD questions for each request that may be in flight are asked at a time; other sources wait.
* S3 itself keeps to If-None-Match, so there bodies below ASK_FROM_BYTES cost less than a question.  Other
  stores may not (some take the header and overwrite): there every object is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from s3_upload.errors import FailureKind, UploadError
from s3_upload.report import EXISTS
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.s3.proof import is_older
from s3_upload.sources.source import held_bytes, is_sent, size_of
from s3_upload.transfer.line import Place
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp

if TYPE_CHECKING:
    from s3_upload.config import UploadConfig
    from s3_upload.http import Response
    from s3_upload.request_fields import RequestFields
    from s3_upload.sources.source import ObjectSource
    from s3_upload.transfer.reading import Offload
    from s3_upload.transfer.record import Record
    from s3_upload.transfer.tools import Tools

AHEAD = 2
"""So that a slot that becomes free has something to do."""
ASK_FROM_BYTES = 64 * 1024
MAX_GUARDED_FIELDS = 1_000

Numbered = tuple[int, "ObjectSource"]
"""A source, and its number in the run."""
Numbering = Callable[[int, "ObjectSource"], object]


def not_overwriting(
    fields_of: Callable[[ObjectSource], RequestFields],
) -> Callable[[ObjectSource], RequestFields]:
    """The same fields with If-None-Match. Objects that shared their fields share the new ones."""
    # The old fields are kept beside the new: as long as they live, no others have their id.
    made: dict[int, tuple[RequestFields, RequestFields]] = {}

    def guarded_fields(source: ObjectSource) -> RequestFields:
        fields = fields_of(source)
        found = made.get(id(fields))
        if found is None:
            if len(made) >= MAX_GUARDED_FIELDS:
                made.clear()
            found = made[id(fields)] = fields, msgspec.structs.replace(fields, if_none_match="*")
        return found[1]

    return guarded_fields


class Existing:
    """The sources that wait to be asked about (`waiting`); none where it never `asks`.

    `under_way`: questions without an answer yet; `held_bytes`: what the sources of `count` hold in memory;
    `max_held_bytes`: and may, so that several can be asked about at a time.
    `offload` runs a blocking function off the loop.
    """

    def __init__(self, config: UploadConfig, offload: Offload, *, is_aws: bool) -> None:
        self.asks = config.if_exists != "overwrite"
        self.waiting: deque[Numbered] = deque()
        self.under_way = 0
        self.held_bytes = 0
        self.max_held_bytes = config.max_in_flight_bytes // 4 if self.asks else 0
        self._next_seq = 0
        self._offload = offload
        self._ask_from_bytes = ASK_FROM_BYTES if is_aws else 0

    @property
    def count(self) -> int:
        """Sources that are asked about, or will be."""
        return len(self.waiting) + self.under_way

    async def sort_out(self, sources: Sequence[ObjectSource]) -> list[Numbered]:
        """Numbers `sources`, keeps those that are to be asked about, and returns the others."""
        numbered = list(enumerate(sources, self._next_seq))
        self._next_seq += len(numbered)
        if not self.asks:
            return numbered
        asked = list(map(is_sent, sources))
        # Sizes matter where small bodies go unasked; to look at files blocks, so a thread does it.
        if self._ask_from_bytes and any(asked):
            sizes = await self._offload(_sizes_of, sources)
            asked = [ask and size >= self._ask_from_bytes for ask, size in zip(asked, sizes, strict=True)]
        waiting = [one for one, ask in zip(numbered, asked, strict=True) if ask]
        self.waiting.extend(waiting)
        self.held_bytes += held_bytes(source for _, source in waiting)
        return [one for one, ask in zip(numbered, asked, strict=True) if not ask]

    def ask(self, tools: Tools, max_requests: int, goes_on: Numbering) -> None:
        """Asks as much as may be asked at once. `goes_on`: an object is not there, as far as is known."""
        while self.waiting and self.under_way < AHEAD * max_requests:
            seq, source = self.waiting.popleft()
            if tools.reporting.takes_key(seq, source):
                record = tools.prepare.question(seq, source)
                head = Operation(
                    name=HEAD_OBJECT,
                    bucket=tools.bucket,
                    key=source.key,
                    fields=tools.prepare.fields_of(source),
                )
                request = Request(record, head, may_be_missing=True, expendable=True)
                tools.requests.begin(request)
                self.under_way += 1
                tools.tasks.start(self._ask(tools, request, goes_on))
            else:
                self.held_bytes -= held_bytes([source])

    async def _ask(self, tools: Tools, request: Request, goes_on: Numbering) -> None:
        record = request.record
        try:
            answer = await tools.requests.carry_out(request, Place.NEW)
            exists = answer.status != 404 and not await self._may_be_ours(record, answer)
        # No answer at last: its upload, which goes with If-None-Match, finds out more.
        except GivenUp as given_up:
            exists = given_up.error.kind is FailureKind.EXISTS
        finally:
            self.under_way -= 1
            self.held_bytes -= held_bytes([record.source])
        if exists:
            error = UploadError(EXISTS, key=record.key, kind=FailureKind.EXISTS)
            tools.reporting.exists(record, error)
        else:
            tools.prepare.asked[record.seq] = record.attempt_reports
            goes_on(record.seq, record.source)

    async def _may_be_ours(self, record: Record, found: Response) -> bool:
        age_s = record.attempt_reports[-1].ended_s - record.since_s
        if not record.perhaps_sent or is_older(found, age_s):
            return False
        size = await self._offload(size_of, record.source)
        return found.headers.get("content-length") == str(size)


def _sizes_of(sources: Sequence[ObjectSource]) -> list[int]:
    """Blocking. To ask is always less than to read a stream of unknown size."""
    return [
        ASK_FROM_BYTES if source.size is None and not source.is_file else size_of(source)
        for source in sources
    ]
