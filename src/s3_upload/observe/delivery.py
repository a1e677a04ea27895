"""A progress callable, and a wait where whoever takes what a run tells is far behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from s3_upload.report import UploadReport

Progress = Callable[[UploadReport], object]


def waiting_for_room(progress: Progress | None, room: Callable[[], Awaitable[None] | None]) -> Progress:
    """`progress`, and then what `room` gives is awaited; None: there is room."""

    def both(report: UploadReport) -> object:
        returned = None if progress is None else progress(report)
        wait = room()
        return returned if wait is None else _both(returned, wait)

    return both


async def _both(returned: object, room: Awaitable[None]) -> None:
    if isawaitable(returned):
        await returned
    await room
