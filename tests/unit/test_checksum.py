"""Checksums: known values, the CRC of pieces, and what an answer says of what was sent."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import random
import sys
import zlib
from itertools import pairwise
from typing import Any

import awscrt.checksums
import botocore.session
import pytest

from s3_upload.errors import ConfigError, FailureKind
from s3_upload.http import Response
from s3_upload.s3 import checksum as checksum_module
from s3_upload.s3.checksum import (
    ALGORITHMS,
    COMPOSITE,
    FULL_OBJECT,
    Crc,
    agreed_type,
    announced,
    check_algorithm,
    checksum_from,
    checksum_of,
    header_of,
    running,
    verify,
    whole,
)
from s3_upload.s3.operations import (
    COMPLETE_MULTIPART_UPLOAD,
    PUT_OBJECT,
    UPLOAD_PART,
    Checksum,
    CompletedPart,
    Operation,
)

# Of "123456789": the check values of the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/).
CHECK_VALUES = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}
XXHASHES = {
    "XXHASH64": "8cb841db40e6ae83",
    "XXHASH3": "72dcb18b67a17dff",
    "XXHASH128": "33119477ede5dcd5e9716427681d5860",
}
"""Of the same, by the reference implementation (the package xxhash), with the seed 0."""
CRT: dict[str, Any] = {
    "CRC32": (checksum_module._TABLE["CRC32"].crc, zlib.crc32, awscrt.checksums.combine_crc32),
    "CRC32C": (
        checksum_module._TABLE["CRC32C"].crc, awscrt.checksums.crc32c, awscrt.checksums.combine_crc32c
    ),
    "CRC64NVME": (
        checksum_module._TABLE["CRC64NVME"].crc,
        awscrt.checksums.crc64nvme,
        awscrt.checksums.combine_crc64nvme,
    ),
}  # fmt: skip


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_known_values(algorithm: str) -> None:
    if algorithm in CHECK_VALUES:
        digest = CHECK_VALUES[algorithm].to_bytes(8 if "64" in algorithm else 4, "big")
    elif algorithm in XXHASHES:
        digest = bytes.fromhex(XXHASHES[algorithm])
    else:
        digest = hashlib.new(algorithm, b"123456789").digest()
    expected = Checksum(algorithm, base64.b64encode(digest).decode())
    assert checksum_of(algorithm, b"123456789") == expected
    assert checksum_of(algorithm, memoryview(b"123456789")) == expected
    summed = running(algorithm)
    for piece in (b"1234", b"", memoryview(b"56789")):
        summed.update(piece)
    assert checksum_from(algorithm, summed) == checksum_from(algorithm, summed) == expected
    assert check_algorithm(algorithm) == algorithm


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "MD5"])
def test_a_python_that_keeps_to_fips_is_told_that_a_checksum_is_no_security(
    algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece and in many."""
    for name in ("md5", "sha1"):
        monkeypatch.setattr(hashlib, name, of_fips(getattr(hashlib, name)))
    spec = importlib.util.find_spec("s3_upload.s3.checksum")
    assert spec is not None
    assert spec.loader is not None
    there = importlib.util.module_from_spec(spec)  # what it takes from hashlib when it is loaded, too
    spec.loader.exec_module(there)
    summed = there.running(algorithm)
    summed.update(b"123456789")
    expected = checksum_of(algorithm, b"123456789")
    assert there.checksum_from(algorithm, summed) == there.checksum_of(algorithm, b"123456789") == expected


