"""One's turn: how everything in a run waits that cannot go yet.

Who waits gives the line a `Go` and sleeps until it is called.  A `Go` returns whether anybody still waited.
If not (it was cancelled), the line keeps what it was about to give.  Who is cancelled between being called
and waking gives back what it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Go = Callable[[], bool]
"""Lets one go that waits; False where nobody waits any more."""


async def turn(stand: Callable[[Go], object], give_back: Callable[[], object] | None = None) -> None:
    """Waits for one's turn: `stand` puts a `Go` in the line, and may call it at once."""
    called: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def go() -> bool:
        if called.done():
            return False
        called.set_result(None)
        return True

    stand(go)
    try:
        await called
    except asyncio.CancelledError:
        # Called and not awake yet: the line has given it its turn, and nobody else will give that back.
        if give_back is not None and not called.cancelled():
            give_back()
        raise
