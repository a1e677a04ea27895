"""`upload`, `start_upload` and `upload_async`: files, a destination, and all the rest has a default.

The same arguments, and one implementation (`job.py`): `upload` waits for the end, with or without an event
loop around it; `start_upload` gives a handle at once; `upload_async` is a coroutine in the caller's loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from s3_upload import blocking
from s3_upload.api import DefaultRequest
from s3_upload.config import UploadConfig
from s3_upload.errors import attach_summary, summary_of
from s3_upload.given import UploadSources
from s3_upload.job import Keywords, Progress, prepare
from s3_upload.observe.events import Listener, Listening
from s3_upload.report import UploadSummary
from s3_upload.request_fields import RequestFields
from s3_upload.running import Running
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.content_types import ContentTypes
from s3_upload.sources.selecting import Filter
from s3_upload.threads import in_a_thread
from s3_upload.transfer.client import Client


def upload(
    sources: UploadSources,
    destination: str,
    *,
    progress: Progress | bool | None = None,
    events: Listener | Listening | None = None,
    fields: RequestFields | None = None,
    default_request: DefaultRequest | None = None,
    content_types: ContentTypes | None = None,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
    filter: Filter | None = None,
    follow_symlinks: bool = True,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    credentials: Credentials | None = None,
    proxy: str | None = None,
    client: Client | None = None,
    config: UploadConfig | None = None,
    **settings: Unpack[Keywords],
) -> UploadSummary:
    """Uploads files, directories or `ObjectSource`s, waits until all is done, and tells how it went.

        summary = upload("photos", "s3://my-bucket/holidays", progress=True)

    `sources`: a path, several, or an iterable of `ObjectSource`, plain or async.  `destination`:
    "s3://BUCKET/PREFIX".  What is in one directory goes below the prefix; one file gets the prefix as its
    very key, unless that is empty or ends in "/"; of several paths each keeps its name below the prefix.  An
    `ObjectSource` has its whole key, and the destination no prefix.
    `progress`: True shows a screen on stderr, if that is a terminal, or in a notebook; a callable is called
    with an `UploadReport` after each object (`print` will do).
    `events`: called with all that happens (`s3_upload.observe.events`); a `Listening` says which kinds.
    `fields`: what to say of every object (content type, metadata, storage class, …); `default_request`: a
    function that says it of each.  What an `ObjectSource` says itself comes first.  The content type is
    guessed from the name where nobody says one, but for `default_request`.
    `content_types`: types by suffix that come before ours ({"gcode": "text/x-gcode"}), or the path of a file
    in the format of mime.types.
    `exclude`, `include`: patterns of what to leave out of directories, and to take all the same ("*.tmp").
    `filter`: a `Filter`: these, and files of patterns, sizes and times.
    `files_from`, `manifest`, `shard`, `order`, `preserve`, `remove_source`, `journal`, …: see `Taken`.
    `follow_symlinks`: False skips links, found or given.
    `endpoint_url`, `region`, `profile`, `credentials`, `proxy`: as in `S3Client`; the rest is looked up where
    every AWS tool does.  `client`: one of your own instead: of `s3_upload.adapters.boto3_client`; for
    `upload_async` also an `S3Client`, which stays open.
    `config`: an `UploadConfig`, or its fields as keywords: `share="background", max_bandwidth="20MB/s"`.

    An object that fails does not stop the others: its report is in `summary.failed`, and
    `summary.raise_for_failures()` raises.  Raises `ConfigError` and `TypeError` for what is wrong before
    anything is begun, and `RunError` for what no object would survive; the `summary` of that, and of a
    `KeyboardInterrupt`, tells what was done by then.

    Where an event loop runs (a notebook) it waits meanwhile, and what is given is called in another thread.
    """
    job = prepare(**locals(), any_loop=True)
    try:
        return blocking.run(job.run)
    except KeyboardInterrupt as interrupt:
        attach_summary(interrupt, summary_of(interrupt))
        raise


def start_upload(
    sources: UploadSources,
    destination: str,
    *,
    progress: Progress | bool | None = None,
    events: Listener | Listening | None = None,
    fields: RequestFields | None = None,
    default_request: DefaultRequest | None = None,
    content_types: ContentTypes | None = None,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
    filter: Filter | None = None,
    follow_symlinks: bool = True,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    credentials: Credentials | None = None,
    proxy: str | None = None,
    client: Client | None = None,
    config: UploadConfig | None = None,
    **settings: Unpack[Keywords],
) -> Running:
    """Begins an upload in a thread of its own and gives a handle on it at once. Arguments: see `upload`.

        with start_upload("photos", "s3://my-bucket/holidays") as running:
            for event in running:
                ...
            running.limit("20MB/s")

    Leaving the `with` waits for the end; leaving it by an exception cancels the run.  Without it the end of
    the program waits for the run, and a Ctrl-C then is the end of both.  What is given is called
    in the run's threads.  So is an iterable that is neither a list nor a tuple, which may wait for its first
    source: what is wrong with it, `wait` raises.
    """
    job = prepare(**locals(), any_loop=True, in_thread=True)
    return Running(job)


async def upload_async(
    sources: UploadSources,
    destination: str,
    *,
    progress: Progress | bool | None = None,
    events: Listener | Listening | None = None,
    fields: RequestFields | None = None,
    default_request: DefaultRequest | None = None,
    content_types: ContentTypes | None = None,
    exclude: str | Iterable[str] = (),
    include: str | Iterable[str] = (),
    filter: Filter | None = None,
    follow_symlinks: bool = True,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    credentials: Credentials | None = None,
    proxy: str | None = None,
    client: Client | None = None,
    config: UploadConfig | None = None,
    **settings: Unpack[Keywords],
) -> UploadSummary:
    """`upload` as a coroutine, in the caller's event loop. Arguments: see `upload`.

    When it is cancelled, the `summary` of the `CancelledError` tells what was done.
    """
    arguments = locals()
    # Directories may take their time.
    job = await in_a_thread("s3-upload-prepare", lambda: prepare(**arguments, any_loop=False))
    return await job.run()
