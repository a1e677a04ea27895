"""The sessions of a directory bucket: one for all, renewed in time, and what an answer must hold."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import pytest

from s3_upload.clients.bucket_sessions import RENEW_S, RETRY_S, BucketSessions
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http import Response
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations.create_session import USUAL_LIFE_S, Session, session_in

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LIFE_S = 300.0


def on_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


class Store:
    """Gives sessions, each when `gate` is open; `fails`: none."""

    def __init__(self, life_s: float = LIFE_S) -> None:
        self.now_s = 1_000.0
        self.life_s = life_s
        self.asked = 0
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.sessions = BucketSessions(self.create, lambda: self.now_s)

    async def create(self) -> Session:
        self.asked += 1
        number = self.asked
        await self.gate.wait()
        if self.fails:
            raise AttemptError(FailureKind.THROTTLE, "not now")
        return Session(Credentials(f"K{number}", "s3cr3t", "t0ken"), self.life_s)

    async def key(self) -> str:
        """Whose request would be signed with."""
        return (self.sessions.current() or await self.sessions.refresh()).access_key


@on_a_loop
async def test_all_who_wait_share_one() -> None:
    store = Store()
    store.gate.clear()
    waiting = [asyncio.create_task(store.key()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who gives up takes nothing from the others
    store.gate.set()
    assert await asyncio.gather(*waiting[1:]) == ["K1"] * 49
    assert store.asked == 1


@on_a_loop
async def test_before_its_end_the_next_is_asked_for_and_nobody_waits() -> None:
    store = Store()
    assert await store.key() == "K1"
    store.now_s += LIFE_S - RENEW_S - 1.0
    assert [await store.key(), store.asked] == ["K1", 1]
    store.gate.clear()
    store.now_s += 1.0
    for _ in range(10):
        assert await store.key() == "K1"
    await asyncio.sleep(0)
    assert store.asked == 2
    store.gate.set()
    await store.sessions.ended()
    assert [await store.key(), store.asked] == ["K2", 2]


@on_a_loop
async def test_a_short_one_is_renewed_in_the_middle_of_its_life() -> None:
    store = Store(life_s=20.0)
    await store.key()
    store.now_s += 9.0
    await store.key()
    assert store.asked == 1
    store.now_s += 1.0
    await store.key()
    await store.sessions.ended()
    assert store.asked == 2


@on_a_loop
async def test_a_renewal_that_fails_is_tried_again_and_is_told_only_at_the_end() -> None:
    store = Store()
    await store.key()
    store.fails = True
    store.now_s += LIFE_S - RENEW_S
    for _ in range(3):
        assert await store.key() == "K1"
        await store.sessions.ended()
    assert store.asked == 2
    store.now_s += RETRY_S
    assert await store.key() == "K1"
    await store.sessions.ended()
    assert store.asked == 3
    store.now_s += RENEW_S
    with pytest.raises(AttemptError, match="not now"):
        await store.key()
    store.fails = False
    assert await store.key() == "K5"


@on_a_loop
async def test_what_the_store_rejects_is_replaced_once() -> None:
    store = Store()
    first = await store.sessions.refresh()
    again = await asyncio.gather(*(store.sessions.refresh(rejected=first) for _ in range(10)))
    assert {credentials.access_key for credentials in again} == {"K2"}
    assert (await store.sessions.refresh(rejected=first)).access_key == "K2"
    assert store.asked == 2


@on_a_loop
async def test_what_the_store_rejects_is_used_no_more_though_there_is_no_other_yet() -> None:
    store = Store()
    first = await store.sessions.refresh()
    store.fails = True
    with pytest.raises(AttemptError):
        await store.sessions.refresh(rejected=first)
    assert store.sessions.current() is None
    store.fails = False
    assert await store.key() == "K3"


@on_a_loop
async def test_closing_waits_for_no_session_and_whoever_does_hears_why() -> None:
    store = Store()
    store.gate.clear()
    waiting = [asyncio.create_task(store.key()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert store.asked == 1
    async with asyncio.timeout(5.0):
        await store.sessions.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(result, "kind", result) for result in results] == [FailureKind.CLIENT_CLOSED] * 3


@on_a_loop
async def test_no_repr_shows_a_secret() -> None:
    store = Store()
    await store.key()
    shown = repr(store.sessions)
    assert "K1" in shown
    assert "s3cr3t" not in shown
    assert "t0ken" not in shown


def answer(expiration: str, *, date: str = "", token: str = "t") -> Response:
    body = (
        f"<CreateSessionResult><Credentials><AccessKeyId>K</AccessKeyId><SecretAccessKey>s3cr3t"
        f"</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration>"
        "</Credentials></CreateSessionResult>"
    )
    return Response(status=200, headers={"date": date} if date else {}, body=body.encode())


def test_its_life_is_counted_by_the_stores_own_clock() -> None:
    """Ours may be minutes off, without the store minding."""
    found = session_in(answer("2023-11-14T22:18:20Z", date="Tue, 14 Nov 2023 22:13:20 GMT"), 0.0)
    assert found.life_s == 300.0
    assert found.credentials == Credentials("K", "s3cr3t", "t")
    assert session_in(answer("2023-11-14T22:18:20Z"), 1_700_000_000.0).life_s == 300.0
    assert session_in(answer("soon"), 0.0).life_s == USUAL_LIFE_S
    assert session_in(answer("2023-11-14T22:18:20Z"), 1_800_000_000.0).life_s == USUAL_LIFE_S


def test_credentials_that_cannot_be_any_are_not_shown() -> None:
    with pytest.raises(AttemptError) as caught:
        session_in(answer("2023-11-14T22:18:20Z", token="s3cr3t t0ken"), 0.0)
    assert "session_token: has spaces" in caught.value.message
    assert "t0ken" not in caught.value.message
