"""The store an upload command talks to: the one its flags name, or an embedded one for the occasion."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_upload.cli.options import StoreOptions
    from s3_upload.client import S3Client


@contextmanager
def open_store(options: StoreOptions, bucket: str) -> Iterator[Callable[..., S3Client]]:
    """Gives what makes a client of the store. An embedded store runs until the block is left."""
    from s3_upload.client import S3Client

    make = partial(S3Client, checksum_algorithm=options.checksum_algorithm)
    if options.embedded is None:
        yield partial(
            make,
            **options.settings(),
            client_certificate=options.client_certificate,
            sign=not options.no_sign_request,
        )
        return
    from s3_upload.embedded import REGION, EmbeddedStore
    from s3_upload.s3.credentials import Credentials

    with EmbeddedStore(options.embedded) as store:
        store.create_bucket(bucket)
        yield partial(
            make,
            endpoint_url=store.endpoint_url,
            region=REGION,
            credentials=Credentials(store.access_key, store.secret_key),
            addressing_style="path",
            checksum=options.checksum,
            proxy="none",  # it runs on this machine's loopback, which no proxy reaches
        )
