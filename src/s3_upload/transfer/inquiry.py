"""Asks the store by HeadObject whether an object is there that nothing else proves.

Rules:

* Where an answer proves no success (`Verdict.ASK`), it is asked at once, in the slot of the attempt.
* Where CompleteMultipartUpload is not answered, it is asked beside the open request: after ASK_AFTER_S, then
  in waits that double.  Making a large object may take a store minutes, so the request is not cut; but an
  answer that was lost on the way comes never.
* What is proven (`s3/proof.py`) ends the unit as a success.  Anything else leaves all as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from s3_upload.http import Response
from s3_upload.report import AttemptReport
from s3_upload.transfer.attempt import Attempts
from s3_upload.transfer.guard import guarded
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.unit import Unit

ASK_AFTER_S = 8.0
"""After the request was sent.  S3 answers most CompleteMultipartUploads in a second or two."""
ROUNDING_S = 1e-3
"""A shorter rest is rounding, and a timer for it would not move the clock."""


class Inquiries:
    """See the module's rules. `learn` is told of each answer; `proven` ends a unit by what was found."""

    def __init__(
        self,
        attempts: Attempts,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        learn: Callable[[Unit, AttemptReport], None],
        proven: Callable[[Unit, Response], None],
    ) -> None:
        self._attempts = attempts
        self._loop = loop
        self._sink = sink
        self._learn = learn
        self._proven = proven
        self._look = guarded(sink.fail, self._look_at)
        self._asked = guarded(sink.fail, self._after_asking)
        self._timers: dict[Unit, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, unit: Unit) -> tuple[Response | None, str]:
        """What proves that what `unit` sent is there; or None, and why nothing does."""
        upload = unit.upload
        question = upload.question_about(unit)
        answer = await self._attempts.make(question, hedge=False)
        if answer.exchange.stale:
            question.fresh = True
            answer = await self._attempts.make(question, hedge=False)
        self._learn(unit, answer.report)
        if not unit.settled:
            upload.attempt_reports.append(answer.report)
        if answer.response is not None:
            why_not = upload.disproof(unit, answer.response)
            return (None, why_not) if why_not else (Response(200, answer.response.headers), "")
        assert answer.failure is not None
        return None, f"it answered {answer.failure.status}" if answer.failure.status else "no answer"

    def watch(self, unit: Unit) -> None:
        """Asks whenever `unit`, which completes an object, waits for long."""
        self._arm(unit, ASK_AFTER_S, ASK_AFTER_S)

    async def close(self) -> None:
        """Nothing is asked any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def _arm(self, unit: Unit, delay_s: float, patience_s: float) -> None:
        self._timers[unit] = self._loop.call_later(delay_s, self._look, unit, patience_s)

    def _look_at(self, unit: Unit, patience_s: float) -> None:
        """`patience_s`: how long its request may be unanswered before it is asked."""
        del self._timers[unit]
        if unit.settled:
            return
        now = self._sink.now()
        sent_s = min((one.exchange.request_s or now for one in unit.in_flight), default=now)
        wait_s = sent_s + patience_s - now
        if wait_s > ROUNDING_S:
            self._arm(unit, wait_s, patience_s)
            return
        asking = self._loop.create_task(self._ask_beside(unit))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        self._arm(unit, patience_s, 2.0 * patience_s)

    async def _ask_beside(self, unit: Unit) -> None:
        found, _ = await self.ask(unit)
        if found is not None and not unit.settled and unit.in_flight:
            self._proven(unit, found)

    def _after_asking(self, asking: asyncio.Task[None]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled() and (error := asking.exception()) is not None:
            self._sink.fail(error)
