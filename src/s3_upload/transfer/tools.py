"""What the sending of an object uses of its run."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from s3_upload.control.retrying.retry import remedy
from s3_upload.errors import Remedy
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD
from s3_upload.sources.files import Reader
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.parts_line import PartsLine
from s3_upload.transfer.prepare import Prepare
from s3_upload.transfer.reading import Offload, WholeBodies
from s3_upload.transfer.record import Record
from s3_upload.transfer.reporting import Reporting
from s3_upload.transfer.request import Requests
from s3_upload.transfer.resume import Resumption
from s3_upload.transfer.tasks import Tasks
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.verdicts import GivenUp, Notes


class Tools(msgspec.Struct, frozen=True):
    bucket: str
    reader: Reader
    whole_bodies: WholeBodies
    offload: Offload
    memory: Memory
    requests: Requests
    tasks: Tasks
    tell: Teller
    prepare: Prepare
    parts_line: PartsLine
    unfinished: Unfinished
    reporting: Reporting
    notes: Notes
    resumption: Resumption | None = None


def second_chance(given_up: GivenUp, record: Record, possible: Collection[Remedy]) -> GivenUp:
    """The same, with the remedy by which the object is sent in another way, where one of the `possible` helps
    and was not tried.  A stream cannot be read twice."""
    operation, kind = given_up.operation, given_up.error.kind
    completing = operation is not None and operation.name == COMPLETE_MULTIPART_UPLOAD
    found = remedy(kind, completing=completing, tried=record.tried)
    if found not in possible or not record.source.is_file:
        return given_up
    record.takes_another_way(kind)
    return GivenUp(given_up.error, operation, found)
