"""Sends objects that go in one request, by tasks that go from one to the next.

A new task costs more than to wake one that waits, which counts where an object is 4 KiB.  So who has sent one
passes its slot on, and takes the next that gets one in that moment; else it waits for more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from s3_upload.transfer.line import Place
from s3_upload.transfer.put import in_doubt, put
from s3_upload.transfer.slots import Slots
from s3_upload.transfer.tools import Tools
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp


class Senders:
    """See the module's text. `changed` is called after each object."""

    def __init__(self, tools: Tools, slots: Slots, changed: Callable[[], None]) -> None:
        self._tools = tools
        self._slots = slots
        self._changed = changed
        self._ready: deque[Request] = deque()  # that have their slots
        self._passing = False
        self._idle: list[asyncio.Future[None]] = []

    @property
    def idle(self) -> int:
        """How many tasks wait for something to send."""
        return len(self._idle)

    def send(self, request: Request) -> None:
        """Sends an object by `request`, which is begun, when it has its slot."""
        self._slots.stand(request.operation, partial(self._go, request), Place.NEW)

    def _go(self, request: Request) -> bool:
        self._ready.append(request)
        if self._passing:
            self._passing = False
        # One that was cancelled a moment ago (a loop that ends cancels all its tasks) takes nothing any more.
        elif self._idle and not (turn := self._idle.pop()).done():
            turn.set_result(None)
        else:
            self._tools.tasks.start(self._work())
        return True

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._ready:
                await self._send(self._ready.popleft())
            if self._ready:
                self._changed()
                continue
            turn = loop.create_future()
            self._idle.append(turn)
            # Now that it is idle: where nothing is left to do the run ends.
            self._changed()
            await turn

    async def _send(self, request: Request) -> None:
        try:
            answer = await self._tools.requests.carry_out(request, None)
        except GivenUp as given_up:
            await put(self._tools, request.record, partial(in_doubt, self._tools, request, given_up))
            return
        self._tools.reporting.ended(request.record, etag=answer.etag)
        # Not before its report: while reports wait, nothing is begun.
        if request.has_slot:
            self._passing = True
            self._slots.leave(request.operation)
            self._passing = False
