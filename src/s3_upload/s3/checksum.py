"""Checksums that S3 verifies, keeps and gives back, computed from the very buffer that is sent. Pure.

Theory of operation
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html):

1. A whole object and a part go with the checksum of their bytes in a header.  The store compares it
   with what it received, keeps it, and repeats it in its answer, where `verify` compares it again.
2. What a store keeps of an object in parts is of one of two *types*.  FULL_OBJECT is the checksum of
   all bytes, as if there were no parts: only a CRC has it, since the CRC of two pieces follows from
   theirs and their lengths (`Crc.combine`).  COMPOSITE is the checksum of the parts' checksums, "-" and
   their number.  `whole` computes either.
3. Which type it is, the answer to CreateMultipartUpload says; one that says nothing keeps none.

CRC32 and the SHAs come with Python; CRC32C, CRC64NVME and the XXHASHes with awscrt (the extra `crt`), which
is imported when one of them is asked for.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

import msgspec

from s3_upload.crc import crc32
from s3_upload.errors import ConfigError, FailureKind
from s3_upload.http import Buffer, Response
from s3_upload.s3.operations import COMPLETE_MULTIPART_UPLOAD, Checksum, CompletedPart, Operation
from s3_upload.s3.operations.complete_multipart_upload import completed_checksum
from s3_upload.s3.responses import Failure

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"
MD5 = "MD5"
COPIED_BYTES = 1 << 20
"""At a time, for a library that takes no other buffers."""
OFF_LOOP_BYTES = 1 << 20
"""The MD5 of less takes a millisecond or two; of so much the event loop does not compute it."""


class Digests(NamedTuple):
    """What is computed of a body before it is sent: `algorithm` is a name of `ALGORITHMS`, or "" for none.
    Readers do that off the loop."""

    sha256: bool = False
    algorithm: str = ""


class Crc(NamedTuple):
    """A cyclic redundancy check whose register begins and ends inverted, with reflected bits.

    `polynomial`: its coefficients without the highest, that of x^(bits - 1) in the lowest bit.
    """

    polynomial: int
    bits: int

    def combine(self, first: int, second: int, second_bytes: int) -> int:
        """The CRC of two pieces one after the other, from theirs and the length of the second.

        As zlib's crc32_combine: the first is multiplied by x^(8 * second_bytes) modulo the polynomial.
        """
        return self._multiply(_power(self, second_bytes), first) ^ second

    def _multiply(self, a: int, b: int) -> int:
        """The product of two polynomials modulo this one."""
        product, mask = 0, 1 << (self.bits - 1)
        while a:
            if a & mask:
                product ^= b
                a ^= mask
            mask >>= 1
            b = (b >> 1) ^ self.polynomial if b & 1 else b >> 1
        return product


@lru_cache(maxsize=64)
def _power(crc: Crc, count: int) -> int:
    """x^(8 * count) modulo the polynomial, by repeated squaring; parts have few different sizes."""
    result, square = 1 << (crc.bits - 1), 1 << (crc.bits - 9)  # x^0 and x^8
    while count:
        if count & 1:
            result = crc._multiply(result, square)
        square = crc._multiply(square, square)
        count >>= 1
    return result


class Running(Protocol):
    """A checksum of what comes in pieces; those of `hashlib` are some."""

    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


class _RunningCrc(msgspec.Struct, eq=False, gc=False):
    """`step`: the CRC of a piece, from that of what came before it. Each small body has one, so it is
    a struct: other classes take longer to make."""

    value: int
    size: int = 4
    step: Callable[[Buffer, int], int] = crc32

    def update(self, data: Buffer, /) -> None:
        self.value = self.step(data, self.value)

    def digest(self) -> bytes:
        return self.value.to_bytes(self.size, "big")


def _crc32(body: Buffer) -> Running:
    return _RunningCrc(crc32(body))


def _crc_of_crt(name: str, size: int, body: Buffer) -> Running:
    from awscrt import checksums

    step = getattr(checksums, name)
    return _RunningCrc(step(body), size, step)


class _RunningXxHash:
    """`name`: what awscrt calls the hash, which takes `bytes` alone and tells its digest once."""

    def __init__(self, name: str, body: Buffer) -> None:
        from awscrt.checksums import XXHash

        self._hash = getattr(XXHash, f"new_{name}")()
        self._digest = b""
        self.update(body)

    def update(self, data: Buffer, /) -> None:
        view = memoryview(data)
        for start in range(0, len(view), COPIED_BYTES):  # not all of a big part twice in memory
            self._hash.update(bytes(view[start : start + COPIED_BYTES]))

    def digest(self) -> bytes:
        self._digest = self._digest or self._hash.finalize()
        return self._digest


class _Algorithm(NamedTuple):
    """`begin`: its checksum of a body, to which more may come."""

    begin: Callable[[Buffer], Running]
    crc: Crc | None = None
    types: tuple[str, ...] = (COMPOSITE,)
    needs_crt: bool = False


_BOTH = (FULL_OBJECT, COMPOSITE)
_crc32c, _crc64nvme = partial(_crc_of_crt, "crc32c", 4), partial(_crc_of_crt, "crc64nvme", 8)
_TABLE = {
    "CRC32": _Algorithm(_crc32, Crc(0xEDB88320, 32), _BOTH),
    "CRC32C": _Algorithm(_crc32c, Crc(0x82F63B78, 32), _BOTH, needs_crt=True),
    "CRC64NVME": _Algorithm(_crc64nvme, Crc(0x9A6C9329AC4BC9B5, 64), (FULL_OBJECT,), needs_crt=True),
    # A Python that keeps to FIPS refuses this and MD5 unless it hears that no security depends on them.
    "SHA1": _Algorithm(lambda body: hashlib.sha1(body, usedforsecurity=False)),
    "SHA256": _Algorithm(hashlib.sha256),
    "SHA512": _Algorithm(hashlib.sha512),
    "XXHASH64": _Algorithm(partial(_RunningXxHash, "xxhash64"), needs_crt=True),
    "XXHASH3": _Algorithm(partial(_RunningXxHash, "xxhash3_64"), needs_crt=True),
    "XXHASH128": _Algorithm(partial(_RunningXxHash, "xxhash3_128"), needs_crt=True),
    # For requests alone: S3 keeps none.
    MD5: _Algorithm(lambda body: hashlib.md5(body, usedforsecurity=False)),
}
_HEADERS = {name: f"x-amz-checksum-{name.lower()}" for name in _TABLE} | {MD5: "content-md5"}
ALGORITHMS = tuple(name for name in _TABLE if name != MD5)
"""What may be asked for."""
DEFAULT_ALGORITHM = "CRC32"


def check_algorithm(name: str) -> str:
    """`name`, if it can be used here. Raises `ConfigError`."""
    if name not in ALGORITHMS:
        raise ConfigError(f"checksum_algorithm = {name!r}: must be one of {', '.join(ALGORITHMS)}")
    if _TABLE[name].needs_crt:
        try:
            checksum_of(name, b"")
        except (ImportError, AttributeError):  # none, or one that is too old
            raise ConfigError(f"checksum_algorithm = {name!r}: needs awscrt: pip install -U awscrt") from None
    return name


def checksum_of(algorithm: str, body: Buffer) -> Checksum:
    """The checksum of `body` by `algorithm`, one of `ALGORITHMS` that `check_algorithm` has passed."""
    # `checksum_from` in place: for a small body a call tells.
    return Checksum(algorithm, b2a_base64(_TABLE[algorithm].begin(body).digest(), newline=False).decode())


def running(algorithm: str) -> Running:
    """A checksum by `algorithm` of what is to come."""
    return _TABLE[algorithm].begin(b"")


def checksum_from(algorithm: str, summed: Running) -> Checksum:
    """The checksum of what came, as S3 writes it."""
    return Checksum(algorithm, b2a_base64(summed.digest(), newline=False).decode())


def header_of(algorithm: str) -> str:
    """The header that carries a checksum by `algorithm`."""
    return _HEADERS[algorithm]


def announced(algorithm: str) -> Checksum:
    """What CreateMultipartUpload says of the checksums to come: of two types, the one that tells more."""
    return Checksum(algorithm, type=_TABLE[algorithm].types[0])


def agreed_type(algorithm: str, created: Response) -> str:
    """Which type of checksum the store keeps, by its answer to CreateMultipartUpload; "" for none."""
    if not algorithm or created.headers.get("x-amz-checksum-algorithm", "").upper() != algorithm:
        return ""
    kind = created.headers.get("x-amz-checksum-type", COMPOSITE).upper()
    return kind if kind in _TABLE[algorithm].types else ""


def whole(algorithm: str, kind: str, parts: Sequence[CompletedPart]) -> Checksum | None:
    """The checksum of an object in `parts`, in their order; None if one of them has none."""
    values = [a2b_base64(part.checksum.value) for part in parts if part.checksum is not None]
    if len(values) != len(parts):
        return None
    crc = _TABLE[algorithm].crc
    if kind == COMPOSITE or crc is None:
        value = checksum_of(algorithm, b"".join(values)).value
        return Checksum(algorithm, f"{value}-{len(parts)}", COMPOSITE)
    combined = 0  # the CRC of nothing
    for part, digest in zip(parts, values, strict=True):
        combined = crc.combine(combined, int.from_bytes(digest, "big"), part.size)
    digest = combined.to_bytes(crc.bits // 8, "big")
    return Checksum(algorithm, b2a_base64(digest, newline=False).decode(), FULL_OBJECT)


def verify(operation: Operation, response: Response) -> Failure | None:
    """The failure of a success whose answer names another checksum than that of what was sent.

    An answer without one proves nothing, nor does one of the other type.
    """
    sent = operation.checksum
    if sent is None or not sent.value:
        return None
    if operation.name == COMPLETE_MULTIPART_UPLOAD:
        found = completed_checksum(response, sent.algorithm)
    else:
        found = response.headers.get(_HEADERS[sent.algorithm], "")
    if not found or found == sent.value or ("-" in found) != ("-" in sent.value):
        return None
    return Failure(
        kind=FailureKind.DIGEST,
        status=response.status,
        message=f"its {sent.algorithm} is {found[:100]!r}, that of what was sent {sent.value!r}",
    )
