"""The session of a directory bucket (S3 Express One Zone): credentials of five minutes, renewed in time.

CreateSession, which is signed with the account's credentials, gives credentials for one bucket, and all
other requests are signed with these
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html).

* One CreateSession is under way at a time, for all who wait.
* A minute before the end (half of its life, if that is shorter) the next session is asked for, while
  requests go on with the old one.  Only when that has ended do they wait.
* A renewal that fails matters only then; it is tried again after `RETRY_S`.
* How long a session lives is counted by the store's own clock: from the answer's `Date` to the expiration.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.responses import date_s
from s3_upload.s3.xml import read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from s3_upload.http import Response

RENEW_S = 60.0
"""Before its end a session is renewed."""
RETRY_S = 5.0
"""After a renewal that failed."""
USUAL_LIFE_S = 300.0
"""Of a session whose end cannot be read."""


class Session(msgspec.Struct, frozen=True):
    """`credentials` are good for `life_s` from when they came."""

    credentials: Credentials
    life_s: float


def session_in(answer: Response, utc_s: float) -> Session:
    """The session that a CreateSession's answer holds, which came at `utc_s`.

    Raises `AttemptError` where its credentials are none; no message quotes one.
    """
    said = read(answer)
    parts = (said.text(name).strip() for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    try:
        credentials = Credentials(*parts)
    except ValueError as error:
        message = f"the session that the store gave cannot be used: {error}"
        raise AttemptError(FailureKind.UNPROVEN, message) from None
    from datetime import datetime

    try:
        end_s = datetime.fromisoformat(said.text("Expiration").strip()).timestamp()
    except (ValueError, OverflowError):
        return Session(credentials, USUAL_LIFE_S)
    sent_s = date_s(answer.headers.get("date", ""))
    life_s = end_s - (utc_s if sent_s is None else sent_s)
    # One that has just come has not ended: it is what is taken for the time that is wrong.
    return Session(credentials, life_s if life_s > 0.0 else USUAL_LIFE_S)


class BucketSessions:
    """A `CredentialProvider` of one bucket's sessions. `create` asks for one; `now`: seconds."""

    def __init__(self, create: Callable[[], Awaitable[Session]], now: Callable[[], float]) -> None:
        self._create = create
        self._now = now
        self._credentials: Credentials | None = None
        self._renew_s = self._end_s = 0.0
        self._creating: asyncio.Task[Credentials] | None = None

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
        """See `CredentialProvider`. Raises `AttemptError` where there is no session to be had."""
        current = self._credentials
        if rejected is not None and current is not None:
            if current != rejected:
                return current
            self._renew_s = self._end_s = 0.0  # whatever becomes of the next, this one is used no more
        # A caller that is cancelled leaves the others their session.
        return await asyncio.shield(self._begin())

    async def ended(self) -> None:
        """Returns once nothing is under way: when connections are closed, soon."""
        if self._creating is not None:
            await asyncio.wait((self._creating,))

    def _begin(self) -> asyncio.Task[Credentials]:
        if self._creating is None:
            self._creating = asyncio.create_task(self._make())
            self._creating.add_done_callback(self._made)
        return self._creating

    def _made(self, task: asyncio.Task[Credentials]) -> None:
        self._creating = None
        if not task.cancelled():
            task.exception()  # seen: whoever waits gets it, and of a renewal nobody may wait

    async def _make(self) -> Credentials:
        self._renew_s = min(self._now() + RETRY_S, self._end_s)  # one that has ended is used no more
        session = await self._create()
        now_s = self._now()
        self._credentials = session.credentials
        self._end_s = now_s + session.life_s
        self._renew_s = self._end_s - min(RENEW_S, session.life_s / 2)
        return session.credentials
