"""The kernel's pacing, on real sockets: every connection gets its own, also those opened later."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from s3_upload.http1 import tcp_info
from s3_upload.http1.connect import Connector
from s3_upload.http1.lease import Lease
from s3_upload.http1.pool import Pool
from s3_upload.report import Paces
from tests.http1.conftest import run_on
from tests.http1.names import HOST, controlled_uvloop, look_up, trace
from tests.http1.peers import OK, answering, head_for, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s3_upload.http1.connection import Connection
    from s3_upload.http1.trace import Trace

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


def of(lease: Lease) -> Trace:
    """An attempt of the run with that lease."""
    return trace(lease=lease)


async def use(connection: Connection) -> None:
    assert (await connection.request(head_for(b"x"), b"x", trace())).status == 200


def test_each_connection_has_its_pace() -> None:
    async def main() -> None:
        async with pooling() as pool:
            lease = Lease()
            first, second = [await pool.open(of(lease)) for _ in range(2)]
            assert pace_of(first) == tcp_info.UNLIMITED
            numbers = [sample.number for sample in lease.samples()]
            assert lease.pace(Paces(each_bytes_per_s=5e9, apart={numbers[1]: 1000.0}))
            assert (pace_of(first), pace_of(second)) == (5_000_000_000, 1000)
            assert pace_of(await pool.open(of(lease))) == 5_000_000_000
            assert lease.pace(Paces())
            assert pace_of(second) == tcp_info.UNLIMITED

    run_on(controlled_uvloop, main)


def test_a_pace_holds_for_the_connections_of_its_run_alone() -> None:
    async def main() -> None:
        async with pooling() as pool:
            lease, other = Lease(), Lease()
            lease.pace(Paces(each_bytes_per_s=1e6))
            other.pace(Paces(each_bytes_per_s=2e6))
            mine, his, free = [
                await pool.open(of(lease)),
                await pool.open(of(other)),
                await pool.open(trace()),
            ]
            assert [pace_of(c) for c in (mine, his, free)] == [1_000_000, 2_000_000, tcp_info.UNLIMITED]
            lease.pace(Paces(each_bytes_per_s=3e6))
            assert [pace_of(c) for c in (mine, his, free)] == [3_000_000, 2_000_000, tcp_info.UNLIMITED]
            assert [len(seen) for seen in (lease.samples(), other.samples(), pool.samples())] == [1, 1, 1]
            lease.end()
            assert [pace_of(c) for c in (mine, his, free)] == [
                tcp_info.UNLIMITED, 2_000_000, tcp_info.UNLIMITED,
            ]  # fmt: skip
            assert [len(seen) for seen in (lease.samples(), other.samples(), pool.samples())] == [0, 1, 2]
            assert pace_of(await pool.open(of(lease))) == tcp_info.UNLIMITED, "the run is over"

    run_on(controlled_uvloop, main)


def test_a_connection_has_the_pace_of_whoever_takes_it() -> None:
    async def main() -> None:
        async with pooling() as pool:
            lease, other = Lease(), Lease()
            lease.pace(Paces(each_bytes_per_s=1e6))
            other.pace(Paces(each_bytes_per_s=2e6))
            connection = await pool.open(of(lease))
            for taker, pace in [(lease, 1_000_000), (None, tcp_info.UNLIMITED), (other, 2_000_000)]:
                await use(connection)
                assert pool.take(taker) is connection
                assert pace_of(connection) == pace
            assert lease.samples() == pool.samples() == []
            connection.close()
            assert other.samples() == []

    run_on(controlled_uvloop, main)


def test_what_a_connection_did_before_is_not_told_of_the_run_that_takes_it() -> None:
    async def main() -> None:
        async with pooling() as pool:
            connection = await pool.open(trace())
            for _ in range(10):
                await use(connection)
                assert pool.take() is connection
            [before] = pool.samples()
            assert before.acked_bytes > 10
            await use(connection)
            lease = Lease()
            assert pool.take(lease) is connection
            [sample] = lease.samples()
            # What was sent right before may be acknowledged only now.
            assert sample.acked_bytes < before.acked_bytes / 5
            assert sample.sent_segments < before.sent_segments

    run_on(controlled_uvloop, main)


def algorithm_of(connection: Connection) -> bytes:
    return tcp_info.congestion_control(connection.socket)


def test_connections_that_need_not_heed_losses() -> None:
    with socket.socket() as sock:
        if not tcp_info.set_congestion_control(sock, tcp_info.HEEDLESS):
            pytest.skip("this system lets nobody use BBR")

    async def main() -> None:
        async with pooling() as pool:
            lease = Lease()
            first = await pool.open(of(lease))
            assert tcp_info.set_congestion_control(first.socket, b"reno"), "every system lets everybody"
            lease.pace(Paces(each_bytes_per_s=1e6))
            assert algorithm_of(first) == b"reno"
            lease.pace(Paces(each_bytes_per_s=1e6, heedless=True))
            second = await pool.open(of(lease))
            assert {algorithm_of(first), algorithm_of(second)} == {tcp_info.HEEDLESS}
            lease.end()
            assert {algorithm_of(first), algorithm_of(second)} == {b"reno"}

    run_on(controlled_uvloop, main)


def test_samples_say_what_the_kernel_knows() -> None:
    async def main() -> None:
        async with pooling() as pool:
            connection = await pool.open(trace())
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
