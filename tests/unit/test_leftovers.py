"""Multipart uploads whose abort failed: tried again when the store answers, and at the run's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.http1.trace import Trace
from s3_upload.s3.operations import ABORT_MULTIPART_UPLOAD, LIST_PARTS, Operation
from s3_upload.transfer.abort import LATER_S, Unfinished
from s3_upload.transfer.client import Client
from tests.sim.loop import SimLoop

GONE = Response(404, {}, b"<Error><Code>NoSuchUpload</Code></Error>")


def abort(key: str) -> Operation:
    return Operation(name=ABORT_MULTIPART_UPLOAD, bucket="b", key=key, upload_id="id")


class Store:
    """`sent`: what it was asked, in order. `stuck`: it does not answer."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stuck = False
        self.sent: list[tuple[str, str]] = []
        self.asked = asyncio.Event()

    def now(self) -> float:
        return self.now_s

    async def send(self, operation: Operation, _: object) -> Response:
        self.sent.append((operation.name, operation.key))
        self.asked.set()
        if self.stuck:
            await asyncio.Event().wait()
        return Response(204, {}, b"") if operation.name == ABORT_MULTIPART_UPLOAD else GONE


def run(main: Callable[[Store, Unfinished], Coroutine[Any, Any, None]]) -> Store:
    async def with_store() -> Store:
        store = Store()
        await main(store, Unfinished(cast("Client", store), store.now))
        return store

    return asyncio.run(with_store())


def test_it_is_tried_again_when_the_store_answers_but_not_at_once() -> None:
    async def main(store: Store, unfinished: Unfinished) -> None:
        unfinished.answered()
        unfinished.in_vain(abort("a"), FailureKind.SERVER)
        unfinished.answered()
        store.now_s += LATER_S - 0.1
        unfinished.answered()
        await asyncio.sleep(0)
        assert store.sent == []
        store.now_s += 0.2
        unfinished.answered()
        unfinished.answered()
        await store.asked.wait()
        await unfinished.finish()

    assert set(run(main).sent) == {(ABORT_MULTIPART_UPLOAD, "a"), (LIST_PARTS, "a")}


def test_at_the_end_all_are_tried_with_those_that_are_open() -> None:
    async def main(store: Store, unfinished: Unfinished) -> None:
        unfinished.in_vain(abort("a"), FailureKind.SERVER)
        unfinished.begin(abort("open"))
        unfinished.begin(abort("completed"))
        unfinished.end(abort("completed"))
        assert await unfinished.finish() == []

    assert {key for _, key in run(main).sent} == {"a", "open"}


def test_a_try_that_is_under_way_at_the_end_is_begun_anew() -> None:
    async def main(store: Store, unfinished: Unfinished) -> None:
        store.stuck = True
        unfinished.in_vain(abort("a"), FailureKind.SERVER)
        store.now_s += LATER_S
        unfinished.answered()
        await store.asked.wait()
        store.stuck = False
        assert await unfinished.finish() == []

    tries = [(ABORT_MULTIPART_UPLOAD, "a"), (ABORT_MULTIPART_UPLOAD, "a"), (LIST_PARTS, "a")]
    assert run(main).sent == tries


def test_what_is_gone_on_with_is_not_aborted_any_more() -> None:
    async def main(store: Store, unfinished: Unfinished) -> None:
        for kind in (FailureKind.SERVER, FailureKind.ACCESS_DENIED):
            unfinished.in_vain(abort("a"), kind)
        unfinished.spare("id")
        unfinished.begin(abort("a"), resumable=True)
        store.now_s += LATER_S
        unfinished.answered()
        assert await unfinished.finish(keeps=True) == []

    assert run(main).sent == []


def test_a_refusal_that_comes_when_it_is_gone_on_with_does_not_count() -> None:
    class Refuses(Store):
        async def send(self, operation: Operation, trace: object) -> Response:
            await super().send(operation, trace)
            unfinished.spare("id")
            return Response(403, {}, b"<Error><Code>AccessDenied</Code></Error>")

    store = Refuses()
    unfinished = Unfinished(cast("Client", store), store.now)

    async def main() -> list[str]:
        unfinished.in_vain(abort("a"), FailureKind.SERVER)
        store.now_s += LATER_S
        unfinished.answered()
        await store.asked.wait()
        await asyncio.sleep(0)
        return await unfinished.finish()

    assert asyncio.run(main()) == []
    assert len(store.sent) == 1


def test_after_an_abort_whose_answer_was_lost_parts_are_looked_for() -> None:
    """The next abort is told that the upload is gone; a part that was on its way came after the first one."""
    one = b"<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></ListPartsResult>"
    answers = [Response(500, {}, b""), GONE, Response(200, {}, one), Response(204, {}, b""), GONE]

    class Loses(Store):
        async def send(self, operation: Operation, _: object) -> Response:
            self.sent.append((operation.name, operation.key))
            return answers.pop(0)

    async def main() -> list[str]:
        store = Loses()
        unfinished = Unfinished(cast("Client", store), store.now)
        unfinished.begin(abort("a"))
        return await unfinished.finish()

    assert asyncio.run(main()) == []
    assert answers == []


def test_silent_addresses_do_not_use_up_the_time_that_there_is() -> None:
    """Two of them come first, and a third takes a slow handshake."""

    class Addresses(Store):
        def __init__(self) -> None:
            super().__init__()
            self.tries: list[float] = []

        async def send(self, operation: Operation, trace: object) -> Response:
            limit_s = cast("Trace", trace).options.connect_timeout_s
            needs_s = 1e6 if len(self.tries) < 2 else 0.5
            self.tries.append(limit_s)
            await asyncio.sleep(min(limit_s, needs_s))
            if needs_s > limit_s:
                raise AttemptError(FailureKind.CONNECT, "no answer")
            return await super().send(operation, trace)

    async def main() -> list[str]:
        store = Addresses()
        unfinished = Unfinished(cast("Client", store), store.now)
        unfinished.begin(abort("a"))
        return await unfinished.finish()

    loop = SimLoop()
    try:
        assert loop.run_until_complete(main()) == []
    finally:
        loop.close()
