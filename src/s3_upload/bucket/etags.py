"""What an ETag tells of an object's bytes. Pure: pieces of a file in; the ETags that it would have out.

Theory (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html):

1. The ETag of an object that came in one request is the MD5 of its bytes.
2. That of an object in parts is the MD5 of the parts' MD5s, "-" and their number N.  Mostly all parts but the
   last have one size p, which the ETag does not tell; but p * (N - 1) < size <= p * N.  So few sizes are
   possible: those in `USUAL`, and where N leaves only a few whole MiB, these (whoever needs larger parts for
   a large file takes the next whole MiB, or doubles).
3. Where SSE-KMS or SSE-C encrypts, an ETag is no MD5, though it may look like one.  So an ETag that agrees
   proves that the bytes are the same; one that does not agree proves nothing by itself.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from functools import partial

from s3_upload.config import MIB
from s3_upload.http import Buffer
from s3_upload.s3.checksum import MD5, Running, running

_ETAG = re.compile(r"(?P<md5>[0-9a-fA-F]{32})(?:-(?P<count>[1-9][0-9]{0,4}))?")
USUAL = tuple(mib * MIB for mib in (5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024, 5120))
"""Part sizes in bytes: 5 MiB is ours and rclone's, 8 the AWS CLI's and boto3's, 15 s3cmd's, 16 MinIO's, 50
s5cmd's; what tools let people choose is mostly a power of two, or round."""
FEW = 8
"""Whole MiB that are all tried, where no more are possible."""


def parts_in(etag: str) -> int | None:
    """How many parts an ETag (without quotes) tells of, 0 for an object that came at once; None where it is
    no MD5 at all."""
    found = _ETAG.fullmatch(etag)
    if found is None:
        return None
    return int(found["count"] or 0)


def part_sizes(size: int, count: int, ours: int = 0) -> list[int]:
    """The sizes that `count` parts of `size` bytes may have, the likeliest first. `ours`: what we take."""
    if count <= 1:
        return [max(size, 1)]
    least, most = -(-size // count), (size - 1) // (count - 1)
    if least > most:
        return []
    first, last = -(-least // MIB), most // MIB
    whole = [mib * MIB for mib in range(first, last + 1)] if last - first < FEW else []
    likely = [one for one in (ours, *USUAL) if least <= one <= most]
    return list(dict.fromkeys([*likely, *whole]))


def is_cut_evenly(size: int, count: int, part_size: int) -> bool:
    """Whether `size` bytes in parts of `part_size`, but for the last, are `count` parts."""
    return part_size * (count - 1) < size <= part_size * count


class Sums:
    """Digests of what comes in pieces: of the whole or, for each of the `sizes` that parts may have, of the
    digests of its parts. `new` makes what computes one; MD5 unless given."""

    def __init__(self, sizes: Sequence[int] = (), new: Callable[[], Running] | None = None) -> None:
        new = new or partial(running, MD5)
        self._whole = None if sizes else new()
        self._cuts = [_Cut(size, new) for size in sizes]

    def add(self, piece: Buffer) -> None:
        if self._whole is not None:
            self._whole.update(piece)
        for cut in self._cuts:
            cut.add(piece)

    def digests(self) -> list[tuple[bytes, int]]:
        """Each with the number of its parts, 0 for the whole."""
        if self._whole is not None:
            return [(self._whole.digest(), 0)]
        return [cut.end() for cut in self._cuts]


class _Cut:
    """One way to cut an object: into parts of `size` bytes."""

    def __init__(self, size: int, new: Callable[[], Running]) -> None:
        self._size = self._left = size
        self._new = new
        self._outer, self._inner = new(), new()
        self._count = 0

    def add(self, piece: Buffer) -> None:
        view = memoryview(piece)
        while view:
            taken = view[: self._left]
            self._inner.update(taken)
            view = view[len(taken) :]
            self._left -= len(taken)
            if not self._left:
                self._end_part()

    def end(self) -> tuple[bytes, int]:
        if self._left < self._size or not self._count:
            self._end_part()
        return self._outer.digest(), self._count

    def _end_part(self) -> None:
        self._outer.update(self._inner.digest())
        self._inner, self._left = self._new(), self._size
        self._count += 1


def etag_of(digest: bytes, count: int) -> str:
    """Without quotes. `count`: of parts, 0 for an object that came at once."""
    return f"{digest.hex()}-{count}" if count else digest.hex()


def checksum_of(digest: bytes, count: int) -> str:
    """As the store writes a checksum: in base64, with the number of parts."""
    value = base64.b64encode(digest).decode()
    return f"{value}-{count}" if count else value
