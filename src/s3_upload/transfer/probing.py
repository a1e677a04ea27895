"""Probes of a store that may be away: one at a time, outside of the slots.

Each asks by HeadObject for the object about which something was answered last, if there is one: what waits
may be the very thing that somebody on the way does not like.  Any answer of the store's counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3_upload.control.retrying.outage import Change, Outage, Reach
from s3_upload.control.retrying.retry import Rng
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.report import SUCCESS, AttemptReport
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.transfer.client import Client
from s3_upload.transfer.guard import Timers

MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S = 0.02, 0.05
"""The wait before the first probe: among many requests one is answered by then, and spares it."""


class Prober:
    """See the module's text. `observe` learns from a probe's attempt; `act`: from what it changes; `failed`:
    the next one comes at that moment."""

    def __init__(
        self,
        client: Client,
        outage: Outage,
        timers: Timers,
        rng: Rng,
        *,
        observe: Callable[[AttemptReport], None],
        act: Callable[[Change], None],
        failed: Callable[[float], None],
    ) -> None:
        self._client = client
        self._outage = outage
        self._timers = timers
        self._rng = rng
        self._observe = observe
        self._act = act
        self._failed = failed
        self._subject = "", ""  # bucket and key of the object of which something was answered last
        self._next: asyncio.TimerHandle | None = None
        self._probe: asyncio.Task[None] | None = None

    def answered(self, operation: Operation) -> None:
        """Somebody answers about this object."""
        self._subject = operation.bucket, operation.key

    def suspect(self, operation: Operation) -> None:
        """A probe is to be sent soon, for the sake of `operation`."""
        # Nothing was answered yet: the probe has to ask for what waits.
        if not self._subject[1]:
            self._subject = operation.bucket, operation.key
        self._arm(self._rng.uniform(MIN_PROBE_DELAY_S, MAX_PROBE_DELAY_S))

    def disarm(self) -> None:
        """No other is sent."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def close(self) -> None:
        """The same, and that under way is not waited for."""
        self.disarm()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    def _arm(self, delay_s: float) -> None:
        if self._next is None and self._probe is None:
            self._next = self._timers.later(delay_s, self._start)

    def _start(self) -> None:
        self._next = None
        begun_s = self._timers.now()
        self._probe = self._timers.task(self._ask(), lambda probe: self._ended(probe, begun_s))

    async def _ask(self) -> None:
        outage = self._outage
        connect_s, answer_s = outage.probe_limits_s(now=self._timers.now())
        bucket, key = self._subject
        operation = Operation(name=HEAD_OBJECT, bucket=bucket, key=key)
        trace = Trace(SendOptions(connect_s, fresh=True), self._timers.now)
        cause = f"no answer within {answer_s:.3g} s"
        try:
            # The client bounds the handshake alone, so this bounds the wait for the answer.
            async with asyncio.timeout(connect_s + answer_s):
                response = await self._client.send(operation, trace)
        except AttemptError as error:
            # No other probe could be sent, and no request.
            if error.kind is FailureKind.CLIENT_CLOSED:
                self._timers.fail(RunError(error.message, error.kind))
            cause = error.message
        except TimeoutError:
            pass
        else:
            if outage.is_miss(response.status, response.request_id):
                cause = f"something else answers for it, {response.status}"
                self._act(outage.missed(cause, connected=True, begun_s=trace.started_s))
                return
            self._learn(trace, response.status)
            self._act(outage.heard(begun_s=trace.started_s, now=self._timers.now()))
            return
        connected = trace.request_s > 0.0
        self._act(outage.missed(cause, connected=connected, begun_s=trace.started_s))

    def _learn(self, trace: Trace, status: int) -> None:
        """Teaches the timers how long the handshake took: else they would cut the next request's again."""
        report = AttemptReport(
            operation=HEAD_OBJECT,
            started_s=trace.started_s,
            ended_s=self._timers.now(),
            timeout_s=trace.options.connect_timeout_s,
            body_bytes=0,
            outcome=SUCCESS,
            connect_s=trace.connect_s,
            request_s=trace.request_s,
            status=status,
        )
        self._observe(report)

    def _ended(self, probe: asyncio.Task[None], begun_s: float) -> None:
        self._probe = None
        if probe.cancelled():
            return
        error = probe.exception()
        if error is not None:
            self._timers.fail(error)
        elif self._outage.reach is not Reach.THERE:
            now = self._timers.now()
            # The gap lies between two beginnings: what a probe waited for its answer is part of it.
            gap_s = self._outage.gap_s(now=now, rng=self._rng)
            delay_s = max(MIN_PROBE_DELAY_S, begun_s + gap_s - now)
            self._arm(delay_s)
            self._failed(now + delay_s)
