"""SYN and SYN-ACK, and the round trips of TLS, whose bytes are not modelled further."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.tcp import Path

SYN_BYTES = 60
TLS_BYTES = 600
SYN_TRIES = 7


@dataclass(slots=True)
class Address:
    """One front end of the store. Instants are the world's time; `refuses`: when it does so besides."""

    ip: str
    delay_s: float
    dead_until_s: float = 0.0
    refuses_until_s: float = 0.0
    refuses: tuple[tuple[float, float], ...] = ()

    def refuses_at(self, now_s: float) -> bool:
        return self.refuses_until_s > now_s or any(first <= now_s < last for first, last in self.refuses)


@dataclass(slots=True)
class Handshake:
    """Each of its steps is tried again after 1, 2, 4, ... seconds. `now`: the world's time."""

    now: Callable[[], float]
    counts: Counter[str]
    path: Path
    address: Address
    established: asyncio.Future[float]
    tls_round_trips: int
    over: bool = False
    rtt_s: float = 0.0
    steps: int = 0
    tries: int = 0

    def send(self) -> None:
        if self.over:
            return
        loop, step = self.path.link.loop, self.steps
        self.tries += 1
        if self.tries > SYN_TRIES:
            self._fail(errno.ETIMEDOUT, "Connection timed out")
            return
        arrival_s = self.path.forward(TLS_BYTES if step else SYN_BYTES)
        if arrival_s is not None and self.address.dead_until_s <= self.now():
            loop.at(arrival_s, self._arrived, loop.time(), step)
        loop.at(loop.time() + 2.0 ** (self.tries - 1), self._again, step)

    def _again(self, step: int) -> None:
        if step == self.steps:
            self.send()

    def _arrived(self, sent_s: float, step: int) -> None:
        back_s = self.path.back()
        if back_s is not None:
            self.path.link.loop.at(back_s, self._answered, sent_s, step)

    def _answered(self, sent_s: float, step: int) -> None:
        if self.over or step != self.steps:
            return
        self.rtt_s = self.path.link.loop.time() - sent_s
        if self.address.refuses_at(self.now()):
            self.counts["refused"] += 1
            self._fail(errno.ECONNREFUSED, "Connection refused")
            return
        self.steps += 1
        self.tries = 0
        if self.steps <= self.tls_round_trips:
            self.send()
            return
        self.over = True
        if not self.established.done():
            self.established.set_result(self.rtt_s)

    def _fail(self, number: int, text: str) -> None:
        self.over = True
        if not self.established.done():
            self.established.set_exception(OSError(number, text))
