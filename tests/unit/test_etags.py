"""Which ETags a file would have, in parts of which sizes; and which checksums prove something."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_upload.bucket.etags import USUAL, Sums, checksum_of, etag_of, part_sizes, parts_in
from s3_upload.bucket.proof import Kept, etag_is_md5, kept_in
from s3_upload.config import GIB, MIB
from s3_upload.s3.checksum import COMPOSITE, FULL_OBJECT, running, whole
from s3_upload.s3.checksum import checksum_of as checksum
from s3_upload.s3.operations import CompletedPart
from s3_upload.s3.proof import etag_of as etag_of_body
from s3_upload.s3.proof import etag_of_parts

MD5 = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("etag", "count"),
    [
        (MD5, 0), (MD5.upper(), 0), (f"{MD5}-1", 1), (f"{MD5}-10000", 10_000), (MD5[1:], None),
        (f"{MD5}-0", None), (f"{MD5}-", None), (f"{MD5}-x", None), ("", None), ("g" * 32, None),
        (f'"{MD5}"', None),
    ],
)  # fmt: skip
def test_what_an_etag_tells_of_parts(etag: str, count: int | None) -> None:
    assert parts_in(etag) == count


@pytest.mark.parametrize(
    ("size", "count", "sizes"),
    [
        (0, 1, [1]),
        (7, 1, [7]),
        (17 * MIB, 3, [8 * MIB, 6 * MIB, 7 * MIB]),
        (101 * MIB, 3, [50 * MIB]),
        (100 * MIB, 20, [5 * MIB]),
        (10_000 * 5 * MIB + 1, 8334, [6 * MIB]),  # what takes more than 10,000 parts of 5 MiB
        (100, 3, []),  # no whole MiB
        (4, 9, []),
    ],
)
def test_few_sizes_are_possible(size: int, count: int, sizes: list[int]) -> None:
    found = part_sizes(size, count)
    assert found[: len(sizes)] == sizes or set(sizes) <= set(found)
    assert all(max(1, -(-size // one)) == count for one in found)


def test_ours_comes_first() -> None:
    assert part_sizes(101 * MIB, 3, 49 * MIB)[0] == 49 * MIB
    assert part_sizes(101 * MIB, 3, 5 * MIB) == part_sizes(101 * MIB, 3)


@given(st.integers(1, 6 * GIB), st.sampled_from(USUAL))
def test_a_usual_size_is_always_tried(size: int, part_size: int) -> None:
    count = -(-size // part_size)
    assert count == 1 or part_size in part_sizes(size, count)


@given(st.binary(max_size=60), st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 25))
def test_etags_and_checksums_of_parts_are_those_of_the_store(
    body: bytes, sizes: list[int], piece: int
) -> None:
    etags, crcs, plain = Sums(sizes), Sums(sizes, partial(running, "CRC32")), Sums()
    for start in range(0, len(body), piece):
        for sums in (etags, crcs, plain):
            sums.add(body[start : start + piece])
    assert [etag_of(*one) for one in plain.digests()] == [etag_of_body(body)]
    for size, digest, crc in zip(sizes, etags.digests(), crcs.digests(), strict=True):
        cut = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        parts = tuple(
            CompletedPart(number, hashlib.md5(part).hexdigest(), checksum("CRC32", part), len(part))
            for number, part in enumerate(cut, start=1)
        )
        assert etag_of(*digest) == etag_of_parts(parts)
        composite = whole("CRC32", COMPOSITE, parts)
        assert composite is not None
        assert checksum_of(*crc) == composite.value


def test_the_checksum_of_the_whole_comes_before_that_of_parts() -> None:
    headers = {
        "x-amz-checksum-sha256": "AAAA-3",
        "x-amz-checksum-crc32": "BBBB==",
        "x-amz-checksum-type": FULL_OBJECT,
        "etag": "x",
    }
    assert kept_in(headers) == [Kept("CRC32", "BBBB==", 0), Kept("SHA256", "AAAA-3", 3)]
    assert kept_in({"x-amz-checksum-crc32": "BBBB==", "x-amz-checksum-type": COMPOSITE}) == []
    assert kept_in({"x-amz-checksum-crc32": "BBBB-x"}) == []


@pytest.mark.parametrize(
    ("headers", "is_md5"),
    [
        ({}, True),
        ({"x-amz-server-side-encryption": "AES256"}, True),
        ({"x-amz-server-side-encryption": "aws:kms"}, False),
        ({"x-amz-server-side-encryption": "aws:kms:dsse"}, False),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, False),
    ],
)
def test_an_encrypted_objects_etag_is_no_md5(headers: dict[str, str], is_md5: bool) -> None:
    assert etag_is_md5(headers) == is_md5
