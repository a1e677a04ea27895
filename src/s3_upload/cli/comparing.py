"""`sync` and its dry run: what of the sources goes up, and why."""

from __future__ import annotations

import itertools
from contextlib import aclosing
from typing import TYPE_CHECKING

from s3_upload.bucket.sync import Sync, asking_fields
from s3_upload.cli.dryrun import Counts, tell, tell_counts
from s3_upload.cli.output import UsageError, room
from s3_upload.cli.views.render import tell_notes
from s3_upload.cli.watching import run_shown
from s3_upload.sources.preserving import MTIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_upload.cli.options.compare import CompareOptions
    from s3_upload.cli.options.upload import UploadOptions
    from s3_upload.cli.views.display import Display
    from s3_upload.clients.s3 import S3Client
    from s3_upload.sources.mapping import Destination
    from s3_upload.sources.source import ObjectSource


def sync_with(destination: Destination, how: CompareOptions, options: UploadOptions) -> Sync:
    """Raises `UsageError` and `ConfigError`."""
    said = options.objects.request_fields()
    if how.by == "mtime" and MTIME in map(str.lower, said.metadata):
        raise UsageError(
            f"--metadata {MTIME}=... and --compare mtime do not go together: each run would upload all again"
        )
    fields = asking_fields(said)
    # A dry run makes no bucket, and the run would have made it before it compares.
    creates = options.output.dryrun and options.store.create_bucket
    return Sync(destination, how.by, options.config(), fields=fields, may_be_missing=creates)


def dry_run(
    bucket: str,
    passes: Iterable[Iterator[ObjectSource]],
    options: UploadOptions,
    sync: Sync,
    nothing: str,
    *,
    display: Display,
) -> int:
    """Says what would be uploaded, and why; asks the store what it has, and sends nothing. `display` shows
    how far it is. Returns the exit code that the run would have for what is known of its sources."""
    output, counts = options.output, Counts(removes=options.sources.remove_source)
    sources = itertools.chain.from_iterable(passes)

    async def compare(client: S3Client) -> None:
        async with aclosing(sync.compared(client, sources)) as found:
            async for compared in found:
                for source in compared.aside:
                    tell(bucket, source, counts, output)
                for decision in compared.decisions:
                    if decision.reason:
                        tell(bucket, decision.local.source, counts, output, decision.reason)
                if (waiting := room()) is not None:
                    await waiting

    run_shown(options.store, bucket, display, compare)
    counts.unchanged, counts.notes = sync.unchanged, sync.notes()
    code = tell_counts(bucket, counts, output, nothing)
    if not (output.json or output.quiet or output.only_show_errors):
        tell_notes(counts.notes)
    return code
