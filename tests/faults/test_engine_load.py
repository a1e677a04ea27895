"""Many objects to a store that is not well."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import real_runtime, run_upload
from s3_upload.config import UploadConfig
from s3_upload.control.retrying.retry import Retry
from s3_upload.control.waiting.timeouts import OriginTimeout
from s3_upload.http import Response
from s3_upload.parts import StoreParts
from s3_upload.s3.checksum import Digests
from s3_upload.transfer.given import Controls
from tests.faults.actions import Delay, Reset, Serve, Stall, Torn, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, sources, stored, upload

if TYPE_CHECKING:
    from s3_upload.http1.trace import Trace
    from s3_upload.s3.operations import Operation
    from s3_upload.s3.responses import Failure
    from tests.conftest import StartFaultServer

SETTINGS = {
    "origin": config(min_timeout=0.5, max_in_flight=32, n_retries=8),
    "default": UploadConfig(),
}


def objects(count: int) -> dict[str, bytes]:
    """All different, mostly small."""
    rng = random.Random(count)
    return {f"dir-{n % 7}/{n}": rng.randbytes(rng.choice([0, 1, 100, 5_000])) for n in range(count)}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("stored_all_the_same", [False, True])
def test_one_request_in_a_hundred_is_never_answered(
    fault_server: StartFaultServer, name: str, stored_all_the_same: bool
) -> None:
    contents = objects(2_000)
    stall = Stall(stored=stored_all_the_same)
    server = fault_server(lambda request: stall if request.number % 100 == 0 else None)
    summary = upload(server, contents, settings=SETTINGS[name])
    assert (summary.uploaded, summary.failed) == (2_000, ())
    assert stored(server) == contents
    assert len(server.requests) >= 2_000 + 20


def test_everything_at_once(fault_server: StartFaultServer) -> None:
    """A tenth of all requests goes wrong, in every way there is; nothing is lost and nothing is mixed up."""
    rng = random.Random(7)
    wrongs = [
        s3_error(500, "InternalError"), s3_error(400, "RequestTimeout", close=True), Reset(), Reset(0),
        Reset(stored=True), Torn(), Torn(stored=True), Serve(close=True), Delay(0.01),
    ]  # fmt: skip

    def script(request: Any) -> Any:
        return rng.choice(wrongs) if rng.random() < 0.1 else None

    server = fault_server(script)
    contents = objects(1_000) | {f"big-{n}": rng.randbytes(2 * PART_BYTES + n) for n in range(3)}
    summary = upload(server, contents, settings=config(n_retries=8, max_in_flight=32))
    assert (summary.uploaded, summary.failed) == (1_003, ())
    assert stored(server) == contents
    assert summary.attempts > 1_003
    assert summary.bytes == sum(map(len, contents.values()))


@pytest.mark.parametrize("limit", [1, 7])
def test_no_more_requests_at_once_than_allowed(fault_server: StartFaultServer, limit: int) -> None:
    server = fault_server(lambda request: Delay(0.001))
    contents = objects(200) | {"big": bytes(3 * PART_BYTES)}
    upload(server, contents, settings=config(max_in_flight=limit))
    assert server.peak_in_flight == limit
    assert server.counts["connections"] == limit
    assert stored(server) == contents


def test_connections_are_kept(fault_server: StartFaultServer) -> None:
    server = fault_server()
    upload(server, objects(2_000), settings=config(max_in_flight=4))
    assert server.counts["connections"] <= 4
    assert server.counts["200"] == server.counts["requests"] == 2_000


class Lockstep:
    """A store that answers all requests under way in one and the same moment."""

    endpoint = "lockstep"
    digests = Digests()
    parts = StoreParts()

    def __init__(self) -> None:
        self._moment = asyncio.Event()
        self.sent = self.at_once = self.peak = 0

    async def send(self, operation: Operation, trace: Trace) -> Response:
        self.sent += 1
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        moment = self._moment
        if self.at_once == 1:
            asyncio.get_running_loop().call_later(0.001, self._answer)
        await moment.wait()
        return Response(200, {"etag": '"e"'})

    async def correct(self, operation: Operation, failure: Failure, trace: Trace) -> bool:
        return False

    def remark(self, failure: Failure, trace: Trace) -> str:
        return ""

    def _answer(self) -> None:
        self._moment.set()
        self._moment = asyncio.Event()
        self.at_once = 0


class Steps:
    """A window that follows a plan: after so many attempts, this limit."""

    def __init__(self, plan: dict[int, int]) -> None:
        self._plan = plan
        self._attempts = 0
        self.limit = plan[0]

    def observe(self, report: Any, *, now: float, in_flight: int) -> None:
        self._attempts += 1
        self.limit = self._plan.get(self._attempts, self.limit)


@pytest.mark.parametrize(
    "plan",
    [{0: 32, 100: 16}, {0: 32, 100: 1}, {0: 32, 50: 2, 90: 20, 91: 1, 150: 64}, {0: 1, 1: 50, 400: 1}],
    ids=str,
)
def test_a_window_that_shrinks_all_of_a_sudden_leaves_workers(plan: dict[int, int]) -> None:
    async def main() -> None:
        client = Lockstep()
        settings = config()
        async with asyncio.timeout(20.0):
            summary = await run_upload(
                client,
                BUCKET,
                sources({str(n): b"x" for n in range(500)}),
                config=settings,
                controls=Controls(OriginTimeout(settings), Retry(3), Steps(plan)),
                runtime=real_runtime(settings),
            )
        assert summary.uploaded == client.sent == 500
        assert 1 < client.peak <= max(plan.values())

    asyncio.run(main())


@pytest.mark.parametrize("late", [1, 5])
def test_an_idle_window_that_shrank_still_takes_the_next_object(late: int) -> None:
    """All workers wait; the one that is woken has to leave and must pass on what it was woken for."""
    plan = {0: 10, 20: 2}

    async def trickle() -> Any:
        for source in sources({str(n): b"x" for n in range(20)}):
            yield source
        await asyncio.sleep(0.05)  # so that every worker is idle
        for source in sources({f"late-{n}": b"x" for n in range(late)}):
            yield source
            await asyncio.sleep(0.01)

    async def main() -> None:
        client = Lockstep()
        settings = config()
        async with asyncio.timeout(20.0):
            await run_upload(
                client,
                BUCKET,
                trickle(),
                config=settings,
                controls=Controls(OriginTimeout(settings), Retry(3), Steps(plan)),
                runtime=real_runtime(settings),
            )
        assert client.sent == 20 + late

    asyncio.run(main())
