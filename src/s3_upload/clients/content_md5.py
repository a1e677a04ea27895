"""Content-MD5 for stores that want it: of a big body it is computed off the loop, which would stand still."""

from __future__ import annotations

from functools import partial

import msgspec

from s3_upload.errors import AttemptError, SourceError
from s3_upload.http import Body, SlicedBody
from s3_upload.s3.checksum import MD5, OFF_LOOP_BYTES, checksum_of
from s3_upload.s3.operations import Checksum, Operation
from s3_upload.threads import in_a_thread


def takes_long(body: Body) -> bool:
    """Whether its MD5 is not computed where the request is made."""
    return isinstance(body, SlicedBody) or len(body) >= OFF_LOOP_BYTES


async def with_md5(operation: Operation) -> Operation:
    """`operation` with the MD5 of its body. Raises `AttemptError` where that cannot be read."""
    body = operation.body
    if not isinstance(body, SlicedBody):
        try:
            checksum = await in_a_thread("s3-upload-md5", partial(checksum_of, MD5, body))
        except RuntimeError:  # the machine is out of threads
            checksum = checksum_of(MD5, body)
        return msgspec.structs.replace(operation, checksum=checksum)
    try:
        md5 = await body.md5_base64()
    except SourceError as error:
        raise AttemptError(error.kind, str(error)) from error
    return msgspec.structs.replace(operation, checksum=Checksum(MD5, md5))
