"""Objects read back over a slow link: what comes is not cut, so that nothing comes twice.

In virtual time: the link gives all that are on their way the same share.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind
from s3_upload.bucket.asking import Asker, Patience, Unanswered, answer_to
from s3_upload.bucket.compare import SAME, Local
from s3_upload.bucket.download import Downloader
from s3_upload.bucket.local_bytes import LocalBytes
from s3_upload.bucket.proof import Bucket
from s3_upload.clients.bucket_requests import ask
from s3_upload.errors import AttemptError
from s3_upload.http import Response
from s3_upload.http1.coming import LEAST_BYTES
from s3_upload.http1.trace import Trace, Transfer
from s3_upload.request_fields import NO_FIELDS
from s3_upload.s3.operations import GET_OBJECT, LIST_BUCKETS, Operation
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.source import ObjectSource
from s3_upload.threads import DaemonThreads
from tests.sim.loop import SimLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MIB = 1 << 20
TICK_S = 1.0


class Coming:
    """An answer on its way, of which no more than `until` comes."""

    def __init__(self, size: int, until: int) -> None:
        self.size = size
        self.until = until
        self.came = 0.0


class Link:
    """A `Client` whose answers share `bytes_per_s`.

    `size`: of each answer that is asked for as a whole.  `stops_at`: where the first answers stand still, or
    (`breaks`) their connections break.
    """

    endpoint = "slow"

    def __init__(self, bytes_per_s: float, size: int = 0, *stops_at: int, breaks: bool = False) -> None:
        self._bytes_per_s = bytes_per_s
        self._size = size
        self._stops_at = list(stops_at)
        self._breaks = breaks
        self._active: list[Coming] = []
        self.moved = 0.0
        self.asked = 0

    async def send(self, operation: Operation, trace: Trace) -> Response:
        """See `transfer.client.Client`."""
        self.asked += 1
        size = operation.span[1] or self._size
        one = Coming(size, self._stops_at.pop(0) if self._stops_at else size)
        trace.begins("", lambda _: None, lambda: Transfer(0, True, 0.0, 0.0, answer_bytes=int(one.came)))
        self._active.append(one)
        try:
            while one.came < one.size:
                await asyncio.sleep(TICK_S)
                if self._breaks and one.came >= one.until < one.size:
                    raise AttemptError(FailureKind.RESET, "the connection broke")
                share = min(self._bytes_per_s * TICK_S / len(self._active), one.until - one.came)
                one.came += share
                self.moved += share
        finally:
            trace.ends(0)
            self._active.remove(one)
        return Response(206, {}, bytes(one.size))

    async def correct(self, *_: object) -> bool:
        """See `transfer.client.Client`."""
        return False

    def remark(self, *_: object) -> str:
        """See `transfer.client.Client`."""
        return ""


class AtOnce(DaemonThreads):
    """No threads: their calls take no virtual time."""

    def call(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(function())
        return future


def waited(main: Coroutine[Any, Any, Any], limit_s: float) -> Any:
    with closing(SimLoop(limit_s)) as loop:
        return loop.run_until_complete(main)


@pytest.mark.parametrize(("kB_per_s", "limit_s"), [(200, 360), (2_000, 45)])
def test_what_is_read_back_over_a_slow_link_comes_once(kB_per_s: int, limit_s: float) -> None:
    link, body = Link(kB_per_s * 1_000), bytes(4 * MIB)
    keys = [f"{number:02}" for number in range(16)]

    async def main() -> list[str]:
        there = Bucket(Asker(link), "bucket", NO_FIELDS)  # type: ignore[arg-type]
        downloader = Downloader(there, AtOnce(1, "none"), LocalBytes())
        sources = [ObjectSource.data(body, key) for key in keys]
        proofs = [
            downloader.reason(Local(one.key, len(body), None, one), ListedObject(one.key, len(body)))
            for one in sources
        ]
        return await asyncio.gather(*proofs)

    assert waited(main(), limit_s) == [SAME] * len(keys)
    assert link.moved <= 1.1 * len(keys) * len(body)


def asking(link: Link, patience: Patience | None = None) -> Coroutine[Any, Any, Response]:
    operation = Operation(name=GET_OBJECT, bucket="bucket", key="k", span=(0, MIB))
    return Asker(link, patience).ask(operation, answer_to(operation))  # type: ignore[arg-type]


def test_an_answer_that_stands_still_is_asked_for_again() -> None:
    link = Link(10_000, 0, MIB // 2)

    async def main() -> Response:
        return await asking(link)

    # 53 s in which it comes, at most 60 s in which it does not, a pause, 105 s.
    assert len(waited(main(), 225.0).body) == MIB
    assert link.asked == 2


def test_a_byte_now_and_then_is_no_answer() -> None:
    link = Link(LEAST_BYTES / 32.0)

    async def main() -> Response:
        return await asking(link, Patience(tries=0))

    with pytest.raises(Unanswered, match="stands still, or nearly so, for 30 s"):
        waited(main(), 31.0)


def test_an_answer_that_breaks_after_long_is_asked_for_again() -> None:
    """What had come all the time was no outage."""
    link = Link(1_000.0, 0, MIB - 1, breaks=True)

    async def main() -> Response:
        return await asking(link)

    assert len(waited(main(), 2_200.0).body) == MIB
    assert link.asked == 2


def test_a_long_list_of_buckets_comes_over_a_slow_link() -> None:
    link = Link(20_000, 2 * MIB)

    async def main() -> Response:
        return await ask(link.send, LIST_BUCKETS, "")

    assert len(waited(main(), 110.0).body) == 2 * MIB
