"""The bytes of big objects: made when they are asked for, once in a process, however many tests do."""

from __future__ import annotations

import random
from functools import cache

from s3_upload.config import MIB

LONG_BYTES = 60 * MIB + 1


@cache
def noise(size: int) -> bytes:
    """Like no other of its length, and the same in all runs."""
    return random.Random(size).randbytes(size)


def long_noise() -> bytes:
    """Of LONG_BYTES."""
    return noise(LONG_BYTES)
