"""One request and its second copies: which of them decides, and that each gives back what it took."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from s3_upload.config import UploadConfig
from s3_upload.control.concurrency.window import FixedWindow
from s3_upload.control.retrying.outage import Outage, Reach
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.adaptive import AdaptiveTimeout
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.observe.events import Events, Listening, StoreBack
from s3_upload.parts import StoreParts
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import PUT_OBJECT, Operation
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.abort import Unfinished
from s3_upload.transfer.given import Controls, Given, Runtime
from s3_upload.transfer.line import Place
from s3_upload.transfer.memory import Memory
from s3_upload.transfer.progress import Delivery
from s3_upload.transfer.record import Record
from s3_upload.transfer.sending import Sending, Surroundings, sending_of
from s3_upload.transfer.tasks import Tasks
from s3_upload.transfer.teller import Teller
from s3_upload.transfer.tries import Request
from s3_upload.transfer.verdicts import GivenUp

if TYPE_CHECKING:
    from s3_upload.http1.trace import Trace
    from s3_upload.pace import Pace
    from s3_upload.transfer.client import Client

DONE = Response(200, {"etag": '"e"'})
REFUSED = Response(400, {}, b"<Error><Code>InvalidArgument</Code><Message>no</Message></Error>")
WINDOW = 2
TURNS = 20


class Store:
    """A client whose answers the test gives: `answers` has a future for each request under way."""

    endpoint = "http://store"
    digests = Digests()
    parts = StoreParts()

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[Response]] = []

    async def send(self, _: Operation, trace: Trace) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        trace.request_s = trace.now()

        def abort(reason: str) -> None:
            if not answer.done():
                answer.set_exception(AttemptError(FailureKind.TIMEOUT, reason))

        trace.abort = abort
        return await answer

    def remark(self, *_: object) -> str:
        return ""


def surroundings(
    client: Client,
    controls: Controls,
    *,
    fail: Callable[[BaseException], None],
    changed: Callable[[], None] = lambda: None,
    tasks: Tasks | None = None,
    memory: Memory | None = None,
    pace: Pace | None = None,
    events: Events | None = None,
) -> Surroundings:
    """Those of a run with that client on the running loop."""
    loop, events = asyncio.get_running_loop(), events or Events()
    runtime = Runtime(loop.time, random.Random(1), cast("Any", None), cast("Any", None))
    given = Given(
        "bucket", UploadConfig(), controls, runtime, cast("Any", None), None, None, events, pace=pace
    )
    return Surroundings(
        client,
        given,
        loop,
        loop.time,
        Tasks(fail, lambda: None) if tasks is None else tasks,
        Teller(events, loop.time, fail),
        Memory(1 << 20) if memory is None else memory,
        Unfinished(client, loop.time),
        fail=fail,
        changed=changed,
        more_room=lambda: None,
        reports=Delivery(None, on_error=fail, on_empty=lambda: None),
    )


class Rig:
    def __init__(self, events: Events | None = None) -> None:
        self.store = Store()
        self.errors: list[BaseException] = []
        self.tasks = Tasks(self.errors.append, lambda: None)
        self.memory = Memory(1 << 20)
        self.alive_at_changes: list[int] = []
        """How many requests were alive whenever others might be begun."""
        self.outage = Outage(0.0)
        timeout = AdaptiveTimeout(UploadConfig())
        around = surroundings(
            cast("Client", self.store),
            Controls(timeout, Retry(0), FixedWindow(WINDOW), outage=self.outage),
            fail=self.errors.append,
            changed=lambda: self.alive_at_changes.append(self.sending.requests.alive),
            tasks=self.tasks,
            memory=self.memory,
            events=events,
        )
        self.sending: Sending = sending_of(around)
        record = Record(0, ObjectSource.data(b"body", "key"), 4, 0.0, 1.0, [])
        operation = Operation(name=PUT_OBJECT, bucket="bucket", key="key", body=b"body")
        self.request = Request(record, operation)
        self.result = self.tasks.start(self._carried_out())

    async def _carried_out(self) -> Response | GivenUp:
        try:
            return await self.sending.requests.make(self.request, Place.NEW)
        except GivenUp as given_up:
            return given_up

    async def settle(self) -> None:
        """Everything that can go on without time or the store does."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def under_way(self, count: int) -> None:
        await self.settle()
        assert len(self.store.answers) == count

    async def hedge(self, count: int = 2) -> None:
        """A copy beside the first attempt, so that `count` are under way."""
        assert self.sending.requests.hedge(self.request.in_flight[0])
        await self.under_way(count)

    async def fail(self, index: int, kind: FailureKind = FailureKind.RESET) -> None:
        self.store.answers[index].set_exception(AttemptError(kind, f"attempt {index} failed"))
        await self.settle()

    async def end(self) -> Response | GivenUp:
        """What it came to, when nothing is under way and all is given back."""
        result = await self.result
        await self.settle()
        assert len(self.tasks) == 0
        await self.sending.close()
        self.sending.watchdog.close()
        slots, requests = self.sending.slots, self.sending.requests
        assert (slots.in_use, slots.capacity, requests.alive) == (0, WINDOW, 0)
        assert self.memory.fits(1 << 20)
        assert self.errors == []
        return result


