"""What becomes of an attempt that has failed: `retry.py` decides, this module acts.

A unit is tried again when its delay is over and its retry is paid for, with its body read anew where
the decision says so; or what failed is put right in the client, for all requests; or the run stops; or
the unit is given up, and its upload (`Upload.refuse`) says what that means for the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from s3_upload.control.retrying.outage import by_ingress
from s3_upload.control.retrying.retry import Failed, Retry, Rng, Verdict
from s3_upload.errors import FailureKind
from s3_upload.s3.operations import ASKING, COMPLETE_MULTIPART_UPLOAD
from s3_upload.s3.responses import Failure
from s3_upload.transfer.attempt import Outcome, run_error, upload_error
from s3_upload.transfer.client import Client
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.sink import Sink
from s3_upload.transfer.unit import MAKES_THE_OBJECT, Unit
from s3_upload.transfer.waiting import Waiting


class Failures:
    """See the module's text. `budget_wait_s` and `notes` are for the summary."""

    def __init__(  # noqa: PLR0917 - what the scheduler has
        self,
        client: Client,
        retry: Retry,
        rng: Rng,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        rate: RateLine,
    ) -> None:
        self._rate = rate
        self._client = client
        self._retry = retry
        self._rng = rng
        self._sink = sink
        self.waiting = Waiting(retry, sink.now, loop, sink.fail)
        self._notes: dict[FailureKind, str] = {}
        self._left_over = ""

    @property
    def budget_wait_s(self) -> float:
        """For how long retries waited for want of a budget."""
        return self.waiting.budget_wait_s

    @property
    def notes(self) -> Collection[str]:
        """Phrases about what was put right on the way."""
        return [*self._notes.values(), *((self._left_over,) if self._left_over else ())]

    def note_left_over(self, keys: Sequence[str]) -> None:
        """The multipart uploads of these objects could not be aborted."""
        more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
        self._left_over = f"could not abort the multipart upload of {keys[0]}{more}: parts may be left there"

    def close(self) -> None:
        """Nothing is tried again any more."""
        self.waiting.close()

    def succeeded(self, unit: Unit) -> None:
        """A request has succeeded: what waits may go on."""
        was_refused = bool(unit.corrected) and any(kind.stops_run for kind in unit.corrected)
        asking = unit.operation.name in ASKING
        self._retry.succeeded(unit.retry_cost, was_refused=was_refused, asking=asking)
        self.waiting.succeeded()

    def settle(
        self,
        unit: Unit,
        outcome: Outcome,
        *,
        any_answer: bool = True,
        asked: bool = False,
        outwaited: bool = False,
    ) -> Verdict:
        """Decides, and does what is to be done at once; `correct`, and asking, are the caller's. `asked`:
        that was done.  `outwaited`: its answer was waited for as long as any is."""
        failure = outcome.failure
        assert failure is not None
        # Nothing at all is accepted: that says nothing of this request, which must not fail for it.  What
        # need not be asked goes on without an answer: to be sent may be what is accepted.
        spared = failure.kind.cuts_window and not unit.upload.may_be_missing and self._rate.blocked(unit)
        retries = 0 if spared else unit.retries
        failed = _failed(unit, failure, asked=asked, retries=retries, outwaited=outwaited)
        decision = self._retry.decide(failed, any_answer=any_answer, rng=self._rng)
        if decision.verdict is Verdict.RETRY or decision.verdict is Verdict.REREAD:
            unit.retries += not spared
            unit.avoid = outcome.report.address
            unit.fresh = failure.kind.doubts_connection
            unit.upload.retries += unit.operation.name not in ASKING
            unit.retry_cost = decision.cost
            if decision.verdict is Verdict.REREAD or failure.kind.stops_run:
                unit.corrected += (failure.kind,)
            again = self._sink.reread if decision.verdict is Verdict.REREAD else self._sink.resume
            asked_s = min(failure.retry_after_s or 0.0, decision.delay_s)
            unanswered = not outcome.report.status or by_ingress(outcome.report)
            self.waiting.add(unit, decision.delay_s, again, asked_s=asked_s, unanswered=unanswered)
        elif decision.verdict is Verdict.STOP_RUN:
            self._sink.fail(run_error(self._client, unit, failure, outcome.exchange, decision.in_a_row))
        elif decision.verdict is Verdict.FAIL_FILE:
            self._sink.give_up(unit, upload_error(unit, failure))
        return decision.verdict

    async def correct(self, unit: Unit, outcome: Outcome) -> None:
        """In its slot, on purpose: while tokens are renewed, a next request would only fail as well."""
        failure = outcome.failure
        assert failure is not None
        unit.corrected += (failure.kind,)
        if not await self._client.correct(unit.operation, failure, outcome.exchange):
            self.settle(unit, outcome)  # it counts as put right, in vain
            return
        if remark := self._client.remark(failure, outcome.exchange):
            self.note(failure.kind, remark)
        self._sink.resume(unit)

    def note(self, kind: FailureKind, text: str) -> None:
        """For the summary, one of a kind."""
        self._notes.setdefault(kind, text)


def _failed(unit: Unit, failure: Failure, *, asked: bool, retries: int, outwaited: bool) -> Failed:
    refused = failure.kind.is_foreign or 300 <= failure.status < 500
    return Failed(
        kind=failure.kind,
        retries=retries,
        corrected=unit.corrected.count(failure.kind),
        completing=unit.operation.name == COMPLETE_MULTIPART_UPLOAD,
        asking=unit.operation.name in ASKING,
        can_ask=unit.operation.name in MAKES_THE_OBJECT and not asked,
        outwaited=outwaited,
        object_seq=unit.upload.seq,
        alike=f"{failure.status} {failure.code}" if refused else "",
        retry_after_s=failure.retry_after_s,
    )
