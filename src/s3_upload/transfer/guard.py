"""Callbacks that the event loop calls, and whose exceptions end the run.

A loop prints what a callback raises and goes on.  What the callback was to do is never done, and who
waits for it waits for ever.  So an exception here ends the run, which then raises it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Fail = Callable[[BaseException], None]
"""Ends the run; only the first call counts."""


def guarded(fail: Fail, act: Callable[..., None]) -> Callable[..., None]:
    """`act`, for the loop to call: `fail` is told what it raises."""

    def call(*arguments: Any) -> None:
        try:
            act(*arguments)
        # Nobody is cancelled in a callback, so a CancelledError is an error like any other.
        except (Exception, asyncio.CancelledError) as error:
            fail(error)

    return call


class Timers:
    """What the loop calls later, guarded. `now`: the run's clock; `fail` ends the run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float], fail: Fail) -> None:
        self._loop = loop
        self.now = now
        self.fail = fail

    def guard(self, act: Callable[..., None]) -> Callable[..., None]:
        return guarded(self.fail, act)

    def later(self, delay_s: float, act: Callable[..., None], *arguments: Any) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_s, guarded(self.fail, act), *arguments)

    def soon(self, act: Callable[[], None]) -> None:
        """In the next turn of the loop."""
        self._loop.call_soon(guarded(self.fail, act))

    def task(
        self, work: Coroutine[Any, Any, None], ended: Callable[[asyncio.Task[None]], None]
    ) -> asyncio.Task[None]:
        """`work` as a task; `ended` is called with it."""
        task = self._loop.create_task(work)
        task.add_done_callback(guarded(self.fail, ended))
        return task


async def undisturbed(work: Awaitable[None]) -> None:
    """Awaits `work` to its end. A cancellation meanwhile (a second Ctrl-C) takes effect after that."""
    ending = asyncio.ensure_future(work)
    cancelled = False
    while not ending.done():
        # If this is cancelled, `wait` leaves the task alone.
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError:
            cancelled = True
    ending.result()
    if cancelled:
        raise asyncio.CancelledError
