"""Proofs beside two streams that are joined."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, cast

import pytest

from s3_upload.bucket.compare import Local
from s3_upload.bucket.comparison import Comparison
from s3_upload.bucket.fanning import Span
from s3_upload.bucket.looking import Looked
from s3_upload.errors import FailureKind, RunError
from s3_upload.s3.operations.list_objects_v2 import ListedObject, ListedPage
from s3_upload.sources.source import ObjectSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from s3_upload.bucket.listing import Lister

KEYS = [f"k{number}" for number in range(10)]


class Listed:
    """A bucket that has them all."""

    async def pages(self, *_: str) -> AsyncGenerator[ListedPage, None]:
        yield ListedPage([ListedObject(key, 1) for key in KEYS], [], "")


async def looked() -> AsyncGenerator[Looked, None]:
    yield Looked([Local(key, 1, 0, ObjectSource.file(key, key)) for key in KEYS], [])


def test_what_ends_several_proofs_at_a_time_is_one_error_and_no_traceback() -> None:
    """Credentials that cannot be renewed, say."""
    problems: list[dict[str, Any]] = []

    async def judge(local: Local, found: ListedObject) -> str:
        await asyncio.sleep(0)
        raise RunError("no credentials", FailureKind.CREDENTIALS)

    async def compare() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        comparison = Comparison(looked(), cast("Lister", Listed()), Span(""), "checksum", judge)
        with pytest.raises(RunError, match="no credentials"):
            async for _ in comparison.run():
                pass
        del comparison
        gc.collect()

    asyncio.run(compare())
    assert problems == []
