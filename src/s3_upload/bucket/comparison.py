"""Compares sources with a bucket: two streams joined, and what they do not decide is proven beside them.

```
sources ──► Looking ──┐
                      ├──► Joined ──► by size, by time ──► decisions
bucket ──► Lister ────┘                      └──► Prover ──┘
```

Both sides are read one batch ahead, so memory does not grow with their number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from s3_upload.bucket.compare import (
    CANNOT_BE_READ,
    CompareBy,
    Decision,
    Joined,
    Local,
    Pair,
    by_size,
    by_time,
)
from s3_upload.bucket.fanning import Span, fanned
from s3_upload.bucket.listing import Lister
from s3_upload.bucket.looking import Looked
from s3_upload.bucket.proof import Judge, Unproven
from s3_upload.errors import SourceError
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.source import ObjectSource

MAX_PROOFS = 64
"""Objects whose checksums are being compared at a time."""


class Compared(NamedTuple):
    """What has been found out of some: `decisions`; sources put `aside`, which only an upload can tell about;
    objects that no source has."""

    decisions: list[Decision]
    aside: list[ObjectSource]
    only_there: list[ListedObject]


class Comparison:
    """Compares `batches` with what `lister` has in `span`.

    `judge` proves what size and time do not decide.  `whole`: objects behind the last source count too.
    """

    def __init__(
        self,
        batches: AsyncGenerator[Looked, None],
        lister: Lister,
        span: Span,
        by: CompareBy,
        judge: Judge,
        *,
        whole: bool = False,
    ) -> None:
        self._batches = batches
        self._lister = lister
        self._span = span
        self._by = by
        self._judge = judge
        self._whole = whole
        self._proofs: set[asyncio.Task[Decision]] = set()

    async def run(self) -> AsyncGenerator[Compared, None]:
        """All of it, as it is found out. Raises what a listing and sources raise."""
        pages = fanned(self._lister, self._span)
        joined = Joined()
        try:
            while not (joined.ended or (joined.local_ended and not self._whole)):
                aside: list[ObjectSource] = []
                if joined.wants_local:
                    batch = await anext(self._batches, None)
                    joined.more_local(None if batch is None else batch.locals)
                    aside = [] if batch is None else batch.aside
                if joined.wants_found:
                    page = await anext(pages, None)
                    joined.more_found(page)
                compared = Compared([], aside, [])
                for pair in joined.pairs():
                    if (decision := self._decided(pair, compared)) is not None:
                        compared.decisions.append(decision)
                    elif pair.local is not None and pair.found is not None:
                        await self._begin_proof(pair.local, pair.found, compared)
                compared.decisions.extend(self._proven())
                yield compared
            while self._proofs:
                yield Compared(await self._some_proofs(), [], [])
        finally:
            for task in self._proofs:
                task.cancel()
            await asyncio.gather(*self._proofs, return_exceptions=True)
            await pages.aclose()
            await self._batches.aclose()

    def _decided(self, pair: Pair, compared: Compared) -> Decision | None:
        """What becomes of a pair as far as size and time tell; None where they do not."""
        local, found = pair
        if local is None:
            assert found is not None
            compared.only_there.append(found)
            return None
        reason = by_size(local, found)
        if found is None or reason or self._by == "size":
            return Decision(local, found, reason)
        if self._by == "time" and local.mtime_ns is not None:
            return Decision(local, found, by_time(local, found))
        return None

    async def _begin_proof(self, local: Local, found: ListedObject, compared: Compared) -> None:
        if len(self._proofs) >= MAX_PROOFS:
            compared.decisions.extend(await self._some_proofs())
        self._proofs.add(asyncio.ensure_future(self._prove(local, found)))

    async def _some_proofs(self) -> list[Decision]:
        """At least one."""
        await asyncio.wait(self._proofs, return_when=asyncio.FIRST_COMPLETED)
        return self._proven()

    def _proven(self) -> list[Decision]:
        done = {task for task in self._proofs if task.done()}
        # Before one of them leaves it, so that the others are asked for their errors, too.
        decisions = [task.result() for task in done]
        self._proofs -= done
        return decisions

    async def _prove(self, local: Local, found: ListedObject) -> Decision:
        try:
            return Decision(local, found, await self._judge(local, found))
        except Unproven as unproven:
            return Decision(local, found, by_time(local, found), str(unproven))
        except SourceError as error:
            return Decision(local, found, CANNOT_BE_READ, str(error))
