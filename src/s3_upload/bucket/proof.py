"""Whether an object has the bytes of a source, by what the store keeps of it; the object is not read.

In this order, until one of them decides:

1. Its ETag is the MD5 of the file, or of its parts of some usual size (`etags.py`): the same.
2. A checksum of the whole object that the store keeps (HeadObject tells it) is that of the file, or is not.
3. A checksum of its parts' checksums is that of the file's parts, of some usual size: the same.
4. Its ETag is certainly made of MD5s (nothing but SSE-S3 encrypts the object), and is not the file's:
   another.  For an object in parts this takes the exact size of its parts, which HeadObject tells of part 1,
   and that all but the last have this size: S3 does not ask for it, and streams may be sent in parts that
   grow.  So their number has to be that of such parts and, of more than two, the last one what the others
   leave.
5. Nothing decides: `Unproven` says why, and size and time decide instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from s3_upload.bucket.asking import Asker, Unanswered, answer_to, run_error
from s3_upload.bucket.compare import DIFFERS, NEW, SAME, Local
from s3_upload.bucket.etags import Sums, checksum_of, etag_of, is_cut_evenly, part_sizes, parts_in
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.errors import ConfigError, RunError
from s3_upload.http import Buffer, Response
from s3_upload.request_fields import RequestFields
from s3_upload.s3.checksum import ALGORITHMS, COMPOSITE, MD5, check_algorithm, header_of, running
from s3_upload.s3.operations import GET_OBJECT, HEAD_OBJECT, Operation
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.threads import DaemonThreads

_SSE = "x-amz-server-side-encryption"
PARTS_COUNT = "x-amz-mp-parts-count"
UNEVEN = "they are in parts of several sizes, which their ETags do not tell"
"""Why nothing is proven of such objects."""


class Unproven(Exception):  # noqa: N818 - named for what is the case
    """Nothing that the store keeps tells; the message says why, as a phrase that is the same for many."""


class Kept(NamedTuple):
    """A checksum that the store keeps: of the whole, or (`parts` is not 0) of so many parts' checksums."""

    algorithm: str
    value: str
    parts: int


def kept_in(headers: Mapping[str, str]) -> list[Kept]:
    """The checksums in a HeadObject's answer that can be computed here; those of the whole come first."""
    found: list[Kept] = []
    for algorithm in ALGORITHMS:
        value = headers.get(header_of(algorithm), "")
        if not value or not _computable(algorithm):
            continue
        count = value.partition("-")[2]
        if count.isascii() and count.isdigit():
            found.append(Kept(algorithm, value, int(count)))
        elif not count and headers.get("x-amz-checksum-type", "").upper() != COMPOSITE:
            found.append(Kept(algorithm, value, 0))
    return sorted(found, key=lambda kept: kept.parts > 0)


def _computable(algorithm: str) -> bool:
    try:
        check_algorithm(algorithm)
    except ConfigError:
        return False
    return True


def etag_is_md5(headers: Mapping[str, str]) -> bool:
    """Whether the ETag of an object with these headers can be trusted to be made of MD5s."""
    return headers.get(_SSE, "AES256") == "AES256" and f"{_SSE}-customer-algorithm" not in headers


class Bucket:
    """Whom to ask. `fields`: what requests have to say (who pays, the key of SSE-C)."""

    def __init__(self, asker: Asker, name: str, fields: RequestFields) -> None:
        self.asker = asker
        self.name = name
        self.fields = fields
        self._reading = asyncio.Lock()
        self._reads = 0
        self._was_read: bool | RunError = False  # by the last of them

    async def head(self, key: str, part_number: int = 0, *, checksums: bool = False) -> Response | None:
        """What HeadObject tells, also of `checksums`; None: no such object. Raises `Unproven` where the store
        does not tell, and `RunError` where it does not answer."""
        operation = Operation(
            name=HEAD_OBJECT,
            bucket=self.name,
            key=key,
            fields=self.fields,
            part_number=part_number,
            asks_checksums=checksums,
        )
        is_read = False
        while True:
            try:
                return await self.asker.ask(operation, answer_to(operation))
            except Unanswered as unanswered:
                status = unanswered.failure.status
                if status == 404:
                    return None
                self.require_refusal(unanswered)
                # HeadObject's refusals have no words: an expired token is a mere 400, or 403.
                if status in {400, 403} and not is_read and await self._may_be_read(key):
                    is_read = True
                    continue
                if status == 400 and operation.asks_checksums:  # some stores refuse to be asked for them
                    operation = msgspec.structs.replace(operation, asks_checksums=False)
                    continue
                why = f"the listing does not tell, and HeadObject was answered with {status}"
                raise Unproven(why) from unanswered

    async def _may_be_read(self, key: str) -> bool:
        """Whether to ask again, when what GetObject's refusal tells has been put right. One GetObject that
        is begun after HeadObject was refused tells that for all that wait then: they may be all objects."""
        due = self._reads + 1 + self._reading.locked()
        async with self._reading:
            if self._reads < due:
                try:
                    self._was_read = await self._is_read(key)
                except RunError as error:  # else those who wait would ask in vain, one after the other
                    self._was_read = error
                self._reads += 1
            if isinstance(self._was_read, RunError):
                raise self._was_read
            return self._was_read

    async def _is_read(self, key: str) -> bool:
        """Whether the object can be read."""
        operation = Operation(name=GET_OBJECT, bucket=self.name, key=key, fields=self.fields, span=(0, 1))
        try:
            await self.asker.ask(operation, answer_to(operation))
        except Unanswered as unanswered:
            self.require_refusal(unanswered)
            return unanswered.failure.status == 416  # an empty object has no first byte
        return True

    def require_refusal(self, unanswered: Unanswered) -> None:
        """Raises `RunError` for what says nothing of an object."""
        if not unanswered.failure.kind.refuses:
            operation = unanswered.operation
            what = f"{operation.name} of {operation.key}"
            raise run_error(self.asker.client, unanswered, what) from unanswered


