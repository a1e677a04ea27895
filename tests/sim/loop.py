"""An asyncio event loop on a virtual clock.

Rules:

* Time passes only when nothing is left to do at the present instant; computing takes none.
* The outside world (the network, the store) lives in `events`, apart from the timers of the program
  under test, so that a timer or task left over at the end is a leak of the program's.
* Nothing depends on addresses in memory: tasks are hashed by their number, so that iterating over a
  set of them goes the same way in every run.
* A loop that can never wake again, one whose time is up, and one that spins without time passing
  end in an exception that shows what all tasks wait for.
"""

from __future__ import annotations

import asyncio
import heapq
import io
import math
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

START_S = 1_000.0
"""The clock's first reading: not 0.0, which says "not yet" in many places."""
MAX_STEPS_PER_INSTANT = 200_000

Event = tuple[float, int, Callable[..., object], tuple[Any, ...]]


class Stuck(Exception):  # noqa: N818 - a verdict on the program under test
    """The program will not end: it waits for nothing, for too long, or spins."""


class Connects(Protocol):
    """What the loop needs of a network."""

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, tls: bool
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...

    async def resolve(self, host: str, port: int) -> list[tuple[Any, ...]]: ...


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], *, loop: SimLoop, number: int, **options: Any
    ) -> None:
        self.number = number
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.BaseEventLoop):
    """See the module's rules. `limit_s`: how much virtual time may pass."""

    network: Connects
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, limit_s: float = math.inf) -> None:
        super().__init__()
        self._clock_resolution = 1e-9
        self._selector = _Selector(self)
        self._now_s = START_S
        self.limit_s = limit_s
        self.events: list[Event] = []
        self.steps = 0
        """Turns of the loop so far: what `interrupt_at` counts."""
        self.interrupt_at: tuple[int, ...] = ()
        self.interrupt: Callable[[], object] = lambda: None
        self.complaints: list[str] = []
        """What asyncio gave its exception handler: exceptions that nobody saw."""
        self.dead: list[asyncio.Task[Any]] = []
        """Those of a program that was killed."""
        self._dead_ready: list[asyncio.Handle] = []
        self._numbers = 0
        self._steps_now = 0
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        return self._now_s

    def at(self, when_s: float, callback: Callable[..., object], *arguments: Any) -> None:
        """An event of the outside world, at an instant. Events of one instant keep their order."""
        self._numbers += 1
        heapq.heappush(self.events, (when_s, self._numbers, callback, arguments))

    def live_timers(self) -> list[str]:
        """The program's timers that are still to come."""
        return [repr(handle) for handle in self._scheduled if not handle.cancelled()]

    def dump(self) -> str:
        """What every task waits for."""
        out = io.StringIO()
        for task in sorted(asyncio.all_tasks(self), key=hash):
            task.print_stack(limit=4, file=out)
        return out.getvalue()

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        ssl: object = None,
        server_hostname: str | None = None,
        **_ignored: object,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        return await self.network.connect(protocol_factory, host, port, tls=ssl is not None)

    async def getaddrinfo(  # type: ignore[override]
        self, host: str, port: int, **_ignored: object
    ) -> list[tuple[Any, ...]]:
        return await self.network.resolve(host, port)

    async def look_up(self, host: str, port: int) -> list[str]:
        """For the client, which else asks the real resolver, in a thread."""
        return [info[4][0] for info in await self.getaddrinfo(host, port)]

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Future[Any]:
        self._numbers += 1
        assert isinstance(coroutine, Coroutine)
        return SimTask(coroutine, loop=self, number=self._numbers, **options)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}" if error else str(context))

    def _process_events(self, event_list: list[object]) -> None:
        """Events of the outside world act by themselves."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def forget(self, *spared: asyncio.Task[Any]) -> None:
        """The program is killed: nothing of it runs any more, but for what is `spared`. Its tasks are kept: a
        collector would wake them once more."""
        self.dead += [task for task in asyncio.all_tasks(self) if task not in (*spared, *self.dead)]
        self._dead_ready += self._ready
        self._ready.clear()
        self._scheduled.clear()

    def bury(self) -> None:
        """What was killed may end, when nobody looks any more: first by what it would have done next."""
        self._ready.extend(self._dead_ready)
        self._dead_ready.clear()

    def advance(self, timeout_s: float | None) -> None:
        """One turn: lets the outside world act until the program has something to do."""
        self.steps += 1
        if self.steps in self.interrupt_at:
            self.interrupt()
        before_s = self._now_s
        due_s = math.inf if timeout_s is None else before_s + timeout_s
        events, ready = self.events, self._ready
        while not ready and events and events[0][0] <= due_s:
            when_s, _, callback, arguments = heapq.heappop(events)
            self._now_s = max(self._now_s, when_s)
            callback(*arguments)
        if not ready:
            if due_s == math.inf:
                raise Stuck(f"nothing will ever wake these tasks:\n{self.dump()}")
            self._now_s = max(self._now_s, due_s)
        self._steps_now = 0 if self._now_s > before_s else self._steps_now + 1
        if self._steps_now > MAX_STEPS_PER_INSTANT:
            raise Stuck(f"spinning without time passing:\n{self.dump()}")
        if self._now_s > START_S + self.limit_s:
            raise Stuck(f"not done after {self.limit_s:.0f} virtual seconds:\n{self.dump()}")


class _Selector:
    """What `BaseEventLoop` asks to wait."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        self._loop.advance(timeout)
        return []
