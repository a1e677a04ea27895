"""Parts of files that are read twice: what is sent is what was hashed, or nobody takes it for whole."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from s3_upload.errors import FailureKind, SourceError
from s3_upload.s3.checksum import ALGORITHMS, Digests, checksum_of
from s3_upload.sources.files import BigFile, HashedBody, Reader
from s3_upload.sources.source import ObjectSource
from s3_upload.sources.version import Identity, Versions
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.sliced import PIECE_BYTES, SLICE_BYTES, FilePart, Offload, PartRoom

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
OFFSET, SIZE = 12_345, PIECE_BYTES + 2 * SLICE_BYTES + 77
DATA = random.Random(2).randbytes(OFFSET + SIZE + 1_000)
PART = DATA[OFFSET : OFFSET + SIZE]


def reader(algorithm: str = "CRC32", *, needs_sha256: bool = True) -> Reader:
    return Reader(
        single_limit_bytes=1,
        digests=Digests(needs_sha256, algorithm),
        clock=lambda: 0.0,
        versions=Versions(),
        pause=lambda _: None,
    )


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def identity_of(path: Path, by: Reader) -> Identity:
    [found] = by.read_batch([ObjectSource.file(path, "k")], 1)
    assert isinstance(found, BigFile)
    return found.identity


def part_of(path: Path, by: Reader, offload: Offload = at_once) -> FilePart:
    return FilePart(by, offload, str(path), identity_of(path, by), offset=OFFSET, size=SIZE)


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60.0):
            return await main()

    return asyncio.run(bounded())


async def send(part: FilePart) -> list[bytes]:
    """The slices of one sending."""
    taken: list[bytes] = []
    await send_into(taken, part)
    assert all(len(piece) == SLICE_BYTES for piece in taken[:-1])
    return taken


async def send_into(taken: list[bytes], part: FilePart) -> None:
    there = asyncio.Event()
    slices = part.slices(there.set)
    try:
        while sum(len(piece) for piece in taken) < len(part):
            if (piece := slices.take()) is None:
                await there.wait()
                there.clear()
            else:
                taken.append(piece)
    finally:
        slices.close()


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, ""])
@pytest.mark.parametrize("needs_sha256", [True, False])
def test_its_checksums_are_those_of_the_whole(path: Path, algorithm: str, needs_sha256: bool) -> None:
    async def main() -> HashedBody:
        return await part_of(path, reader(algorithm, needs_sha256=needs_sha256)).hashed()

    hashed = run(main)
    assert hashed.checksum == (checksum_of(algorithm, PART) if algorithm else None)
    assert hashed.sha256 == (hashlib.sha256(PART).hexdigest() if needs_sha256 else "")
    assert len(hashed.body) == SIZE


def test_every_sending_begins_anew(path: Path) -> None:
    async def main() -> list[bytes]:
        part = part_of(path, reader())
        await part.hashed()
        return [b"".join(await send(part)) for _ in range(2)]

    assert run(main) == [PART, PART]


def test_what_is_not_what_was_hashed_is_never_sent_to_its_end(path: Path) -> None:
    """Though size, time and all that tells one version from another are those of before."""

    async def altering(function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        if function.__name__ == "read_slice" and arguments[1] == OFFSET:
            piece = bytes([result[0][0] ^ 1]) + result[0][1:]
            return piece, zlib.crc32(piece)
        return result

    async def main() -> None:
        part = part_of(path, reader(), altering)
        await part.hashed()
        await send_into(taken, part)

    taken: list[bytes] = []
    with pytest.raises(SourceError) as caught:
        run(main)
    assert caught.value.kind is FailureKind.SOURCE_CHANGED
    assert sum(len(piece) for piece in taken) == SIZE - SIZE % SLICE_BYTES


@pytest.mark.parametrize("how", ["rewritten", "shorter", "gone"])
def test_another_version_of_the_file_is_not_sent(path: Path, how: str) -> None:
    def change() -> None:
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(bytes(len(DATA) - (how == "shorter")))
            os.utime(path, ns=(1, 1))

    async def main() -> None:
        part = part_of(path, reader())
        await part.hashed()
        change()
        await send(part)

    with pytest.raises(SourceError) as caught:
        run(main)
    assert caught.value.kind is (FailureKind.SOURCE if how == "gone" else FailureKind.SOURCE_CHANGED)
    assert str(path) in str(caught.value)


def test_no_more_is_read_than_one_slice_ahead(path: Path) -> None:
    reads: list[str] = []

    async def counting(function: Callable[..., Any], *arguments: Any) -> Any:
        reads.append(function.__name__)
        return function(*arguments)

    async def main() -> None:
        part = part_of(path, reader(""), counting)
        slices = part.slices(lambda: None)
        for taken in range(1, 4):
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(reads) == taken
            assert slices.take() is not None
            assert slices.take() is None
        slices.close()

    run(main)


def test_a_sending_that_ends_early_leaves_nothing(path: Path) -> None:
    async def main() -> None:
        called: list[None] = []
        slices = part_of(path, reader()).slices(lambda: called.append(None))
        slices.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert called == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_a_part_is_hashed_in_pieces_so_that_it_keeps_no_thread_for_long(path: Path) -> None:
    sizes: list[int] = []

    async def counting(function: Callable[..., Any], *arguments: Any) -> Any:
        sizes.append(arguments[2])
        return function(*arguments)

    async def main() -> None:
        await part_of(path, reader(), counting).hashed()

    run(main)
    assert sizes == [PIECE_BYTES, SIZE - PIECE_BYTES]


def test_it_can_be_read_at_any_place(path: Path) -> None:
    part = part_of(path, reader())
    assert part.read_at(5, 10) == PART[5:15]
    assert part.read_at(SIZE - 3, 10) == PART[-3:]
    assert part.read_at(SIZE, 10) == part.read_at(SIZE + 5, 10) == b""


def test_its_md5_is_to_be_had(path: Path) -> None:
    async def main() -> str:
        return await part_of(path, reader()).md5_base64()

    assert base64.b64decode(run(main)) == hashlib.md5(PART).digest()


# --- which parts are held as a whole -------------------------------------------------------------------

MIB = 1 << 20
HELD = FilePart.held_bytes


def rooms(part_mib: int, memory_mib: int, *, may_hash: bool = True) -> list[int]:
    """What one part after the other holds, in MiB, until there is no room for the next."""
    memory = Memory(memory_mib * MIB)
    room, found = PartRoom(memory_mib * MIB), []
    while size := room.of(part_mib * MIB, memory, may_hash=may_hash):
        memory.hold(size)
        found.append(size // MIB)
    return found


def test_parts_of_which_many_fit_are_all_held_as_a_whole() -> None:
    assert rooms(5, 200) == [5] * 40


def test_larger_parts_are_held_while_they_fit_and_the_others_go_in_slices() -> None:
    assert rooms(16, 200) == [16] * 9 + [2] * 28
    assert sum(rooms(16, 200)) == 200


@pytest.mark.parametrize("part_mib", [26, 105, 5 * 1024])
def test_parts_too_large_for_the_memory_all_go_in_slices(part_mib: int) -> None:
    assert rooms(part_mib, 200) == [2] * 100


def test_no_more_are_hashed_than_are_soon_sent() -> None:
    assert rooms(105, 200, may_hash=False) == []
    assert rooms(16, 200, may_hash=False) == [16] * 9