def of_fips(new: Any) -> Any:
    def begun(*data: Any, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("unsupported hash type")
        return new(*data, usedforsecurity=False)

    return begun


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_have_the_names_that_the_api_has(algorithm: str) -> None:
    model = botocore.session.Session().get_service_model("s3")
    known = model.shape_for("ChecksumAlgorithm").enum
    if algorithm not in known and "SHA512" not in known:
        pytest.skip("this botocore is older than the algorithm")
    assert algorithm in known
    members = model.operation_model("PutObject").input_shape.members
    assert members[f"Checksum{algorithm}"].serialization["name"] == header_of(algorithm)


@pytest.mark.parametrize("algorithm", CRT)
def test_the_crc_of_two_pieces_follows_from_theirs(algorithm: str) -> None:
    crc, compute, combine = CRT[algorithm]
    rng = random.Random(algorithm)
    for _ in range(200):
        data = rng.randbytes(rng.choice((0, 1, 2, 7, 100, 4096, 70_001)))
        cut = rng.randint(0, len(data))
        first, second = compute(data[:cut]), compute(data[cut:])
        combined = crc.combine(first, second, len(data) - cut)
        assert combined == compute(data)
        assert combined == combine(first, second, len(data) - cut)


@pytest.mark.parametrize("algorithm", CRT)
def test_pieces_may_be_longer_than_any_memory(algorithm: str) -> None:
    crc, _, combine = CRT[algorithm]
    rng = random.Random(algorithm)
    for exponent in range(0, 43, 3):
        first, second = rng.getrandbits(crc.bits), rng.getrandbits(crc.bits)
        assert crc.combine(first, second, (1 << exponent) + 3) == combine(first, second, (1 << exponent) + 3)


def test_a_piece_of_nothing_changes_nothing() -> None:
    crc = Crc(0xEDB88320, 32)
    assert crc.combine(0, 0xDEADBEEF, 5) == 0xDEADBEEF
    assert crc.combine(0xDEADBEEF, 0, 0) == 0xDEADBEEF


def test_what_is_kept_of_the_sizes_of_parts_is_bounded() -> None:
    """Streams without end have last parts of all sizes."""
    crc = CRT["CRC32"][0]
    for size in range(1_000):
        crc.combine(1, 2, size)
    assert checksum_module._power.cache_info().currsize <= 64


# --- objects in parts -------------------------------------------------------------------------------


def parts_of(data: bytes, algorithm: str, rng: random.Random) -> list[CompletedPart]:
    cuts = sorted({0, len(data), *(rng.randint(0, len(data)) for _ in range(rng.randint(0, 6)))})
    pieces = [data[start:end] for start, end in pairwise(cuts)]
    return [
        CompletedPart(number, "etag", checksum_of(algorithm, piece), len(piece))
        for number, piece in enumerate(pieces, 1)
    ]


@pytest.mark.parametrize("algorithm", CRT)
def test_the_whole_object_as_if_there_were_no_parts(algorithm: str) -> None:
    rng = random.Random(7)
    for _ in range(50):
        data = rng.randbytes(rng.randint(1, 50_000))
        found = whole(algorithm, FULL_OBJECT, parts_of(data, algorithm, rng))
        assert found == Checksum(algorithm, checksum_of(algorithm, data).value, FULL_OBJECT)


def test_the_checksum_of_checksums() -> None:
    parts = parts_of(b"a" * 100, "SHA256", random.Random(1))
    digests = b"".join(base64.b64decode(part.checksum.value) for part in parts if part.checksum)
    expected = f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-{len(parts)}"
    assert whole("SHA256", COMPOSITE, parts) == Checksum("SHA256", expected, COMPOSITE)


def test_without_the_checksum_of_a_part_there_is_none() -> None:
    parts = [CompletedPart(1, "e", checksum_of("CRC32", b"a"), 1), CompletedPart(2, "e", None, 1)]
    assert whole("CRC32", FULL_OBJECT, parts) is None
    assert whole("CRC32", COMPOSITE, parts) is None


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", FULL_OBJECT), ("CRC32C", FULL_OBJECT), ("CRC64NVME", FULL_OBJECT),
     ("SHA256", COMPOSITE), ("SHA1", COMPOSITE), ("SHA512", COMPOSITE), ("XXHASH3", COMPOSITE)],
)  # fmt: skip
def test_what_is_announced(algorithm: str, kind: str) -> None:
    assert announced(algorithm) == Checksum(algorithm, "", kind)


