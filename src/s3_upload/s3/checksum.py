"""Checksums S3 can verify, computed from the very buffer that is sent. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable

from s3_upload.http import Body
from s3_upload.s3.operations import Checksum


def _crc32(body: Body) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")


def _sha256(body: Body) -> bytes:
    return hashlib.sha256(body).digest()


ALGORITHMS: dict[str, Callable[[Body], bytes]] = {"CRC32": _crc32, "SHA256": _sha256}


def checksum_of(algorithm: str, body: Body) -> Checksum:
    """The checksum of `body` by `algorithm`, one of `ALGORITHMS`."""
    return Checksum(algorithm, base64.b64encode(ALGORITHMS[algorithm](body)).decode())
