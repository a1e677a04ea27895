"""`list_objects`: the calls about what a bucket has already."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Any

from s3_upload.bucket.asking import Asker, Patience
from s3_upload.bucket.listing import Lister, objects_of, refuse_unordered
from s3_upload.checks import must_be
from s3_upload.config import UploadConfig
from s3_upload.job import check_client, own_client
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.mapping import Destination
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


async def _objects(
    place: Destination, given: Client | None, store: dict[str, Any], patience: Patience
) -> AsyncGenerator[ListedObject, None]:
    async with nullcontext(given) if given is not None else own_client(store) as client:
        if isinstance(client, LoopBound):
            client.enter_loop()
        objects = objects_of(Lister(Asker(client, patience), place.bucket), place.prefix)
        try:
            async for found in objects:
                yield found
        finally:
            await objects.aclose()
