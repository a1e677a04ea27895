"""Joins what a run sends its requests by: the lines in which they wait, and those who decide about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from s3_upload.control.retrying.budget import SpeculationBudget
from s3_upload.control.retrying.outage import Outage
from s3_upload.control.share.courtesy import Courtesy
from s3_upload.control.waiting.timeouts import Timeouts
from s3_upload.report import AttemptReport
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.attempt import Attempts
from s3_upload.transfer.bulk import BulkLine
from s3_upload.transfer.client import Client
from s3_upload.transfer.gate import BURST_S, SHORT_BURST_S, Gate
from s3_upload.transfer.given import Given
from s3_upload.transfer.guard import Fail, Timers
from s3_upload.transfer.hedges import Hedges
from s3_upload.transfer.inquiry import Inquiries
from s3_upload.transfer.lessons import Lessons
from s3_upload.transfer.line import Stander
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.outages import Outages
from s3_upload.transfer.pacer import Pacer, lease_of
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.rate_line import RateLine
from s3_upload.transfer.request import Requests
from s3_upload.transfer.slots import Slots
from s3_upload.transfer.tasks import Tasks
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.tries import Attempt, Request
from s3_upload.transfer.verdicts import Verdicts
from s3_upload.transfer.waiting import Waiting
from s3_upload.transfer.watchdog import Watchdog


class Surroundings(msgspec.Struct, frozen=True):
    """What the parts of a run share. `fail` ends it; `changed`: something has ended, and what follows may
    begin; `more_room`: more may be under way; `reports`: those that wait."""

    client: Client
    given: Given
    loop: asyncio.AbstractEventLoop
    now: Callable[[], float]
    tasks: Tasks
    tell: Teller
    memory: Memory
    unfinished: Unfinished
    fail: Fail
    changed: Callable[[], None]
    more_room: Callable[[], None]
    reports: Delivery


class Sending(msgspec.Struct, frozen=True):
    slots: Slots
    rate: RateLine
    bulk: BulkLine
    waiting: Waiting
    watchdog: Watchdog
    outages: Outages
    verdicts: Verdicts
    requests: Requests
    pacer: Pacer | None

    async def close(self) -> None:
        """Nothing is begun any more, and nothing is tried again."""
        self.slots.close()
        self.waiting.close()
        self.rate.close()
        self.bulk.close()
        await self.outages.close()


def sending_of(run: Surroundings) -> Sending:
    # Some are made before what they call: their functions look it up when they are called.
    client, controls, now, fail = run.client, run.given.controls, run.now, run.fail
    timeout, window = controls.timeout, controls.window
    budget, outage = SpeculationBudget(), controls.outage or Outage(0.0)

    def put_back(standers: list[Stander]) -> None:
        slots.put_back(standers)

    def hedge(attempt: Attempt) -> bool:
        return requests.hedge(attempt)

    def learn(request: Request, report: AttemptReport) -> None:
        outages.saw(request.operation, report)
        lessons.of_answer(request.operation, report)

    def timeouts_of(request: Request) -> Timeouts:
        operation, size = request.operation, len(request.operation.body)
        limits = timeout.timeouts(operation=operation.name, body_bytes=size, retries=request.retries)
        return limits if pacer is None else pacer.courtesy.allow(limits, size)

    pacer = _pacer_of(run, put_back)
    rate = RateLine(controls.rates, now, run.loop, put_back, fail)
    bulk = _bulk_of(run, pacer, put_back)
    waiting = Waiting(controls.retry, now, run.loop, fail)
    watchdog = Watchdog(
        run.loop,
        now,
        budget,
        timeouts_of=lambda attempt: timeouts_of(attempt.request),
        hedge=hedge,
        fail=fail,
    )
    outages = _outages_of(run, outage, waiting, watchdog, lambda: slots.window_limit)
    slots = Slots(window, rate, bulk, outage=outage, reports=run.reports, pacer=pacer)
    lessons = Lessons(
        timeout, window, rate=rate, slots=slots, outages=outages, unfinished=run.unfinished, pacer=pacer
    )
    attempts = Attempts(client, timeouts_of, watchdog, now, pacer.lease if pacer is not None else None)
    verdicts = Verdicts(
        client, controls.retry, run.given.runtime.rng, rate=rate, outages=outages, waiting=waiting
    )
    requests = Requests(
        attempts=attempts,
        slots=slots,
        memory=run.memory,
        waiting=waiting,
        outages=outages,
        verdicts=verdicts,
        lessons=lessons,
        hedges=Hedges(budget, enabled=run.given.config.hedge == "auto"),
        inquiries=Inquiries(attempts, now, learn, run.tell, run.given.runtime.offload),
        tell=run.tell,
        tasks=run.tasks,
        now=now,
        changed=run.changed,
    )
    return Sending(slots, rate, bulk, waiting, watchdog, outages, verdicts, requests, pacer)


def _pacer_of(run: Surroundings, put_back: Callable[[list[Stander]], None]) -> Pacer | None:
    """For a run that is held back."""
    given, pace = run.given, run.given.pace
    if pace is None:
        return None
    lease = lease_of(run.client, given.config.pacing)
    courtesy = Courtesy(pace.share, given.controls.window, blind=not lease.sees)
    gate = Gate(put_back, BURST_S if courtesy.share == "full" else SHORT_BURST_S)
    return Pacer(lease, courtesy, gate, pace, run.now, room=run.more_room, fail=run.fail)


def _bulk_of(run: Surroundings, pacer: Pacer | None, put_back: Callable[[list[Stander]], None]) -> BulkLine:
    return BulkLine(
        # What is in a lease the client does not tell of.
        pacer.lease if pacer is not None and pacer.lease.sees else run.client,
        run.given.controls.bulk,
        run.now,
        paced=lambda: pacer is not None and pacer.bounds,
        put_back=put_back,
        room=run.more_room,
        fail=run.fail,
    )


def _outages_of(
    run: Surroundings, outage: Outage, waiting: Waiting, watchdog: Watchdog, wanted: Callable[[], int]
) -> Outages:
    return Outages(
        run.client,
        outage,
        Timers(run.loop, run.now, run.fail),
        rng=run.given.runtime.rng,
        waiting=waiting,
        watchdog=watchdog,
        observe=run.given.controls.timeout.observe,
        more_room=run.more_room,
        wanted=wanted,
        notice=run.given.notice,
        events=run.given.events,
    )
