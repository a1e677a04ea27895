"""Aborts attempts whose time is up.

One timer for all attempts in flight, armed for the earliest deadline: an attempt that ends in time
costs a dictionary entry and no timer.  A handshake has its own timer (`wire/connect.py`); an
attempt's time counts from the moment its request began on a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3_upload.wire.exchange import Exchange

MIN_SLEEP_S = 0.001


class Watchdog:
    """See the module's theory. `now` is the clock that `Exchange` times are read from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._limits_s: dict[Exchange, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_s = 0.0

    def watch(self, exchange: Exchange, total_s: float) -> None:
        """Aborts `exchange` when its request has taken `total_s`, unless `unwatch` comes first."""
        self._limits_s[exchange] = total_s
        due_s = exchange.started_s + total_s
        if self._timer is None or due_s < self._armed_for_s:
            self._arm(due_s)

    def unwatch(self, exchange: Exchange) -> None:
        del self._limits_s[exchange]

    def close(self) -> None:
        """Forgets everything and stops the timer."""
        self._limits_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for_s = due_s
        self._timer = self._loop.call_later(max(due_s - self._now(), MIN_SLEEP_S), self._check)

    def _check(self) -> None:
        self._timer = None
        now_s = self._now()
        next_due_s = float("inf")
        for exchange, limit_s in tuple(self._limits_s.items()):
            due_s = (exchange.request_s or now_s) + limit_s
            if due_s > now_s:
                next_due_s = min(next_due_s, due_s)
            elif exchange.abort is not None:
                exchange.abort(f"no complete answer within {limit_s:.3g} s")
        if next_due_s < float("inf"):
            self._arm(next_due_s)