class Prover:
    """Decides for what is `there`. `local_bytes` reads. `ours`: the size of our own parts."""

    def __init__(
        self, there: Bucket, threads: DaemonThreads, local_bytes: LocalBytes, *, ours: int = 0
    ) -> None:
        self._there = there
        self._threads = threads
        self._local_bytes = local_bytes
        self._ours = ours

    async def reason(self, local: Local, found: ListedObject) -> str:
        """SAME, DIFFERS or, where it has gone meanwhile, NEW. Both have the same size.

        Raises `Unproven`, `SourceError` where the source cannot be read, and `RunError`.
        """
        assert local.size is not None
        count = parts_in(found.etag)
        sizes = part_sizes(local.size, count, self._ours) if count else []
        if (
            count is not None
            and (sizes or not count)
            and found.etag.lower() in await self._etags(local, sizes)
        ):
            return SAME
        head = await self._there.head(found.key, checksums=True)
        if head is None:
            return NEW
        for kept in kept_in(head.headers):
            agrees = await self._agrees(local, kept)
            if agrees or not kept.parts:
                return SAME if agrees else DIFFERS
        if count is None or not etag_is_md5(head.headers):
            raise Unproven("the store keeps no checksum of them, and their ETags are no MD5s")
        if count <= 1:  # of one part the size is known
            return DIFFERS
        size = await self._part_size(found, count, 1)
        if not size:
            raise Unproven("they are in parts of a size that the store does not tell")
        if not is_cut_evenly(local.size, count, size):
            raise Unproven(UNEVEN)
        if size not in sizes and found.etag.lower() in await self._etags(local, [size]):
            return SAME
        if count > 2 and await self._part_size(found, count, count) != local.size - size * (count - 1):
            raise Unproven(UNEVEN)
        return DIFFERS

    async def _etags(self, local: Local, sizes: Sequence[int]) -> list[str]:
        """Those that the source would have, in parts of one of these sizes."""
        return [etag_of(*one) for one in await self._digests(local, sizes, MD5)]

    async def _agrees(self, local: Local, kept: Kept) -> bool:
        assert local.size is not None
        sizes = part_sizes(local.size, kept.parts, self._ours) if kept.parts else []
        if kept.parts and not sizes:
            return False
        return kept.value in [checksum_of(*one) for one in await self._digests(local, sizes, kept.algorithm)]

    def _digests(
        self, local: Local, sizes: Sequence[int], algorithm: str
    ) -> Awaitable[list[tuple[bytes, int]]]:
        return self._threads.call(partial(_digests, self._local_bytes.pieces(local), sizes, algorithm))

    async def _part_size(self, found: ListedObject, count: int, number: int) -> int:
        """Of part `number` of `count`, in bytes, as HeadObject tells it; 0 where the store does not."""
        head = await self._there.head(found.key, number)
        size = head.headers.get("content-length", "") if head is not None else ""
        told = head.headers.get(PARTS_COUNT, "") if head is not None else ""
        is_part = told == str(count) or (count > 1 and size not in {"", str(found.size)})
        return int(size) if is_part and size.isascii() and size.isdigit() else 0


def _digests(pieces: Iterator[Buffer], sizes: Sequence[int], algorithm: str) -> list[tuple[bytes, int]]:
    """See `Sums`. Raises `SourceError`."""
    sums = Sums(sizes, partial(running, algorithm))
    for piece in pieces:
        sums.add(piece)
    return sums.digests()


Judge = Callable[[Local, ListedObject], Awaitable[str]]
"""`Prover.reason`, or something like it."""
