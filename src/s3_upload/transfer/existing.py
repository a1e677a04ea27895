"""Asks, before anything of an object is read, whether the store has one of that name: `if_exists="skip"`.

Rules:

* It spares what would be sent in vain, and decides nothing else: what HeadObject finds is skipped, and any
  other answer, or none at last, leaves the object to its upload, which goes with If-None-Match.
* A question is a unit like any other: it takes a slot, is tried again, counts for outages and for the rate
  that the store accepts, and its attempts are in the object's report.
* At most AHEAD for each request that may be in flight are asked at a time: the rest of the sources waits.
* S3 itself keeps to If-None-Match, so there bodies below ASK_FROM_BYTES cost less than a question.  Other
  stores need not (some take the header and overwrite): there every object is asked for.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from s3_upload.errors import FailureKind, SourceError, UploadError
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.transfer.unit import Unit, Upload

if TYPE_CHECKING:
    from s3_upload.config import UploadConfig
    from s3_upload.http import Response
    from s3_upload.report import AttemptReport, UploadReport
    from s3_upload.request_fields import RequestFields
    from s3_upload.sources.source import ObjectSource
    from s3_upload.transfer.client import Client
    from s3_upload.transfer.keys import Keys
    from s3_upload.transfer.objects import Objects
    from s3_upload.transfer.sink import Sink

AHEAD = 2
"""So that a slot that gets free has something to do."""
ASK_FROM_BYTES = 64 * 1024
MAX_GUARDED_FIELDS = 1_000

Numbered = tuple[int, "ObjectSource"]


def not_overwriting(
    fields_of: Callable[[ObjectSource], RequestFields],
) -> Callable[[ObjectSource], RequestFields]:
    """The same fields with If-None-Match. Objects share them, and so do requests what is made of them: what
    was one stays one."""
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


class Question(Upload):
    """Whether an object exists. Where it does it ends, as one that exists; else its source goes back."""

    __slots__ = ()
    may_be_missing = True

    def accept(self, unit: Unit, response: Response) -> Sequence[Unit]:
        is_there = response.status != 404
        kind, what = (FailureKind.EXISTS, "exists") if is_there else (FailureKind.REJECTED, "is not there")
        return self.refuse(unit, UploadError(what, key=unit.operation.key, kind=kind))

    def refuse(self, unit: Unit | None, error: UploadError) -> Sequence[Unit]:
        self.error = error
        self.done = True
        return ()

    @property
    def starts_again(self) -> bool:
        return self.error is not None and self.error.kind is not FailureKind.EXISTS

    def report(self, now_s: float, *, skips_existing: bool = False) -> UploadReport:
        """Nothing of it was tried to be sent."""
        return msgspec.structs.replace(super().report(now_s, skips_existing=skips_existing), attempts=0)


class Existing:
    """The sources that wait to be asked about (`waiting`), and what was answered; none where it never `asks`.

    `under_way`: questions that are not answered.  `offload` runs a blocking function off the loop.
    """

    def __init__(
        self,
        config: UploadConfig,
        client: Client,
        bucket: str,
        fields_of: Callable[[ObjectSource], RequestFields],
        offload: Callable[..., Awaitable[Any]],
    ) -> None:
        self.asks = config.if_exists == "skip"
        self.waiting: deque[Numbered] = deque()
        self.under_way = 0
        self._next_seq = 0
        self._bucket = bucket
        self._fields_of = fields_of
        self._offload = offload
        self._ask_from_bytes = ASK_FROM_BYTES if getattr(client, "is_aws", False) else 0
        self._attempts: dict[int, list[AttemptReport]] = {}

    @property
    def count(self) -> int:
        """Sources that are asked about, or will be."""
        return len(self.waiting) + self.under_way

    async def sort_out(self, sources: Sequence[ObjectSource]) -> list[Numbered]:
        """Numbers `sources`, keeps those that are to be asked about, and gives back the others."""
        numbered = list(enumerate(sources, self._next_seq))
        self._next_seq += len(numbered)
        if not self.asks:
            return numbered
        asked = [source.problem is None and not source.skip_reason for source in sources]
        if self._ask_from_bytes and any(asked):
            sizes = await self._offload(_sizes_of, sources)
            asked = [ask and size >= self._ask_from_bytes for ask, size in zip(asked, sizes, strict=True)]
        self.waiting.extend(one for one, ask in zip(numbered, asked, strict=True) if ask)
        return [one for one, ask in zip(numbered, asked, strict=True) if not ask]

    def ask(self, keys: Keys, objects: Objects, sink: Sink, hand_out: Callable[[Unit], None]) -> None:
        """Hands out as many questions as may be under way."""
        while self.waiting and self.under_way < AHEAD * sink.window_limit():
            seq, source = self.waiting.popleft()
            try:
                keys.take(source)
            except SourceError as problem:
                sink.report(objects.unread(seq, source, problem))
                continue
            question = Question(seq, source, 0, started_s=sink.now(), est_MBps=sink.est_MBps())
            fields = self._fields_of(source)
            head = Operation(name=HEAD_OBJECT, bucket=self._bucket, key=source.key, fields=fields)
            self.under_way += 1
            hand_out(Unit(question, head))

    def answered(self, question: Question) -> None:
        """Keeps what it took to ask, where the object is still to be uploaded."""
        if question.starts_again:
            self._attempts[question.seq] = question.attempt_reports

    def attempts_of(self, seq: int) -> list[AttemptReport]:
        """What it took to ask about an object: its own report has these too."""
        return self._attempts.pop(seq, [])


def _sizes_of(sources: Sequence[ObjectSource]) -> list[int]:
    """A stream's size need not be known: to ask is always less than to read it."""
    return [_size_of(source) for source in sources]


def _size_of(source: ObjectSource) -> int:
    if not source.is_file:
        return ASK_FROM_BYTES if source.size is None else source.size
    try:
        return os.stat(source.path).st_size  # noqa: PTH116 - of a million files, a Path each is dear
    except (OSError, ValueError):  # it turns out at its turn what is wrong
        return 0
