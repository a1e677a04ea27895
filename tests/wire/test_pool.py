"""The pool: which connection is reused, and that none is forgotten while it is open."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.wire.connect import Connector
from s3_upload.wire.pool import MAX_IDLE_S, Pool
from tests.wire.conftest import run_on
from tests.wire.names import HOST, controlled, controlled_asyncio, controlled_uvloop, exchange
from tests.wire.peers import OK, answering, head_for, read_request, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3_upload.wire.connection import Connection
    from tests.wire.peers import Handler

    Run = Callable[[Callable[[], Any]], None]


@pytest.fixture(params=[controlled_asyncio, controlled_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: run_on(request.param, main)


@contextlib.asynccontextmanager
async def pooling(handler: Handler) -> AsyncIterator[Pool]:
    async with serving(handler) as port:
        loop = asyncio.get_running_loop()
        pool = Pool(Connector(host=HOST, port=port, tls=None, loop=loop), loop)
        yield pool
        await pool.close()


async def use(connection: Connection) -> None:
    assert (await connection.request(head_for(b"x"), b"x", exchange())).status == 200


def state(pool: Pool) -> str:
    """ "open=… idle=…" of its repr."""
    return repr(pool).partition(" ")[2].partition(" ")[2].rstrip(">")


def test_the_one_used_last_is_reused_first(run: Run) -> None:
    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            assert pool.take() is None
            made = [await pool.open(exchange()) for _ in range(3)]
            assert pool.take() is None, "one that is not free was given"
            for connection in (made[1], made[2], made[0]):
                await use(connection)
            assert state(pool) == "open=3 idle=3"
            assert [pool.take() for _ in range(4)] == [made[0], made[2], made[1], None]
            assert state(pool) == "open=3 idle=0"

    run(main)


def test_those_that_were_idle_too_long_are_closed(run: Run) -> None:
    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            old, young = [await pool.open(exchange()) for _ in range(2)]
            await use(old)
            controlled().skip_s += MAX_IDLE_S / 2
            await use(young)
            controlled().skip_s += MAX_IDLE_S / 2 + 1
            assert pool.take() is young
            assert pool.take() is None
            assert not old.usable
            assert state(pool) == "open=1 idle=0"

    run(main)


def test_if_the_youngest_is_too_old_all_are(run: Run) -> None:
    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            made = [await pool.open(exchange()) for _ in range(3)]
            for connection in made:
                await use(connection)
            controlled().skip_s += MAX_IDLE_S + 1
            assert pool.take() is None
            assert not any(connection.usable for connection in made)
            assert state(pool) == "open=0 idle=0"

    run(main)


def test_one_that_the_store_closed_is_forgotten(run: Run) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)

    async def main() -> None:
        async with pooling(once) as pool:
            connection = await pool.open(exchange())
            await use(connection)
            await until(lambda: state(pool) == "open=0 idle=0")
            assert pool.take() is None

    run(main)


def test_one_that_the_store_closed_before_it_was_handed_out_is_not_kept(run: Run) -> None:
    async def rude(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async def main() -> None:
        async with pooling(rude) as pool:
            controlled().before_return = lambda: asyncio.sleep(0.05)  # it is long closed by then
            connection = await pool.open(exchange())
            assert not connection.usable
            with pytest.raises(AttemptError) as caught:
                await connection.request(head_for(b""), b"", exchange())
            assert caught.value.kind is FailureKind.RESET
            assert state(pool) == "open=0 idle=0"

    run(main)


def test_one_that_could_not_be_opened_is_not_kept(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        controlled().answers = [["127.0.0.1", "127.0.0.2"]]
        pool = Pool(Connector(host=HOST, port=1, tls=None, loop=loop), loop)
        with pytest.raises(AttemptError, match="refused"):
            await pool.open(exchange())
        assert state(pool) == "open=0 idle=0"

    run(main)


def test_close_closes_the_idle_and_the_busy(run: Run) -> None:
    left: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        if body == b"x":
            writer.write(OK)
        else:
            asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
        left.append(body.decode())

    asked = asyncio.Event()

    async def main() -> None:
        async with pooling(handler) as pool:
            idle, busy = [await pool.open(exchange()) for _ in range(2)]
            await use(idle)
            waiting = asyncio.ensure_future(busy.request(head_for(b"y"), b"y", exchange()))
            await asked.wait()
            await pool.close()
            with pytest.raises(AttemptError, match="closed by us"):
                await waiting
            assert state(pool) == "open=0 idle=0"
            assert pool.take() is None
            await until(lambda: sorted(left) == ["x", "y"])

    run(main)
