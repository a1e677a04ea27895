"""The S3 client of awscrt, the AWS Common Runtime: "N" files at once, without checksums: its fastest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    TlsContextOptions,
)
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config

from bench.peers.tree import files

if TYPE_CHECKING:
    from concurrent.futures import Future

TARGET_GBPS = 100.0
"""What it is told to aim at; the number of its connections follows from that."""


def make_client(tls: bool) -> S3Client:
    loops = EventLoopGroup()
    region = os.environ["AWS_REGION"]
    keys = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    options = None
    if tls:
        trust = TlsContextOptions()
        trust.override_default_trust_store(Path(os.environ["SSL_CERT_FILE"]).read_bytes())
        options = ClientTlsContext(trust).new_connection_options()
    return S3Client(
        bootstrap=ClientBootstrap(loops, DefaultHostResolver(loops)),
        region=region,
        signing_config=create_default_s3_signing_config(region=region, credential_provider=keys),
        tls_mode=S3RequestTlsMode.ENABLED if tls else S3RequestTlsMode.DISABLED,
        tls_connection_options=options,
        throughput_target_gbps=TARGET_GBPS,
    )


def main(setting: str, directory: str, endpoint: str, bucket: str) -> None:
    where = urlsplit(endpoint)
    client = make_client(where.scheme == "https")

    def put(key: str, path: Path) -> Future[None]:
        said = [
            ("host", where.netloc),
            ("content-length", str(path.stat().st_size)),
            ("content-type", "application/octet-stream"),
        ]
        request = HttpRequest("PUT", f"/{bucket}/{quote(key)}", HttpHeaders(said))
        begun = client.make_request(type=S3RequestType.PUT_OBJECT, request=request, send_filepath=str(path))
        done: Future[None] = begun.finished_future
        return done

    slots = Semaphore(int(setting))
    failed: list[BaseException] = []

    def ended(future: Future[None]) -> None:
        if error := future.exception():
            failed.append(error)
        slots.release()

    for key, path in files(directory):
        slots.acquire()
        if failed:
            raise failed[0]
        put(key, path).add_done_callback(ended)
    for _ in range(int(setting)):
        slots.acquire()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
