"""`Sync`: which of the sources are uploaded: those that the bucket lacks, or has otherwise.

What is the same is counted, and not kept.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing

import msgspec

from s3_upload.bucket.asking import Asker, Patience
from s3_upload.bucket.compare import CANNOT_BE_READ, NOT_PROVEN, CompareBy
from s3_upload.bucket.comparison import Compared, Comparison
from s3_upload.bucket.download import Downloader
from s3_upload.bucket.fanning import Span
from s3_upload.bucket.kept_times import KeptTimes
from s3_upload.bucket.listing import Lister, refuse_unordered
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.bucket.looking import Looked, Looking
from s3_upload.bucket.proof import Bucket, Judge, Prover
from s3_upload.config import UploadConfig
from s3_upload.report import UploadSummary
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.sources.mapping import Destination
from s3_upload.sources.source import ObjectSource
from s3_upload.threads import DaemonThreads
from s3_upload.transfer.client import Client, LoopBound

Files = Iterable[ObjectSource] | AsyncIterable[ObjectSource]


def asking_fields(fields: RequestFields | None) -> RequestFields:
    """Of what is said of objects, what requests that only ask have to say, too."""
    if fields is None:
        return NO_FIELDS
    asking = RequestFields(
        request_payer=fields.request_payer,
        expected_bucket_owner=fields.expected_bucket_owner,
        sse_customer_key=fields.sse_customer_key,
    )
    return NO_FIELDS if asking == NO_FIELDS else asking


class Sync:
    """One comparison of sources with what is below `destination`.

    `by`: what counts as different (`compare.py`).  `fields`: what requests have to say (who pays, the key of
    SSE-C).  `whole`: what only the bucket has is told, too.  `downloads`: what has the same size is read
    back, whatever the store keeps of it.  `may_be_missing`: a bucket that is not there has no objects.
    """

    def __init__(
        self,
        destination: Destination,
        by: CompareBy,
        config: UploadConfig,
        *,
        fields: RequestFields = NO_FIELDS,
        whole: bool = False,
        downloads: bool = False,
        may_be_missing: bool = False,
    ) -> None:
        refuse_unordered(destination.bucket)
        self._destination = destination
        self._by: CompareBy = by
        self._config = config
        self._fields = fields
        self._whole = whole
        self._may_be_missing = may_be_missing
        self.downloads = downloads
        self._compared = 0
        self._local_bytes = LocalBytes()
        self.unchanged = 0
        """Sources whose objects are as they are."""
        self.unproven: dict[str, int] = {}
        """How many could only be compared by size and time, by why that is so."""

    def so_far(self) -> tuple[int, int]:
        """Sources that are compared, and bytes that were read of sources for it."""
        return self._compared, self._local_bytes.read_bytes

    @property
    def keeps_times(self) -> bool:
        """What is uploaded has to keep the time of its file, or it would be different the next time again."""
        return self._by == "mtime"

    async def compared(self, client: Client, files: Files) -> AsyncGenerator[Compared, None]:
        """What is found out, as it is. `files` come in the order of their keys."""
        if isinstance(client, LoopBound):
            client.enter_loop()
        config, bucket = self._config, self._destination.bucket
        looks = DaemonThreads(1, "s3-upload-look")
        hashes = DaemonThreads(config.reader_threads, "s3-upload-hash")
        asker = Asker(client, Patience.of(config))
        batches = Looking(files, looks).batches()
        try:
            first = await anext(batches, None)
            if first is None and not self._whole:
                return
            comparison = Comparison(
                _chained(first, batches),
                Lister(asker, bucket, self._fields, may_be_missing=self._may_be_missing),
                self._span(first),
                self._by,
                self._judge(asker, hashes),
                whole=self._whole,
            ).run()
            async with aclosing(comparison):
                async for compared in comparison:
                    self._count(compared)
                    yield compared
        finally:
            await batches.aclose()
            looks.close()
            hashes.close()

    def _judge(self, asker: Asker, threads: DaemonThreads) -> Judge:
        there = Bucket(asker, self._destination.bucket, self._fields)
        if self.downloads:
            return Downloader(there, threads, self._local_bytes).reason
        prover = Prover(there, threads, self._local_bytes, ours=self._config.part_size)
        return KeptTimes(there, prover.reason).reason if self.keeps_times else prover.reason

    async def changed(self, client: Client, files: Files) -> AsyncGenerator[ObjectSource, None]:
        """The sources that are to be uploaded."""
        async with aclosing(self.compared(client, files)) as found:
            async for compared in found:
                for source in compared.aside:
                    yield source
                for decision in compared.decisions:
                    if decision.reason:
                        yield decision.local.source

    def told(self, summary: UploadSummary) -> UploadSummary:
        """The summary of what was uploaded, with what was not."""
        return msgspec.structs.replace(
            summary, unchanged=self.unchanged, notes=(*summary.notes, *self.notes())
        )

    def notes(self) -> list[str]:
        """What is to be known of how was compared."""
        return [
            f"{count:,} {'object was' if count == 1 else 'objects were'} compared by size and time alone: "
            f"{why}"
            for why, count in self.unproven.items()
        ]

    def _count(self, compared: Compared) -> None:
        self._compared += len(compared.decisions)
        for decision in compared.decisions:
            self.unchanged += not decision.reason
            # What cannot be read back is no match, whatever its size and time.
            if self.downloads or decision.reason in {CANNOT_BE_READ, NOT_PROVEN}:
                continue
            if decision.because:
                self.unproven[decision.because] = self.unproven.get(decision.because, 0) + 1

    def _span(self, first: Looked | None) -> Span:
        """The keys to be listed, from the first that is of interest. `first`: the first sources, if any."""
        sources = [] if first is None else [*(local.source for local in first.locals), *first.aside]
        prefix, base = self._destination.prefix, self._destination.base
        if prefix != base and any(source.key == prefix for source in sources):
            return Span(prefix, last=prefix)  # one file, which is to have that very key
        if self._whole or first is None or not first.locals:
            return Span(base)
        # The last key that comes before it is not known; what it is without its last character comes before.
        after = first.locals[0].key[:-1]
        return Span(base, after if len(after) > len(base) else "")


async def _chained(
    first: Looked | None, batches: AsyncGenerator[Looked, None]
) -> AsyncGenerator[Looked, None]:
    if first is None:
        return
    yield first
    async for batch in batches:
        yield batch
