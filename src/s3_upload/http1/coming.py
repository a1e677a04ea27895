"""An answer, waited for as long as it comes.

A clock alone would cut what merely takes long: a piece of an object on a slow link, of which others have
their share.  What had come of it would have to come once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.http1.trace import Trace

LEAST_BYTES = 16 << 10
"""Of its body, that have to come within each time limit: as many as TLS gives at once.  So at a store that
gives a byte now and then the longest answer ends, too."""


async def answer_of(sending: Awaitable[Response], trace: Trace, limit_s: float) -> Response:
    """What `sending` gives, of which `trace` tells: within `limit_s`, or as long as LEAST_BYTES of it come in
    each `limit_s`.

    Raises `AttemptError`, of the kind TIMEOUT where they do not.
    """
    loop, came_bytes = asyncio.get_running_loop(), 0
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal came_bytes, timer
        transfer, before = trace.transfer(), came_bytes
        came_bytes = transfer.answer_bytes if transfer is not None else 0
        if came_bytes - before < LEAST_BYTES:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(limit_s, look)

    timer = loop.call_later(limit_s, look)
    try:
        async with asyncio.timeout(None) as limit:
            return await sending
    except TimeoutError:
        message = f"no answer within {limit_s:g} s"
        if came_bytes:
            message = f"the answer stands still, or nearly so, for {limit_s:g} s: {came_bytes:,} bytes came"
        raise AttemptError(FailureKind.TIMEOUT, message) from None
    finally:
        timer.cancel()
