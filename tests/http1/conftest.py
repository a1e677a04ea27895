"""The loops that the wire must work on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Main = Callable[[], Awaitable[None]]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
HANG_S = 20.0


def run_on(new_loop: Callable[[], asyncio.AbstractEventLoop], main: Main) -> None:
    """Runs `main` to its end, in bounded time, and fails for what only the loop's handler hears."""
    problems: list[str] = []
    until_s = time.monotonic() + HANG_S

    async def guarded() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: problems.append(str(context)))
        task = asyncio.current_task()
        assert task is not None

        def bark() -> None:
            if time.monotonic() >= until_s:
                problems.append(f"hung for {HANG_S} s")
                task.cancel()
            else:  # a test moved its loop's clock
                loop.call_later(1.0, bark)

        bark()
        await main()

    work: Coroutine[Any, Any, None] = guarded()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)
    assert problems == []


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """`run(main)` runs an async function on one of the loops."""
    return lambda main: run_on(LOOPS[request.param], main)