def run(main: Callable[[Rig], Awaitable[None]]) -> None:
    async def with_rig() -> None:
        await main(Rig())

    asyncio.run(with_rig())


def test_the_first_success_counts_and_ends_the_others() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        rig.store.answers[1].set_result(DONE)
        assert await rig.end() == DONE
        outcomes = [(report.outcome, report.hedge) for report in rig.request.record.attempt_reports]
        assert outcomes == [("superseded", False), ("success", True)]

    run(main)


def test_a_listener_that_raises_when_the_store_is_back_takes_no_answer_with_it() -> None:
    """Of a Create, that would be the only one who knows of the upload."""

    def listener(_: object) -> None:
        raise KeyError("mine")

    async def main() -> None:
        rig = Rig(Events([Listening(listener, frozenset({StoreBack}))]))
        await rig.under_way(1)
        rig.outage.reach = Reach.AWAY
        rig.store.answers[0].set_result(DONE)
        assert await rig.result == DONE
        assert [str(error) for error in rig.errors] == ["'mine'"]
        await rig.sending.close()

    asyncio.run(main())


def test_a_failure_leaves_the_decision_to_the_copy() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        await rig.fail(0)
        rig.store.answers[1].set_result(DONE)
        assert await rig.end() == DONE

    run(main)


def test_where_all_fail_the_last_failure_decides() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        await rig.fail(0)
        rig.store.answers[1].set_result(REFUSED)
        given_up = await rig.end()
        assert isinstance(given_up, GivenUp)
        assert given_up.error.kind is FailureKind.REJECTED

    run(main)


@pytest.mark.parametrize("first", [0, 1], ids=["original", "copy"])
def test_what_the_store_refuses_counts_more_than_the_silence_of_the_other_copy(first: int) -> None:
    """The object was reported as one without an answer, though it was known why it failed."""

    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        rig.store.answers[first].set_result(REFUSED)
        await rig.settle()
        await rig.fail(1 - first, FailureKind.TIMEOUT)
        given_up = await rig.end()
        assert isinstance(given_up, GivenUp)
        assert given_up.error.kind is FailureKind.REJECTED

    run(main)


def test_a_copy_that_succeeds_makes_up_for_a_refusal() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        rig.store.answers[1].set_result(REFUSED)
        await rig.settle()
        rig.store.answers[0].set_result(DONE)
        assert await rig.end() == DONE

    run(main)


