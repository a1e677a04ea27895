"""One object from its first line to its last: sent, proven, sent in another way if that helps, reported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from s3_upload.errors import FailureKind, Remedy, SourceError
from s3_upload.parts import PartSizes
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.sources.files import BigFile, HashedBody
from s3_upload.sources.version import told_apart
from s3_upload.transfer.file_parts import FileParts
from s3_upload.transfer.line import Place
from s3_upload.transfer.multipart import MultipartUpload
from s3_upload.transfer.reading import read_file
from s3_upload.transfer.record import Record
from s3_upload.transfer.tools import Tools, second_chance
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp

Way = Callable[[], Awaitable[str]]
"""Sends an object in one way, and returns its ETag. Raises `GivenUp`."""
ANOTHER_WAY = frozenset({Remedy.IN_PARTS, Remedy.NEW_VERSION})
_CHANGED = "files that changed while they were sent were sent again, as they are now"


async def put(tools: Tools, record: Record, way: Way) -> None:
    """An object until its report."""
    while True:
        try:
            etag = await way()
        except GivenUp as given_up:
            if given_up.remedy is Remedy.NONE:
                tools.reporting.ended(record, error=given_up.error)
                return
            remedy = given_up.remedy
        else:
            tools.reporting.ended(record, etag=etag)
            return
        # With the same record: what was tried before is in its report, and limits what is tried again.
        try:
            way = await read_again(tools, record, remedy)
        except SourceError as problem:
            tools.reporting.ended(record, error=GivenUp.by_source(problem, record).error)
            return
        # Where nothing of it had been sent, nothing is sent again.
        if remedy is Remedy.NEW_VERSION and any(tried.body_bytes for tried in record.attempt_reports):
            tools.notes.add(FailureKind.SOURCE_CHANGED, _CHANGED)


async def put_whole(tools: Tools, request: Request, place: Place) -> str:
    """An object in one request, which is begun, and stands in line at `place`."""
    try:
        return (await tools.requests.carry_out(request, place)).etag
    except GivenUp as given_up:
        return await in_doubt(tools, request, given_up)


async def in_doubt(tools: Tools, request: Request, given_up: GivenUp) -> str:
    """The ETag of an object whose one request was given up, and which is there all the same. Raises `GivenUp`
    with what else may help."""
    try:
        if not request.ambiguous:
            raise given_up
        return (await tools.requests.confirm(request, given_up)).etag
    except GivenUp as in_the_end:
        # Its object may go another way for minutes, with a body that is read for that.
        request.let_go()
        raise second_chance(in_the_end, request.record, ANOTHER_WAY) from None


async def read_again(tools: Tools, record: Record, remedy: Remedy) -> Way:
    """The other way by which an object is sent that was given up, of its source as it is now.

    Raises `SourceError`.
    """
    reader = tools.reader
    # However small the file is: the store does not take it in one request.
    if remedy is Remedy.IN_PARTS:
        reader = msgspec.structs.replace(reader, single_limit_bytes=-1)
    # As much as the largest that goes in one request: how large it is now shows when it is read.
    async with tools.memory.holding(tools.reader.single_limit_bytes):
        read = await read_file(reader, tools.offload, record.source)
        if isinstance(read, BigFile):
            sizes = tools.prepare.sizes(record.source, read.identity.size)
            record.sized(read.identity.size, told_apart(read.identity.mtime_ns, read.identity.ctime_ns))
            return way_in_parts(tools, record, read, sizes)
        record.sized(len(read.body), read.mtime_ns, read.checksum)
        request = whole_request(tools, record, read)
        tools.requests.begin(request)
        return partial(put_whole, tools, request, Place.NEW)


def whole_request(tools: Tools, record: Record, hashed: HashedBody) -> Request:
    """The one request of an object whose body has been read."""
    operation = Operation(
        name=PUT_OBJECT,
        bucket=tools.bucket,
        key=record.source.key,
        body=hashed.body,
        sha256=hashed.sha256,
        checksum=hashed.checksum,
        fields=tools.prepare.fields_of(record.source),
    )
    return Request(record, operation, tools.whole_bodies.read, ambiguous=record.perhaps_sent)


def way_in_parts(tools: Tools, record: Record, file: BigFile, sizes: PartSizes) -> Way:
    """An upload in parts, which is begun."""
    upload = MultipartUpload(tools, record, sizes)
    return partial(upload.put, FileParts(tools, file.identity))
