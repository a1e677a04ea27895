"""`S3Client`: our own client, made for uploading.

Joins `s3/` (what to say) and `wire/` (how it travels); satisfies `engine.client.Client`.  One client
may serve many runs and buckets on one event loop; it keeps its connections until `aclose`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from s3_upload.errors import AttemptError, ConfigError, FailureKind
from s3_upload.http import Response
from s3_upload.s3.credentials import CredentialProvider, Credentials, StaticCredentials
from s3_upload.s3.endpoint import AddressingStyle, Endpoint, endpoint_for
from s3_upload.s3.operations import Operation
from s3_upload.s3.requests import RequestEncoder
from s3_upload.s3.sigv4 import Signer
from s3_upload.session import BotocoreCredentials, resolve_settings
from s3_upload.wire.connect import Connector
from s3_upload.wire.exchange import Exchange
from s3_upload.wire.pool import Pool

ChecksumMode = Literal["auto", "off"]


class _Target(msgspec.Struct):
    """What the requests to one bucket share; `encoder` lasts as long as `credentials`."""

    endpoint: Endpoint
    pool: Pool
    encoder: RequestEncoder | None = None
    credentials: Credentials | None = None


class S3Client:
    """Uploads to S3 or a store that speaks it. An async context manager.

    `endpoint_url`, `region` and `profile` override the environment and the AWS configuration files;
    without any, the endpoint is AWS itself and the region us-east-1.  Credentials come from
    `credentials` or botocore's chain.  `addressing_style`: "path" (host/bucket/key), "virtual"
    (bucket.host/key) or "auto" (virtual on AWS where the name allows, path elsewhere).  `verify`:
    True (the system's CAs or AWS_CA_BUNDLE), the path of a CA bundle, or False (no verification:
    for tests).  `checksum`: "auto" sends a CRC-32 header where the signature does not cover the body
    (over https), "off" never does.

    Raises `ConfigError` for a setting that cannot work and `RunError` for a profile that does not
    exist.  Missing credentials show at the first request.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        credentials: Credentials | None = None,
        addressing_style: AddressingStyle = "auto",
        verify: bool | str = True,
        checksum: ChecksumMode = "auto",
        utc_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = resolve_settings(
            endpoint_url=endpoint_url,
            region=region,
            profile=profile,
            addressing_style=addressing_style,
            verify=verify,
        )
        self._provider: CredentialProvider = (
            StaticCredentials(credentials) if credentials is not None else BotocoreCredentials(profile)
        )
        self._uses_tls = not (self._settings.endpoint_url or "https://").startswith("http://")
        self._tls = _tls_context(self._settings.verify) if self._uses_tls else None
        self._checksum = checksum
        self._utc_clock = utc_clock
        self._targets: dict[str, _Target] = {}
        self._pools: dict[tuple[str, int], Pool] = {}

    def __repr__(self) -> str:
        return f"<S3Client {self.endpoint}>"

    async def __aenter__(self) -> S3Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections."""
        pools = tuple(self._pools.values())
        self._pools.clear()
        self._targets.clear()
        for pool in pools:
            await pool.close()

    # --- engine.client.Client --------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return self._settings.endpoint_url or f"S3 in {self._settings.region}"

    @property
    def needs_sha256(self) -> bool:
        return not self._uses_tls

    @property
    def checksum_algorithm(self) -> str:
        return "CRC32" if self._uses_tls and self._checksum == "auto" else ""

    async def send(self, operation: Operation, exchange: Exchange) -> Response:
        """See `engine.client.Client`."""
        target = self._targets.get(operation.bucket) or self._new_target(operation.bucket)
        credentials = self._provider.current() or await self._provider.refresh()
        if credentials is not target.credentials:
            self._use_credentials(target, credentials)
        assert target.encoder is not None
        # Before there is a connection: one whose request cannot be made would belong to nobody.
        head = target.encoder.head(operation, self._utc_clock())
        connection = None if exchange.fresh else target.pool.take()
        if connection is None:
            exchange.new_connection = True
            connection = await target.pool.open(exchange)
        if exchange.cancelled:
            target.pool.put_back(connection)
            raise AttemptError(FailureKind.TIMEOUT, "cancelled before its request began")
        return await connection.request(head, operation.body, exchange)

    # -----------------------------------------------------------------------------------------------

    def _new_target(self, bucket: str) -> _Target:
        settings = self._settings
        endpoint = endpoint_for(bucket, settings.region, settings.endpoint_url, settings.addressing_style)
        where = endpoint.host, endpoint.port
        if where not in self._pools:
            loop = asyncio.get_running_loop()
            connector = Connector(host=endpoint.host, port=endpoint.port, tls=self._tls, loop=loop)
            self._pools[where] = Pool(connector, loop)
        target = self._targets[bucket] = _Target(endpoint, self._pools[where])
        return target

    def _use_credentials(self, target: _Target, credentials: Credentials) -> None:
        target.credentials = credentials
        target.encoder = RequestEncoder(
            host=target.endpoint.host_header,
            path_prefix=target.endpoint.base_path,
            signer=Signer(credentials, self._settings.region),
            signs_payload=not self._uses_tls,
        )


def _tls_context(verify: bool | str) -> ssl.SSLContext:
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify is True:
        return ssl.create_default_context()
    is_dir = Path(verify).is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if is_dir else verify, capath=verify if is_dir else None
        )
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"CA bundle {verify!r}: no PEM certificates can be read from it") from error
