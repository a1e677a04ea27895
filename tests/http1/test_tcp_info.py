"""TCP_INFO is believed where it tells something, and not where half of it is empty."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.clients.s3 import S3Client
from s3_upload.http1 import tcp_info
from s3_upload.http1.connection import Connection
from s3_upload.s3.credentials import Credentials
from tests.http1.peers import MIB, OK, read_request, talking, until
from tests.sim.tcp_info import half_empty

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is Linux's")


class HalfEmpty:
    """A socket, and half of what the kernel says of it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def getsockopt(self, *arguments: int) -> Any:
        said = self._sock.getsockopt(*arguments)
        return half_empty(said) if isinstance(said, bytes) else said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_this_system_tells() -> None:
    assert tcp_info.tells(tcp_info._values)
    assert tcp_info.works()


def test_one_that_fills_in_half_of_it_does_not_tell() -> None:
    assert not tcp_info.tells(lambda sock: tcp_info._values(HalfEmpty(sock)))
    assert not tcp_info.tells(lambda _: None)


@pytest.mark.parametrize("tells", [True, False])
def test_it_is_tried_out_before_anything_is_built_on_it(monkeypatch: pytest.MonkeyPatch, tells: bool) -> None:
    monkeypatch.setattr(tcp_info, "tells", lambda _: tells)
    monkeypatch.setattr(tcp_info, "works", tcp_info.works.__wrapped__)
    client = S3Client(endpoint_url="http://x", region="us-east-1", credentials=Credentials("k", "s"))
    assert client.sees is tells
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect(server.getsockname())
        assert (tcp_info.read(sock) is not None) is tells
        assert (tcp_info.sample(sock, 1, busy=False) is not None) is tells
        assert tcp_info.pace(sock, 1e6) is tells


def test_where_it_cannot_be_tried_out_it_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_loopback(_: object) -> bool:
        raise PermissionError

    monkeypatch.setattr(tcp_info, "tells", no_loopback)
    assert tcp_info.works.__wrapped__()


@pytest.mark.parametrize("ethernet", [False, True])
def test_an_acknowledgement_that_comes_late_over_loopback_is_no_queue(ethernet: bool) -> None:
    """Nor is what is sent again a loss.  With the segments of an Ethernet both count."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        if ethernet:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_448)
        sock.connect(server.getsockname())
        receiver, _ = server.accept()
        with receiver:
            receiver.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            sock.sendall(b"a")
            while True:  # until it is acknowledged: 40 ms, and what a busy machine takes
                sample = tcp_info.sample(sock, 1, busy=True)
                assert sample is not None
                if sample.acked_bytes > 1:
                    break
            values = tcp_info._values(sock)
            assert values is not None
            srtt_s = values[tcp_info._SRTT] / 1e6
            assert srtt_s > sample.min_rtt_s
            assert sample.rtt_s == (srtt_s if ethernet else sample.min_rtt_s)
            sample = tcp_info.sample(sock, 1, busy=True, before=tcp_info.Sums(retransmits=-1))
            assert sample is not None
            assert sample.retransmits == (values[23] + 1 if ethernet else 0)


class Elsewhere:
    """A socket to another host."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def getpeername(self) -> tuple[str, int]:
        return ("10.0.0.2", 80)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_segments_as_large_over_a_link_are_believed() -> None:
    """InfiniBand has them."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect(server.getsockname())
        tail = tcp_info.Sums(retransmits=-1)
        near = tcp_info.sample(sock, 1, busy=True, before=tail)
        far = tcp_info.sample(Elsewhere(sock), 1, busy=True, before=tail)
        assert near is not None
        assert far is not None
        assert (near.retransmits, far.retransmits) == (0, 1)


class Blind(Connection):
    """On a kernel that fills in half of TCP_INFO, and was believed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = _Blind(transport)  # type: ignore[assignment]


class _Blind:
    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def get_extra_info(self, name: str) -> Any:
        found = self._transport.get_extra_info(name)
        return HalfEmpty(found) if name == "socket" else found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize("connection_type", [Connection, Blind])
def test_a_transfer_that_moves_is_seen_to_move(run: Run, connection_type: type[Connection]) -> None:
    """By what is acknowledged or, where the kernel does not tell, by what leaves our own buffer."""
    body = bytes(64 * MIB)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            await part.wait()
            await reader.readexactly(len(body) // len(parts))
        await answer.wait()
        writer.write(OK)
        await read_request(reader)

    parts = [asyncio.Event() for _ in range(4)]
    answer = asyncio.Event()

    async def main() -> None:
        async with talking(handler, connection_type=connection_type) as client:
            trace = client.trace()
            waiting = asyncio.ensure_future(client.request(body, trace))
            await until(lambda: trace.probe is not None)
            assert trace.probe is not None
            for part in parts:
                before = trace.probe()
                assert not before.drained
                part.set()
                await until(lambda: trace.probe().progress > before.progress)  # type: ignore[misc] # noqa: B023
            await until(lambda: trace.probe().drained)  # type: ignore[misc]
            answer.set()
            await waiting

    run(main)
