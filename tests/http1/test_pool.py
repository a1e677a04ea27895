"""The pool: which connection is reused, and that none is forgotten while it is open."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.descriptors import PATIENCE_S
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connect import Connector
from s3_upload.http1.connection import Connection
from s3_upload.http1.dial import NoDescriptorError
from s3_upload.http1.pool import MAX_IDLE_S, Pool
from tests.http1.conftest import run_on
from tests.http1.names import HOST, controlled, controlled_asyncio, controlled_uvloop, look_up, trace
from tests.http1.peers import OK, answering, head_for, read_request, serving, until
from tests.sim.loop import SimLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from s3_upload.http1.trace import Trace
    from tests.http1.peers import Handler

    Run = Callable[[Callable[[], Any]], None]


@pytest.fixture(params=[controlled_asyncio, controlled_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: run_on(request.param, main)


@contextlib.asynccontextmanager
async def pooling(handler: Handler) -> AsyncIterator[Pool]:
    async with serving(handler) as port:
        loop = asyncio.get_running_loop()
        pool = Pool(Connector(host=HOST, port=port, tls=None, loop=loop, look_up=look_up), loop)
        yield pool
        await pool.close()


async def use(connection: Connection) -> None:
    assert (await connection.request(head_for(b"x"), b"x", trace())).status == 200


def state(pool: Pool) -> str:
    """ "open=… idle=…" of its repr."""
    return repr(pool).partition(" ")[2].partition(" ")[2].rstrip(">")


def test_the_one_used_last_is_reused_first(run: Run) -> None:
    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            assert pool.take() is None
            made = [await pool.open(trace()) for _ in range(3)]
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
            old, young = [await pool.open(trace()) for _ in range(2)]
            await use(old)
            controlled().skip_s += MAX_IDLE_S / 2
            await use(young)
            controlled().skip_s += MAX_IDLE_S / 2 + 1
            assert pool.take() is young
            assert pool.take() is None
            assert not old.usable
            assert state(pool) == "open=1 idle=0"

    run(main)


def test_those_that_nobody_needs_any_more_are_closed_in_time_though_others_are_in_use() -> None:
    """The bottom of the pile: while the top is taken again and again, nobody ever looks there."""

    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            made = [await pool.open(trace()) for _ in range(4)]
            for connection in made:
                await use(connection)
            for _ in range(2):
                controlled().skip_s += 0.6 * MAX_IDLE_S
                taken = pool.take()
                assert taken is made[3]
                await use(taken)
            await until(lambda: state(pool) == "open=1 idle=1")
            assert [connection.usable for connection in made] == [False, False, False, True]
            controlled().skip_s += MAX_IDLE_S + 1
            await until(lambda: state(pool) == "open=0 idle=0")

    run_on(controlled_asyncio, main)  # whose timers follow the clock of the test


def test_one_that_has_to_be_new_takes_the_place_of_the_oldest_idle_one(run: Run) -> None:
    """However many are asked for, no more are open than were in use at once."""

    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            made = [await pool.open(trace()) for _ in range(3)]
            for connection in made:
                await use(connection)
            for number in range(20):
                oldest = next(iter(pool._idle))
                await use(await pool.open(trace()))
                assert not oldest.usable, number
                assert state(pool) == "open=3 idle=3"

    run(main)


class Scarce:
    """A connector for which there is no file descriptor, so many times."""

    host, port = "h", 1

    def __init__(self, times: int) -> None:
        self.left = times
        self.made = 0

    async def open(self, _trace: Trace, on_idle: Any, on_closed: Any) -> Connection:
        await asyncio.sleep(0)
        if self.left > 0:
            self.left -= 1
            raise NoDescriptorError(FailureKind.CONNECT, "too many open files")
        self.made += 1
        loop = asyncio.get_running_loop()
        connection = Connection(loop=loop, address="a", on_idle=on_idle, on_closed=on_closed)
        connection._transport = _Nowhere()  # type: ignore[assignment]
        return connection

    def close(self) -> None:
        pass

    async def ended(self) -> None:
        pass


class _Nowhere:
    def abort(self) -> None:
        pass


def scarce_pool(times: int) -> tuple[Scarce, Pool]:
    connector: Any = Scarce(times)
    return connector, Pool(connector, asyncio.get_running_loop())


def in_virtual_time(main: Any) -> None:
    loop = SimLoop(600.0)
    try:
        loop.run_until_complete(main())
        assert loop.live_timers() == []
    finally:
        loop.close()


def test_without_a_file_descriptor_the_oldest_idle_one_gives_up_its_own() -> None:
    async def main() -> None:
        connector, pool = scarce_pool(0)
        made = [await pool.open(trace()) for _ in range(2)]
        for connection in made:
            pool.put_back(connection)
        pool._most = 100  # else there would be room without any want
        connector.left = 1
        assert await pool.open(trace(fresh=True)) not in made
        assert [connection.usable for connection in made] == [False, True]
        await pool.close()

    in_virtual_time(main)


def test_without_a_file_descriptor_whoever_can_takes_one_that_becomes_idle() -> None:
    async def main() -> None:
        connector, pool = scarce_pool(0)
        busy = await pool.open(trace())
        connector.left = 1000
        waiting = asyncio.ensure_future(pool.open(trace(connect_timeout_s=5.0)))
        await asyncio.sleep(2.0)
        pool.put_back(busy)
        assert await waiting is busy
        await pool.close()

    in_virtual_time(main)


def test_without_a_file_descriptor_nobody_waits_for_ever() -> None:
    """But longer than for a handshake: others have theirs for as long as a request takes."""

    async def main() -> None:
        _, pool = scarce_pool(10_000)
        begun_s = asyncio.get_running_loop().time()
        with pytest.raises(AttemptError, match="too many open files"):
            await pool.open(trace(connect_timeout_s=5.0))
        assert PATIENCE_S <= asyncio.get_running_loop().time() - begun_s < PATIENCE_S + 0.2
        assert state(pool) == "open=0 idle=0"
        await pool.close()

    in_virtual_time(main)


def test_if_the_youngest_is_too_old_all_are(run: Run) -> None:
    async def main() -> None:
        async with pooling(answering(OK)) as pool:
            made = [await pool.open(trace()) for _ in range(3)]
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
            connection = await pool.open(trace())
            await use(connection)
            await until(lambda: state(pool) == "open=0 idle=0")
            assert pool.take() is None

    run(main)


async def until_closed() -> None:
    """The end of the connection that was made last has been seen."""
    await until(lambda: not controlled().made[-1].usable)


async def rude(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Closes at once."""


