"""Tasks that go from one object to the next, beside a loop that ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from s3_upload.transfer.senders import Senders
from s3_upload.transfer.tasks import Tasks

if TYPE_CHECKING:
    from s3_upload.transfer.slots import Slots
    from s3_upload.transfer.tools import Tools
    from s3_upload.transfer.tries import Request


class Sent:
    """Requests that succeed at once, and objects that are reported."""

    def __init__(self) -> None:
        self.records: list[str] = []

    async def carry_out(self, request: Request, place: None) -> Any:
        return SimpleNamespace(etag="e")

    def ended(self, record: str, *, etag: str) -> None:
        self.records.append(record)


def a_request(record: str) -> Request:
    return cast("Request", SimpleNamespace(record=record, operation=None, has_slot=False))


async def _turns() -> None:
    """All that is due has had its turn."""
    for _ in range(5):
        await asyncio.sleep(0)


async def _second_of_two(sent: Sent, failed: list[BaseException]) -> None:
    """The task that sent a first object and waits is cancelled, and in that moment a second one comes."""
    tasks = Tasks(failed.append, lambda: None)
    tools = SimpleNamespace(tasks=tasks, requests=sent, reporting=sent)
    slots = SimpleNamespace(stand=lambda operation, go, place: go())
    senders = Senders(cast("Tools", tools), cast("Slots", slots), lambda: None)
    senders.send(a_request("first"))
    await _turns()
    (idle,) = asyncio.all_tasks() - {asyncio.current_task()}
    idle.cancel()
    senders.send(a_request("second"))
    await _turns()
    await tasks.close()


def test_what_a_cancelled_task_would_have_sent_is_sent_by_another() -> None:
    sent, failed = Sent(), list[BaseException]()
    asyncio.run(_second_of_two(sent, failed))
    assert sent.records == ["first", "second"]
    assert [type(error) for error in failed] == [asyncio.CancelledError]
