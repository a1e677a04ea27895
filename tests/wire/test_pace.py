"""The kernel's pacing, on real sockets: every connection gets its own, also those opened later."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.report import Paces
from s3_upload.wire import tcp_info
from s3_upload.wire.connect import Connector
from s3_upload.wire.pool import Pool
from tests.wire.conftest import run_on
from tests.wire.names import HOST, controlled_uvloop, exchange, look_up
from tests.wire.peers import OK, answering, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s3_upload.wire.connection import Connection

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SO_MAX_PACING_RATE is Linux's")


@contextlib.asynccontextmanager
async def pooling() -> AsyncIterator[Pool]:
    async with serving(answering(OK)) as port:
        loop = asyncio.get_running_loop()
        pool = Pool(Connector(host=HOST, port=port, tls=None, loop=loop, look_up=look_up), loop)
        yield pool
        await pool.close()


def pace_of(connection: Connection) -> int:
    raw = connection.socket.getsockopt(socket.SOL_SOCKET, tcp_info.SO_MAX_PACING_RATE, 8)
    return int.from_bytes(raw, sys.byteorder)


def test_each_connection_has_its_pace() -> None:
    async def main() -> None:
        async with pooling() as pool:
            first, second = [await pool.open(exchange()) for _ in range(2)]
            assert pace_of(first) == tcp_info.UNLIMITED
            numbers = [sample.number for sample in pool.samples()]
            assert pool.pace(Paces(each_bytes_per_s=5e9, apart={numbers[1]: 1000.0}))
            assert (pace_of(first), pace_of(second)) == (5_000_000_000, 1000)
            assert pace_of(await pool.open(exchange())) == 5_000_000_000
            assert pool.pace(Paces())
            assert pace_of(second) == tcp_info.UNLIMITED

    run_on(controlled_uvloop, main)


def algorithm_of(connection: Connection) -> bytes:
    return tcp_info.congestion_control(connection.socket)


def test_connections_that_need_not_heed_losses() -> None:
    with socket.socket() as other:
        if not tcp_info.set_congestion_control(other, tcp_info.HEEDLESS):
            pytest.skip("this system lets nobody use BBR")

    async def main() -> None:
        async with pooling() as pool:
            first = await pool.open(exchange())
            assert tcp_info.set_congestion_control(first.socket, b"reno"), "every system lets everybody"
            pool.pace(Paces(each_bytes_per_s=1e6))
            assert algorithm_of(first) == b"reno"
            pool.pace(Paces(each_bytes_per_s=1e6, heedless=True))
            second = await pool.open(exchange())
            assert {algorithm_of(first), algorithm_of(second)} == {tcp_info.HEEDLESS}
            pool.pace(Paces())
            assert {algorithm_of(first), algorithm_of(second)} == {b"reno"}

    run_on(controlled_uvloop, main)


def test_samples_say_what_the_kernel_knows() -> None:
    async def main() -> None:
        async with pooling() as pool:
            connection = await pool.open(exchange())
            [sample] = pool.samples()
            assert 0.0 < sample.min_rtt_s <= sample.rtt_s < 1.0
            assert (sample.retransmits, sample.busy, sample.waiting) == (0, False, False)
            connection.close()
            assert pool.samples() == []

    run_on(controlled_uvloop, main)


def test_without_the_kernels_help_that_is_told() -> None:
    assert not tcp_info.pace(None, 1000.0)
    assert not tcp_info.set_congestion_control(None, tcp_info.HEEDLESS)
    assert tcp_info.congestion_control(None) == b""
    with socket.socket(socket.AF_UNIX) as other:
        assert tcp_info.sample(other, 1, busy=False) is None
