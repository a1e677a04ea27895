"""Every way through a proxy carries whole uploads, byte for byte, to a store that only it can resolve."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from s3_upload import Credentials, ObjectSource, S3Client, s3_upload_files
from s3_upload.errors import RunError
from s3_upload.http1 import tcp_info
from tests.faults.uploads import BUCKET, PART_BYTES, config, stored
from tests.proxy.forward import ForwardProxy
from tests.proxy.socks import HOST_UNREACHABLE, NO_SUCH_FAMILY, SocksProxy
from tests.proxy.tiny import TINYPROXY, tinyproxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_upload.report import ConnectionSample, UploadSummary
    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer

HOST = "store.internal"
"""A name that our proxies alone know; that of the store's certificate, too."""
NAMES = {HOST: "127.0.0.1"}
BODIES = {f"small {number}": f"{number}".encode() * 99 for number in range(40)} | {
    "big": bytes(range(251)) * (2 * PART_BYTES // 251 + 1),
    "ünï cödé +&=%/a b": b"odd",
}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}


def upload(
    url: str,
    bodies: dict[str, bytes],
    *,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
    settings: dict[str, Any] | None = None,
    progress: Callable[[Any], object] | None = None,
    **options: Any,
) -> UploadSummary:
    """Warnings of a loop, such as of an exception that nobody saw, fail it."""
    problems: list[str] = []

    async def main() -> UploadSummary:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(str(context)))
        files = [ObjectSource.data(body, key) for key, body in bodies.items()]
        options.setdefault("credentials", Credentials("key", "secret"))
        async with S3Client(endpoint_url=url, region="us-east-1", **options) as client:
            return await s3_upload_files(client, BUCKET, files, config(**(settings or {})), progress)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        summary = runner.run(main())
    assert problems == []
    return summary


@dataclass
class Through:
    """A proxy on the way to stores, and the host by which it knows them."""

    url: str
    host: str
    proxy: ForwardProxy | SocksProxy | None
    options: dict[str, Any]


WAYS = ["http", "https", "socks5h", "socks5", *(["tinyproxy"] if TINYPROXY else [])]


@pytest.fixture(params=WAYS)
def through(request: pytest.FixtureRequest, tls: Tls, tmp_path: Path) -> Iterator[Through]:
    with ExitStack() as stack:
        if request.param == "tinyproxy":
            yield Through(stack.enter_context(tinyproxy(tmp_path)), "127.0.0.1", None, {})
        elif request.param.startswith("socks"):
            socks = stack.enter_context(SocksProxy(names=NAMES))
            host = HOST if request.param == "socks5h" else "localhost"
            yield Through(f"{request.param}://127.0.0.1:{socks.port}", host, socks, {})
        else:
            context = tls.server_context if request.param == "https" else None
            proxy = stack.enter_context(ForwardProxy(names=NAMES, tls=context))
            yield Through(proxy.url, HOST, proxy, {})


def url_of(server: FaultServer, host: str) -> str:
    return server.url.replace("127.0.0.1", host)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("loop", LOOPS)
def test_all_arrives(
    fault_server: StartFaultServer, tls: Tls, through: Through, scheme: str, loop: str
) -> None:
    server = fault_server(tls=tls.server_context if scheme == "https" else None)
    summary = upload(
        url_of(server, through.host),
        BODIES,
        new_loop=LOOPS[loop],
        proxy=through.url,
        verify=str(tls.ca_file),
    )
    assert not summary.failed
    assert stored(server) == BODIES
    assert {request.headers["host"] for request in server.requests} == {f"{through.host}:{server.port}"}
    assert all(request.target.startswith("/") for request in server.requests)
    assert not any("proxy-authorization" in request.headers for request in server.requests)
    if through.proxy is not None:
        host = "127.0.0.1" if through.url.startswith("socks5:") else through.host
        assert set(through.proxy.places) == {f"{host}:{server.port}"}
        assert server.counts["connections"] == len(through.proxy.places)
        assert len(through.proxy.places) <= 16, "connections are used again"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_way_to_the_proxy_is_seen(
    fault_server: StartFaultServer, tls: Tls, through: Through, scheme: str
) -> None:
    """TLS inside of TLS has a socket of the kernel's, too."""
    server = fault_server(tls=tls.server_context if scheme == "https" else None)

    async def main() -> list[ConnectionSample]:
        async with S3Client(
            endpoint_url=url_of(server, through.host),
            region="us-east-1",
            credentials=Credentials("key", "secret"),
            proxy=through.url,
            verify=str(tls.ca_file),
        ) as client:
            files = [ObjectSource.data(b"x" * 100_000, "a")]
            (await s3_upload_files(client, BUCKET, files, config())).raise_for_failures()
            return client.samples()

    samples = uvloop.run(main())
    if (
        through.proxy is not None or scheme == "https"
    ):  # else it is tinyproxy, which closes it soon or at once
        assert len(samples) == (1 if tcp_info.works() else 0)
    assert all(sample.acked_bytes > 100_000 for sample in samples)


@pytest.mark.parametrize("reply", [HOST_UNREACHABLE, NO_SUCH_FAMILY])
@pytest.mark.parametrize("dead", ["127.0.0.9", "::9"])
def test_an_address_that_the_proxy_cannot_reach_is_not_the_only_one_it_is_asked_for(
    fault_server: StartFaultServer, dead: str, reply: int
) -> None:
    async def look_up(host: str, _port: int) -> list[str]:
        return [dead, "127.0.0.1"] if host == HOST else [host]

    server = fault_server()
    with SocksProxy(unreachable=reply) as proxy:
        way = f"socks5://127.0.0.1:{proxy.port}"
        summary = upload(url_of(server, HOST), BODIES, proxy=way, look_up=look_up)
    assert not summary.failed
    assert stored(server) == BODIES
    assert len([place for place in proxy.places if place.startswith(dead)]) <= 8, "once for each at a time"


def test_a_store_without_an_address_cannot_be_reached(fault_server: StartFaultServer) -> None:
    async def look_up(host: str, _port: int) -> list[str]:
        return [] if host == HOST else [host]

    url = url_of(fault_server(), HOST)
    with SocksProxy() as proxy:
        options: dict[str, Any] = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "look_up": look_up}
        with pytest.raises(RunError, match=f"{HOST}: has no address"):
            upload(url, {"a": b"x"}, settings={"n_retries": 0}, **options)
