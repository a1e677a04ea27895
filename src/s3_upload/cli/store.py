"""The store an upload command talks to: the one its flags name, or an embedded one for the occasion."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from s3_upload.account.settings import resolve_settings
from s3_upload.s3.bucket_kinds import S3_EXPRESS
from s3_upload.s3.requests import refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3_upload.cli.options.store import StoreOptions
    from s3_upload.clients.s3 import S3Client
    from s3_upload.request_fields import RequestFields


def check_destination(options: StoreOptions, bucket: str, fields: RequestFields) -> str:
    """What the store is called, as `S3Client.endpoint`; "" of an embedded one. Raises `ConfigError` where no
    request for `bucket` can be made, as an upload does before it begins."""
    if options.embedded is not None:
        return ""
    settings = resolve_settings(**options.settings())
    refuse_unknown(fields, directory=settings.endpoint(bucket).service == S3_EXPRESS)
    _client_maker(options)()  # which reads certificates, and looks for what computes checksums
    return settings.store


def _client_maker(options: StoreOptions) -> Callable[..., S3Client]:
    """Of a store that is not embedded."""
    from s3_upload.clients.s3 import S3Client

    return partial(
        S3Client,
        checksum_algorithm=options.checksum_algorithm,
        **options.settings(),
        client_certificate=options.client_certificate,
        sign=not options.no_sign_request,
    )


@contextmanager
def open_store(options: StoreOptions, bucket: str) -> Iterator[Callable[..., S3Client]]:
    """Gives what makes a client of the store. An embedded store runs until the block is left."""
    if options.embedded is None:
        yield _client_maker(options)
        return
    from s3_upload.clients.s3 import S3Client
    from s3_upload.embedded import REGION, EmbeddedStore
    from s3_upload.s3.credentials import Credentials

    with EmbeddedStore(options.embedded) as store:
        store.create_bucket(bucket)
        yield partial(
            S3Client,
            checksum_algorithm=options.checksum_algorithm,
            endpoint_url=store.endpoint_url,
            region=REGION,
            credentials=Credentials(store.access_key, store.secret_key),
            addressing_style="path",
            checksum=options.checksum,
            payload_signing=options.payload_signing,
            proxy="none",  # it runs on this machine's loopback, which no proxy reaches
        )
