"""The parts of a file: read as there is room for them, sent, and read once more where the store lost them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from s3_upload.errors import SourceError
from s3_upload.http import SlicedBody
from s3_upload.sources.files import HashedBody
from s3_upload.sources.version import Identity
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.parts_line import PartPlan, PartsToRead
from s3_upload.transfer.record import Record
from s3_upload.transfer.sliced import read_part
from s3_upload.transfer.tools import Tools
from s3_upload.transfer.tries import Read, Request
from s3_upload.transfer.verdicts import GivenUp


class FileParts:
    """Those of the version of the file that `identity` names."""

    def __init__(self, tools: Tools, identity: Identity) -> None:
        self.version = identity
        self._tools = tools

    async def send_all(self, upload: MultipartUpload) -> None:
        await self._send(upload, self._plans(upload), first=False)

    async def send_again(self, upload: MultipartUpload, numbers: Sequence[int]) -> None:
        await self._send(upload, [self._plan(upload, number) for number in numbers], first=True)

    async def look_once_more(self, upload: MultipartUpload) -> None:
        try:
            await self._read(upload.record, PartPlan(0, 0, 0), in_slices=False)
        except SourceError as problem:
            raise GivenUp.by_source(problem, upload.record) from None

    async def _send(self, upload: MultipartUpload, plans: Iterable[PartPlan], *, first: bool) -> None:
        """Raises `GivenUp`."""

        def begin(plan: PartPlan, part: HashedBody) -> Request | None:
            # Once one is given up the upload is aborted: what was read meanwhile is not sent.
            if parts.given_up is not None:
                return None
            return upload.begin_part(plan.number, part, self._reading(upload.record, plan, part))

        parts = PartsToRead(
            upload.record,
            self.version,
            upload.sizes.first,
            plans,
            begin_request=begin,
            send=upload.send_part,
        )
        self._tools.parts_line.add(parts, first=first)
        await parts.through()

    def _plans(self, upload: MultipartUpload) -> Iterator[PartPlan]:
        number, sent = 0, 0
        # An empty file is one empty part.
        while number == 0 or sent < self.version.size:
            number += 1
            plan = self._plan(upload, number)
            sent = plan.offset + plan.size
            if not upload.has(number):
                yield plan

    def _plan(self, upload: MultipartUpload, number: int) -> PartPlan:
        offset = upload.sizes.offset_of(number)
        return PartPlan(number, offset, min(upload.sizes.size_of(number), self.version.size - offset))

    def _reading(self, record: Record, plan: PartPlan, part: HashedBody) -> Read:
        """Reads a part once more, as it was read."""
        in_slices = isinstance(part.body, SlicedBody)

        async def read(_: Request) -> HashedBody:
            return await self._read(record, plan, in_slices=in_slices)

        return read

    async def _read(self, record: Record, plan: PartPlan, *, in_slices: bool) -> HashedBody:
        tools, path = self._tools, record.source.path
        return await read_part(tools.reader, tools.offload, path, self.version, plan, in_slices=in_slices)
