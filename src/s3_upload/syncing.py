"""`sync_files`, `verify_files`, `list_objects`: the calls about what a bucket has already."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Any, Literal, Unpack

from s3_upload.api import DefaultRequest
from s3_upload.bucket.asking import Asker, Patience
from s3_upload.bucket.compare import CompareBy, checked_compare
from s3_upload.bucket.fanning import objects_of
from s3_upload.bucket.listing import Lister, refuse_unordered
from s3_upload.bucket.sync import Sync, asking_fields
from s3_upload.bucket.verify import Verified, verified
from s3_upload.checks import must_be
from s3_upload.clients.s3 import S3Client
from s3_upload.config import UploadConfig
from s3_upload.errors import ConfigError
from s3_upload.given import UploadSources
from s3_upload.job import Job, Progress, Settings, check_client, own_client, prepare
from s3_upload.observe.events import Listener, Listening
from s3_upload.report import UploadSummary, broken_off
from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.content_types import ContentTypes
from s3_upload.sources.mapping import Destination
from s3_upload.sources.selecting import Filter
from s3_upload.threads import in_a_thread
from s3_upload.transfer.client import Client, LoopBound


def list_objects(
    url: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    credentials: Credentials | None = None,
    proxy: str | None = None,
    client: Client | None = None,
    config: UploadConfig | None = None,
) -> AsyncGenerator[ListedObject, None]:
    """The objects below "s3://BUCKET/PREFIX", one by one, in S3's order: that of their keys' UTF-8 bytes.

        async for found in list_objects("s3://my-bucket/holidays/"):
            print(found.key, found.size)

    PREFIX is what keys begin with, and need not end in "/".  Pages are asked for as they are needed, one
    ahead, each again where that fails (`n_retries`, `max_outage_s` and `connect_timeout_s` of `config`).
    Where a page takes more than 20 ms, a long listing is divided by its folders: then up to 80,000 objects
    wait in memory, and as many again each time that a range of them is divided once more.
    `endpoint_url` and the like: see `upload`.

    Raises `ConfigError` for what cannot be (also a directory bucket, which lists in no order), and, while it
    is read, `RunError` where the store refuses, cannot be reached, or lists in another order.
    """
    must_be("url", url, str, "str")
    place = Destination.parse(url)
    refuse_unordered(place.bucket)
    store: dict[str, Any] = {"endpoint_url": endpoint_url, "region": region, "profile": profile}
    store |= {"credentials": credentials, "proxy": proxy}
    if client is not None:
        check_client(client, store, any_loop=False)
    return _objects(place, client, store, Patience.of(config or UploadConfig()))


async def sync_files(
    sources: UploadSources,
    destination: str,
    *,
    compare: CompareBy = "time",
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
    **settings: Unpack[Settings],
) -> UploadSummary:
    """Uploads what is missing or different below the destination, as `upload_async` would upload all.

        summary = await sync_files("photos", "s3://my-bucket/holidays")
        print(summary.uploaded, summary.unchanged)

    `compare`: what is different. "time": another size, or a file modified after its object was written (as
    for `aws s3 sync`); "size": another size; "mtime": another size, or another time of modification than that
    which the object keeps as metadata, as what is uploaded then does (as for rclone); "checksum": another
    size, or other bytes by what the store keeps of the object (its ETag, its checksum), which is not read.
    Of what these do not tell, size and time decide, and a note in the summary says so.  Nothing is ever
    deleted.

    Paths are sorted by themselves; an iterable of `ObjectSource` that is no list must come in the order of
    its keys.  A stream is always uploaded.  Other arguments: see `upload`.  Raises what `upload_async` and
    `list_objects` do.
    """
    arguments = locals()
    by = checked_compare(arguments.pop("compare"))
    # Directories may take their time.
    job = await in_a_thread("s3-upload-prepare", partial(prepare, **arguments, any_loop=False, in_order=True))
    sync = Sync(job.destination, by, job.config, fields=asking_fields(fields))
    preserve = job.preserve or sync.keeps_times
    with broken_off(sync.told):
        summary = await dataclasses.replace(job, sift=sync.changed, walk=None, preserve=preserve).run()
    return sync.told(summary)


def verify_files(
    sources: UploadSources,
    destination: str,
    *,
    compare: Literal["checksum", "size"] = "checksum",
    download: bool = False,
    fields: RequestFields | None = None,
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
) -> AsyncGenerator[Verified, None]:
    """Compares sources with what is below the destination, and uploads nothing: a `Verified` for every key.

        async for one in verify_files("photos", "s3://my-bucket/holidays"):
            if one.mark != "=":
                print(one.mark, one.key, one.reason)

    `compare`: "checksum", by size and by what the store keeps of the objects, as `sync_files` does; "size".
    `download`: objects are read back, and compared byte by byte, which goes with "checksum" alone.  Other
    arguments: see `sync_files`.  Raises `ConfigError` at once, and `RunError` while it is read.
    """
    arguments = locals()
    by = checked_compare(arguments.pop("compare"))
    must_be("download", arguments.pop("download"), bool, "True or False")
    if download and by != "checksum":
        raise ConfigError(f"download and compare={by!r} do not go together: leave one out")
    if download and client is not None and not isinstance(client, S3Client):
        raise ConfigError(
            "download: takes an S3Client, or none: an SDK's client cannot read objects back here"
        )
    place = Destination.parse(destination)
    sync = Sync(
        place, by, config or UploadConfig(), fields=asking_fields(fields), whole=True, downloads=download
    )
    arguments |= dict.fromkeys(("progress", "events", "default_request", "content_types"))
    job = prepare(**arguments, settings={}, any_loop=False, in_order=True)
    return _verified(job, sync)


async def _verified(job: Job, sync: Sync) -> AsyncGenerator[Verified, None]:
    async with job.opened() as client, aclosing(verified(sync, client, job.files, job.would_take)) as found:
        async for one in found:
            yield one


async def _objects(
    place: Destination, given: Client | None, store: dict[str, Any], patience: Patience
) -> AsyncGenerator[ListedObject, None]:
    async with nullcontext(given) if given is not None else own_client(store) as client:
        if isinstance(client, LoopBound):
            client.enter_loop()
        lister = Lister(Asker(client, patience), place.bucket)
        async with aclosing(objects_of(lister, place.prefix)) as objects:
            async for found in objects:
                yield found
