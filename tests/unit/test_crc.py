"""CRC-32 is zlib's, whoever computes it."""

from __future__ import annotations

import random
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from s3_upload import crc
from s3_upload.crc import LARGE_BYTES, crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = random.Random(1).randbytes(2 * LARGE_BYTES + 13)


@pytest.fixture(params=["as installed", "without zlib-ng"])
def _either_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "without zlib-ng":
        monkeypatch.setitem(sys.modules, "zlib_ng", None)
    crc._fastest.cache_clear()
    yield
    crc._fastest.cache_clear()


@pytest.mark.usefixtures("_either_library")
@pytest.mark.parametrize("size", [0, 1, LARGE_BYTES - 1, LARGE_BYTES, len(BODY)])
def test_it_is_zlibs_whichever_library_computes_it(size: int) -> None:
    body = BODY[:size]
    assert crc32(body) == zlib.crc32(body)
    assert crc32(memoryview(body), 7) == zlib.crc32(body, 7)
    assert crc32(BODY[size:], crc32(body)) == zlib.crc32(BODY)