def test_one_that_the_store_closed_before_it_was_handed_out_is_not_kept(run: Run) -> None:
    async def main() -> None:
        async with pooling(rude) as pool:
            controlled().before_return = until_closed
            connection = await pool.open(trace())
            assert not connection.usable
            with pytest.raises(AttemptError) as caught:
                await connection.request(head_for(b""), b"", trace())
            assert caught.value.kind is FailureKind.RESET
            assert state(pool) == "open=0 idle=0"

    run(main)


def test_one_that_the_store_closed_and_nobody_needs_any_more_is_not_kept(run: Run) -> None:
    """Its request was answered on another one meanwhile."""

    async def main() -> None:
        async with pooling(rude) as pool:
            controlled().before_return = until_closed
            connection = await pool.open(trace())
            connection.keep()
            assert state(pool) == "open=0 idle=0"

    run(main)


def test_one_that_could_not_be_opened_is_not_kept(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        controlled().answers = [["127.0.0.1", "127.0.0.2"]]
        pool = Pool(Connector(host=HOST, port=1, tls=None, loop=loop, look_up=look_up), loop)
        with pytest.raises(AttemptError, match="refused"):
            await pool.open(trace())
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
            idle, busy = [await pool.open(trace()) for _ in range(2)]
            await use(idle)
            waiting = asyncio.ensure_future(busy.request(head_for(b"y"), b"y", trace()))
            await asked.wait()
            await pool.close()
            with pytest.raises(AttemptError, match="client was closed"):
                await waiting
            assert state(pool) == "open=0 idle=0"
            assert pool.take() is None
            await until(lambda: sorted(left) == ["x", "y"])

    run(main)
