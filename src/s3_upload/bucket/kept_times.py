"""Whether an object was made of the file as it is: by the time of modification that the object keeps.

`--preserve mtime` and rclone write it into the object's metadata, and HeadObject tells it.  Any other time is
a difference, also an older one; what has the same time is the same, whatever its bytes.
"""

from __future__ import annotations

from s3_upload.bucket.compare import NEW, NEWER, OLDER, SAME, Local
from s3_upload.bucket.proof import Bucket, Judge, Unproven
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.preserving import MTIME, time_ns_of

HEADER = f"x-amz-meta-{MTIME}"


class KeptTimes:
    """Decides for what is `there`; `otherwise` does for what has no time of modification: bytes in memory."""

    def __init__(self, there: Bucket, otherwise: Judge) -> None:
        self._there = there
        self._otherwise = otherwise

    async def reason(self, local: Local, found: ListedObject) -> str:
        """SAME, NEWER, OLDER or, where it has gone meanwhile, NEW. Both have the same size.

        Raises `Unproven` where the object keeps no time, and `RunError`.
        """
        if local.mtime_ns is None:
            return await self._otherwise(local, found)
        head = await self._there.head(found.key)
        if head is None:
            return NEW
        kept_ns = time_ns_of(head.headers.get(HEADER, ""))
        if kept_ns is None:
            raise Unproven("they do not tell the time of modification of their files")
        if local.mtime_ns == kept_ns:
            return SAME
        return NEWER if local.mtime_ns > kept_ns else OLDER