def test_an_original_that_has_failed_leaves_its_slot_to_its_copy() -> None:
    """After an outage there are few slots: originals that kept theirs waited for copies that had none."""

    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        rig.outage.room = 0
        assert rig.sending.requests.hedge(rig.request.in_flight[0])
        await rig.settle()
        rig.outage.room = 1
        await rig.fail(0)
        await rig.under_way(2)
        rig.store.answers[1].set_result(DONE)
        rig.outage.room = math.inf
        assert await rig.end() == DONE

    run(main)


def test_what_was_let_in_before_the_store_went_is_not_sent_after_it() -> None:
    """A turn of the loop lies between: what was sent in it failed in vain, beside the only probe."""

    async def main(rig: Rig) -> None:
        slots, operation = rig.sending.slots, rig.request.operation
        for _ in range(WINDOW):
            await slots.take(operation, Place.FIRST)
        await rig.settle()
        slots.leave(operation)
        rig.outage.room = 0
        slots.leave(operation)
        await rig.settle()
        assert rig.store.answers == []
        rig.outage.room = math.inf
        slots.let_in()
        await rig.under_way(1)
        rig.store.answers[0].set_result(DONE)
        assert await rig.end() == DONE

    run(main)


def test_a_copy_that_failed_before_its_original_decides_nothing() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.hedge()
        await rig.fail(1)
        rig.store.answers[0].set_result(REFUSED)
        given_up = await rig.end()
        assert isinstance(given_up, GivenUp)
        assert given_up.error.kind is FailureKind.REJECTED

    run(main)


def test_a_copy_that_comes_too_late_is_not_sent() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        rig.store.answers[0].set_result(DONE)
        assert rig.sending.requests.hedge(rig.request.in_flight[0])
        assert await rig.end() == DONE
        assert len(rig.store.answers) == 1

    run(main)


def test_of_what_has_succeeded_there_is_no_copy() -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        [attempt] = rig.request.in_flight
        rig.store.answers[0].set_result(DONE)
        await rig.result
        assert not rig.sending.requests.hedge(attempt)
        await rig.end()

    run(main)


@pytest.mark.parametrize("stage", ["waits", "under way"])
def test_a_cancelled_request_gives_everything_back(stage: str) -> None:
    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        if stage == "under way":
            await rig.hedge()
        else:
            rig.sending.slots.close()
            assert rig.sending.requests.hedge(rig.request.in_flight[0])
            await asyncio.sleep(0)
        await rig.tasks.close()
        slots = rig.sending.slots
        assert (slots.in_use, slots.capacity, rig.sending.requests.alive) == (0, WINDOW, 0)
        assert rig.memory.fits(1 << 20)
        await rig.sending.close()
        rig.sending.watchdog.close()

    run(main)


def test_while_it_is_asked_whether_a_body_has_arrived_it_is_not_held_nor_counted() -> None:
    """It is asked by what was computed of it before."""

    async def main(rig: Rig) -> None:
        await rig.under_way(1)
        await rig.fail(0)
        given_up = await rig.result
        assert isinstance(given_up, GivenUp)
        rig.alive_at_changes.clear()
        asked = asyncio.ensure_future(rig.sending.requests.confirm(rig.request, given_up))
        await rig.under_way(2)
        assert rig.memory.fits(1 << 20)
        assert rig.request.operation.body == b""
        assert rig.alive_at_changes == [1]
        rig.store.answers[1].set_result(Response(404, {}))
        with pytest.raises(GivenUp):
            await asked
        assert await rig.end() is given_up

    run(main)


@pytest.mark.parametrize("counts", [True, False])
def test_a_try_that_did_not_count_is_not_given_back(counts: bool) -> None:
    """With a number below 0 timers would be shorter when the store comes back."""
    source = ObjectSource.data(b"x", "k")
    record = Record(seq=0, source=source, size=1, started_s=0.0, est_MBps=1.0, attempt_reports=[])
    request = Request(record, Operation(name=PUT_OBJECT, bucket="b", key="k"))
    request.again(cost=0.0, counts=counts, avoid="", fresh=False, kind=FailureKind.RESET)
    request.give_back_try()
    assert (request.retries, record.retries) == (0, 0)