@pytest.mark.parametrize(
    ("algorithm", "headers", "kind"),
    [
        ("CRC32", {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}, FULL_OBJECT),
        ("CRC32", {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"}, COMPOSITE),
        ("CRC32", {"x-amz-checksum-algorithm": "CRC32"}, COMPOSITE),
        ("CRC32", {"x-amz-checksum-algorithm": "crc32", "x-amz-checksum-type": "Composite"}, COMPOSITE),
        ("CRC32", {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "FULL_OBJECT"}, ""),
        ("CRC64NVME", {"x-amz-checksum-algorithm": "CRC64NVME"}, ""),
        ("SHA256", {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"}, ""),
        ("CRC32", {}, ""),
        ("", {}, ""),
    ],
)
def test_what_the_store_agrees_to(algorithm: str, headers: dict[str, str], kind: str) -> None:
    assert agreed_type(algorithm, Response(200, headers)) == kind


# --- what an answer proves ----------------------------------------------------------------------------


def sent(name: str, checksum: Checksum | None) -> Operation:
    return Operation(name=name, bucket="b", key="k", checksum=checksum)


@pytest.mark.parametrize("name", [PUT_OBJECT, UPLOAD_PART])
def test_an_answer_with_another_checksum_is_no_success(name: str) -> None:
    operation = sent(name, Checksum("CRC32", "AAAAAA=="))
    assert verify(operation, Response(200, {"x-amz-checksum-crc32": "AAAAAA=="})) is None
    assert verify(operation, Response(200, {"x-amz-checksum-sha256": "other"})) is None
    assert verify(operation, Response(200, {})) is None
    failure = verify(operation, Response(200, {"x-amz-checksum-crc32": "AAAAAB=="}))
    assert failure is not None
    assert (failure.kind, failure.status) == (FailureKind.DIGEST, 200)
    assert failure.message == "its CRC32 is 'AAAAAB==', that of what was sent 'AAAAAA=='"


def completed(value: str) -> Response:
    return Response(200, {}, f"<R><ETag>e</ETag><ChecksumCRC32>{value}</ChecksumCRC32></R>".encode())


def test_so_is_an_object_in_parts_with_another() -> None:
    full = sent(COMPLETE_MULTIPART_UPLOAD, Checksum("CRC32", "AAAAAA==", FULL_OBJECT))
    composite = sent(COMPLETE_MULTIPART_UPLOAD, Checksum("CRC32", "AAAAAA==-3", COMPOSITE))
    assert verify(full, completed("AAAAAA==")) is None
    assert verify(composite, completed("AAAAAA==-3")) is None
    for operation, value in ((full, "AAAAAB=="), (composite, "AAAAAA==-2")):
        failure = verify(operation, completed(value))
        assert failure is not None
        assert failure.kind is FailureKind.DIGEST
    assert verify(full, completed("AAAAAB==-3")) is None, "of the other type: it proves nothing"
    assert verify(sent(COMPLETE_MULTIPART_UPLOAD, None), completed("AAAAAB==")) is None


def test_a_hostile_checksum_becomes_bounded_printable_text() -> None:
    operation = sent(PUT_OBJECT, Checksum("CRC32", "AAAAAA=="))
    failure = verify(operation, Response(200, {"x-amz-checksum-crc32": "\x1b[31m\n" * 1000}))
    assert failure is not None
    assert failure.message.isprintable()
    assert len(failure.message) < 500


# --- awscrt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME"])
def test_without_awscrt_the_extra_is_named(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awscrt", None)
    with pytest.raises(ConfigError, match=r"needs awscrt: pip install -U awscrt$"):
        check_algorithm(algorithm)
    assert check_algorithm("CRC32") == "CRC32"


@pytest.mark.parametrize("algorithm", ["", "crc32", "MD5", "CRC16"])
def test_an_unknown_algorithm_is_named_with_those_there_are(algorithm: str) -> None:
    with pytest.raises(ConfigError, match="must be one of CRC32, CRC32C, CRC64NVME, SHA1, SHA256"):
        check_algorithm(algorithm)
