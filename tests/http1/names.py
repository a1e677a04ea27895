"""Loops whose resolver and clock belong to the test; sockets stay real."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import uvloop

from s3_upload.http1.trace import SendOptions, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "localhost"
"""What the connectors of these tests ask for; the resolver's answers are in `Controlled.answers`."""


class Controlled:
    """Mixed into a loop class. `answers`: what the next look-ups give (the last one again and again).
    `made`: the protocols of the connections made, before `before_return` is awaited."""

    answers: list[list[str] | Exception]
    lookups: int
    dialled: list[str]
    made: list[Any]
    skip_s: float
    gate: asyncio.Event | None
    before_return: Callable[[], Any] | None

    def prepare(self) -> None:
        self.answers = [["127.0.0.1"]]
        self.lookups = 0
        self.dialled = []
        self.made = []
        self.skip_s = 0.0
        self.gate = None
        self.before_return = None

    def time(self) -> float:
        return float(super().time()) + self.skip_s  # type: ignore[misc] # the loop's

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.lookups += 1
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]

    async def create_connection(self, factory: Any, address: str, port: int, **options: Any) -> Any:
        self.dialled.append(address)
        made = await super().create_connection(factory, address, port, **options)  # type: ignore[misc]
        self.made.append(made[1])
        if self.before_return is not None:
            await self.before_return()
        return made


class _Asyncio(Controlled, asyncio.SelectorEventLoop):  # type: ignore[misc] # overrides on purpose
    pass


class _Uvloop(Controlled, uvloop.Loop):  # type: ignore[misc] # overrides on purpose
    pass


def controlled_asyncio() -> asyncio.AbstractEventLoop:
    loop = _Asyncio()
    loop.prepare()
    return loop


def controlled_uvloop() -> asyncio.AbstractEventLoop:
    loop = _Uvloop()
    loop.prepare()
    return loop


async def look_up(host: str, port: int) -> list[str]:
    """By the running loop's resolver, which is the test's."""
    return [info[4][0] for info in await controlled().getaddrinfo(host, port)]


def controlled() -> Any:
    """The running loop."""
    return asyncio.get_running_loop()


def trace(
    *, connect_timeout_s: float = 5.0, fresh: bool = False, avoid: str = "", lease: object = None
) -> Trace:
    options = SendOptions(connect_timeout_s, fresh, avoid, lease)
    return Trace(options, asyncio.get_running_loop().time)
