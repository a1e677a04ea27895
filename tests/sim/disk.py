"""Files that exist only here, read through the door that the engine has for its threads.

`SimDisk.offload` stands for `Runtime.offload`: it takes virtual time for every call, and answers the
reads of files itself by the rules of `sources.files.Reader` (one version of a file, or an error).
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from s3_upload.errors import FailureKind, SourceError
from s3_upload.sources.files import BigFile, HashedBody, Reader, Sums
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Identity

MIN_CALL_S = 20e-6
PATTERN = memoryview(random.Random(0).randbytes(16 << 20))
"""Bodies are slices of it: objects of the same size differ by where theirs begins."""


@dataclass(frozen=True, slots=True)
class SimFile:
    """`versions`: (from when in the world's time, where in PATTERN, size); the first from the start."""

    versions: tuple[tuple[float, int, int], ...]
    unreadable: bool = False

    def version(self, now_s: float) -> int:
        return max(n for n, (since_s, _, _) in enumerate(self.versions) if since_s <= now_s)

    def body(self, version: int) -> memoryview:
        _, start, size = self.versions[version]
        return PATTERN[start : start + size]


class SimDisk:
    """`call_s`: mean time of a call; `rate`: bytes per second of each read, however many there are;
    `threads`: reads at a time; `now`: the world's time."""

    def __init__(
        self,
        files: dict[str, SimFile],
        *,
        call_s: float,
        rate: float,
        threads: int,
        rng: random.Random,
        now: Callable[[], float],
    ) -> None:
        self._files = files
        self._call_s = call_s
        self._rate = rate
        self._threads = asyncio.Semaphore(threads)
        self._rng = rng
        self._now = now

    async def offload(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """`await offload(function, *arguments)`."""
        read: dict[str, Callable[..., Awaitable[Any]]] = {
            "read_batch": self._read_batch,
            "read_part": self._read_part,
            "read_slice": self._read_slice,
            "sum_piece": self._sum_piece,
        }
        if (reads := read.get(function.__name__)) is not None:
            async with self._threads:
                return await reads(cast("Reader", getattr(function, "__self__", None)), *arguments)
        await self._take(0)
        return function(*arguments)

    async def _take(self, size: int) -> None:
        await asyncio.sleep(MIN_CALL_S + self._rng.expovariate(1 / self._call_s) + size / self._rate)

    async def _read_batch(
        self, reader: Reader, sources: Iterable[ObjectSource], stop_bytes: int
    ) -> list[HashedBody | BigFile | SourceError]:
        results: list[HashedBody | BigFile | SourceError] = []
        total = 0
        for source in sources:
            try:
                result = await self._read_as_it_is(reader, source)
            except SourceError as error:
                results.append(error)
                continue
            results.append(result)
            if isinstance(result, HashedBody):
                total += len(result.body)
                if total >= stop_bytes:
                    break
        return results

    async def _read_as_it_is(self, reader: Reader, source: ObjectSource) -> HashedBody | BigFile:
        """As `Reader`: what has changed while it was read is read again, once."""
        try:
            return await self._read(reader, source)
        except SourceError as error:
            if error.kind is not FailureKind.SOURCE_CHANGED:
                raise
            return await self._read(reader, source)

    async def _read(self, reader: Reader, source: ObjectSource) -> HashedBody | BigFile:
        if source.body is not None:
            await self._take(0)
            return reader.hashed(source.body)
        file, version = self._open(source.path)
        body = file.body(version)
        if len(body) > reader.single_limit_bytes:
            await self._take(0)
            return BigFile(_identity(len(body), version))
        await self._take(len(body))
        if file.version(self._now()) != version:
            raise _changed(source.path)
        return reader.hashed(bytes(body))

    async def _read_part(
        self, reader: Reader, path: str, offset: int, size: int, identity: Identity
    ) -> HashedBody:
        return reader.hashed(await self._read_version(path, offset, size, identity))

    async def _read_slice(
        self, _: Reader, path: str, offset: int, size: int, identity: Identity, crc: int
    ) -> tuple[bytes, int]:
        piece = await self._read_version(path, offset, size, identity)
        return piece, zlib.crc32(piece, crc)

    async def _sum_piece(
        self, _: Reader, path: str, offset: int, size: int, identity: Identity, sums: Sums
    ) -> None:
        sums.add(await self._read_version(path, offset, size, identity))

    async def _read_version(self, path: str, offset: int, size: int, identity: Identity) -> bytes:
        file, version = self._open(path)
        body = file.body(version)
        if _identity(len(body), version) != identity:
            raise _changed(path)
        await self._take(size)
        if file.version(self._now()) != version:
            raise _changed(path)
        return bytes(body[offset : offset + size])

    def _open(self, path: str) -> tuple[SimFile, int]:
        file = self._files.get(path)
        if file is None or file.unreadable:
            raise SourceError(f"{path}: {'Permission denied' if file else 'No such file or directory'}")
        return file, file.version(self._now())


def _identity(size: int, version: int) -> Identity:
    return Identity(size, version, version)


def _changed(path: str) -> SourceError:
    return SourceError(f"{path}: source changed while it was read", FailureKind.SOURCE_CHANGED)
