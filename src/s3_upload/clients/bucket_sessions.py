"""The session of a directory bucket (S3 Express One Zone): credentials of five minutes, renewed in time.

* One CreateSession is under way at a time, for all who wait.
* A minute before the end (half of its life, if that is shorter) the next session is asked for, while
  requests go on with the old one.  Only when that has ended do they wait.
* A renewal that fails matters only then; it is tried again after `RETRY_S`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from s3_upload.http1.connection import client_closed
from s3_upload.threads import seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3_upload.s3.credentials import Credentials
    from s3_upload.s3.operations.create_session import Session

RENEW_S = 60.0
"""Before its end a session is renewed."""
RETRY_S = 5.0
"""After a renewal that failed."""


class BucketSessions:
    """A `CredentialProvider` of one bucket's sessions. `create` asks for one; `now`: seconds."""

    def __init__(self, create: Callable[[], Awaitable[Session]], now: Callable[[], float]) -> None:
        self._create = create
        self._now = now
        self._credentials: Credentials | None = None
        self._renew_s = self._end_s = 0.0
        self._creating: asyncio.Task[Credentials] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"BucketSessions({self._credentials!r})"

    def current(self) -> Credentials | None:
        """See `CredentialProvider`. Begins to renew what will end soon."""
        now_s = self._now()
        if now_s >= self._renew_s:
            if now_s >= self._end_s:
                return None
            self._begin()
        return self._credentials

    async def refresh(self, rejected: Credentials | None = None) -> Credentials:
        """See `CredentialProvider`. Raises `AttemptError` where there is no session to be had, or the client
        is closed."""
        current = self._credentials
        if rejected is not None and current is not None:
            if current != rejected:
                return current
            self._renew_s = self._end_s = 0.0  # whatever becomes of the next, this one is used no more
        # A caller that is cancelled leaves the others their session.
        creating = self._begin()
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            if self._closed and creating.cancelled():
                raise client_closed() from None
            raise

    async def close(self) -> None:
        """Ends what is under way: it may wait minutes for the account's own credentials, whose end no
        connection brings about.  Whoever waits for a session hears that the client is closed."""
        self._closed = True
        if self._creating is not None:
            self._creating.cancel()
        await self.ended()

    async def ended(self) -> None:
        """Returns once nothing is under way."""
        if self._creating is not None:
            await asyncio.wait((self._creating,))

    def _begin(self) -> asyncio.Task[Credentials]:
        if self._creating is None:
            self._creating = asyncio.create_task(self._make())
            self._creating.add_done_callback(self._made)
        return self._creating

    def _made(self, task: asyncio.Task[Credentials]) -> None:
        self._creating = None
        seen(task)  # whoever waits gets it, and of a renewal nobody may wait

    async def _make(self) -> Credentials:
        self._renew_s = min(self._now() + RETRY_S, self._end_s)  # one that has ended is used no more
        session = await self._create()
        now_s = self._now()
        self._credentials = session.credentials
        self._end_s = now_s + session.life_s
        self._renew_s = self._end_s - min(RENEW_S, session.life_s / 2)
        return session.credentials
