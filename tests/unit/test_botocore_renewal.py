"""Credentials that end are renewed, by real processes that hand them out or hang."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TextIO

import pytest

from s3_upload.account.botocore import LOAD_TIMEOUT_S, MAX_HUNG, RETRY_REFRESH_S, BotocoreCredentials
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import AttemptError, RunError
from s3_upload.s3.credentials import Credentials
from tests.aws_home import Home, home
from tests.unit.test_botocore_credentials import failure, get

__all__ = ["home"]


def under_way() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "s3-upload-credentials"]


def join() -> None:
    """What is under way has ended."""
    for thread in under_way():
        thread.join()


@pytest.fixture(autouse=True)
def no_idle_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3_upload.threads.IDLE_S", 0.0)


Impatient = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """While it lasts, what is not there at once is late."""

    @contextmanager
    def at_once() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("s3_upload.account.botocore.LOAD_TIMEOUT_S", 0.0)
            yield

    return at_once


class Process:
    """A `credential_process` that hands out AK1, AK2, ... or `name`, with a given time to live."""

    def __init__(self, home: Home, name: str = "") -> None:
        self._answer = home.path / "answer.json"
        self._calls = home.path / "calls"
        self._calls.touch()
        script = home.path / "process.py"
        script.write_text(
            "import json, sys, pathlib, signal\n"
            "signal.alarm(60)\n"
            f"calls = pathlib.Path({str(self._calls)!r})\n"
            "calls.write_text(calls.read_text() + 'x')\n"
            f"answer = json.loads(pathlib.Path({str(self._answer)!r}).read_text())\n"
            f"answer['AccessKeyId'] = {name!r} or f'AK{{len(calls.read_text())}}'\n"
            "json.dump(answer, sys.stdout)\n"
        )
        home.config(f"[default]\ncredential_process = {sys.executable} {script}\n")

    def lives(self, **duration: float) -> None:
        self._answer.unlink(missing_ok=True)
        self._answer.write_text(self.answer(**duration))

    def answer(self, **duration: float) -> str:
        end = datetime.now(UTC) + timedelta(**duration)
        answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end.isoformat()}
        return json.dumps(answer)

    def breaks(self) -> None:
        self._answer.write_text("none")

    def hangs(self) -> None:
        self._answer.unlink()
        os.mkfifo(self._answer)

    def hung(self) -> TextIO:
        """What the call that hangs reads, once it does so: it ends when this is closed."""
        return self._answer.open("w")

    @property
    def calls(self) -> int:
        return len(self._calls.read_text())


def test_concurrent_callers_share_one_refresh(home: Home) -> None:
    process = Process(home)
    process.lives(hours=1)
    provider = BotocoreCredentials()

    async def many() -> set[str]:
        cancelled = asyncio.ensure_future(provider.refresh())
        callers = [asyncio.ensure_future(provider.refresh()) for _ in range(20)]
        await asyncio.sleep(0)
        cancelled.cancel()
        return {credentials.access_key for credentials in await asyncio.gather(*callers)}

    assert asyncio.run(many()) == {"AK1"}
    assert process.calls == 1


def test_a_failed_refresh_reaches_all_callers_and_the_next_one_tries_again(home: Home) -> None:
    process = Process(home)
    process.breaks()
    provider = BotocoreCredentials()

    async def many() -> list[Credentials | BaseException]:
        return await asyncio.gather(*(provider.refresh() for _ in range(5)), return_exceptions=True)

    assert {type(result) for result in asyncio.run(many())} == {RunError}
    assert process.calls == 1
    process.lives(hours=1)
    assert get(provider).access_key == "AK2"


def test_not_renewed_while_they_live_long(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=20)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    clock = 100 * RETRY_REFRESH_S
    assert provider.current() == first
    assert process.calls == 1


async def renewed(provider: BotocoreCredentials) -> Credentials:
    """What `current` gives, once what it may have begun is done."""
    provider.current()
    if provider._loading is not None:
        await provider._loading
    current = provider.current()
    assert current is not None
    return current


def test_near_their_end_they_are_used_while_no_newer_ones_come(home: Home) -> None:
    clock = 0.0
    process = Process(home)
    process.lives(minutes=12)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    calls = process.calls
    assert asyncio.run(renewed(provider)) == first  # asked for just now: the next look is in a minute
    assert process.calls == calls
    clock = RETRY_REFRESH_S
    process.breaks()
    assert asyncio.run(renewed(provider)) == first
    assert process.calls == calls + 1
    clock = 2 * RETRY_REFRESH_S
    process.lives(hours=1)
    newer = asyncio.run(renewed(provider))
    assert newer != first
    clock = 10 * RETRY_REFRESH_S
    assert provider.current() == newer


def test_a_renewal_that_hangs_leaves_what_is_still_good(home: Home, impatient: Impatient) -> None:
    """And the place is asked again beside it: botocore's own object is locked until the call ends."""
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials()
    first = get(provider)
    process.hangs()
    with impatient():
        assert get(provider) == provider.current() == first
    with process.hung():
        process.lives(hours=1)
        assert get(provider).access_key == f"AK{process.calls}"
        assert not provider._as_taken.refresh_needed()


def test_what_a_place_brings_late_is_taken(home: Home, impatient: Impatient) -> None:
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials()

    async def run() -> None:
        first = await provider.refresh()
        process.hangs()
        with impatient():
            assert await provider.refresh() == first
        with process.hung() as late:
            late.write(process.answer(minutes=30))
        await asyncio.to_thread(join)
        current = provider.current()
        assert current is not None
        assert current.access_key == f"AK{process.calls}"

    asyncio.run(run())


def test_what_the_store_refuses_is_asked_for_again_after_a_renewal_that_failed(home: Home) -> None:
    """The renewal had begun before, with what is kept: it may bring the same again."""
    clock = 0.0
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials(now=lambda: clock)

    async def run() -> None:
        nonlocal clock
        first = await provider.refresh()
        clock = RETRY_REFRESH_S
        process.hangs()
        assert provider.current() == first
        refused = asyncio.ensure_future(provider.refresh(rejected=first))
        await asyncio.sleep(0)
        with process.hung():
            process.lives(hours=1)
        assert (await refused).access_key == f"AK{process.calls}"

    asyncio.run(run())


@contextmanager
def later(monkeypatch: pytest.MonkeyPatch, **duration: float) -> Iterator[None]:
    """So much, by botocore's clock."""
    import botocore.credentials

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(**duration)

    with monkeypatch.context() as patch:
        patch.setattr(botocore.credentials, "datetime", SimpleNamespace(datetime=Later, timedelta=timedelta))
        yield


def test_what_was_renewed_when_its_loop_had_ended_does_not_keep_the_old_in_use(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore's object knows the new ones then, and when they end."""
    clock = 0.0
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials(now=lambda: clock)
    first = get(provider)
    process.hangs()
    clock = RETRY_REFRESH_S

    async def run() -> None:
        assert provider.current() == first
        await asyncio.sleep(0)

    asyncio.run(run())
    with process.hung() as late:
        late.write(process.answer(hours=1))
    join()
    calls = process.calls
    with later(monkeypatch, minutes=9):
        assert provider.current() is None
        assert get(provider) == provider.current() != first
    assert process.calls == calls


def test_what_the_store_refuses_is_asked_for_once(home: Home) -> None:
    process = Process(home, name="AK")
    process.lives(hours=1)
    provider = BotocoreCredentials()
    first = get(provider)

    async def refused() -> set[type]:
        refreshes = (provider.refresh(rejected=first) for _ in range(20))
        return {type(each) for each in await asyncio.gather(*refreshes, return_exceptions=True)}

    calls = process.calls
    assert asyncio.run(refused()) == {RunError}
    assert process.calls == calls + 1


def test_calls_that_hang_are_bounded(home: Home, impatient: Impatient) -> None:
    process = Process(home)
    process.lives(minutes=8)
    provider = BotocoreCredentials()
    first = get(provider)
    join()  # its thread counts no more
    process.hangs()
    with impatient():
        for _ in range(MAX_HUNG + 3):
            assert get(provider) == first
            assert len(under_way()) <= MAX_HUNG
    with process.hung(), process.hung():
        process.lives(hours=1)
    join()
    assert get(provider) != first


def test_closing_ends_what_is_under_way(home: Home) -> None:
    """Who waits for it hears why."""
    clock = 0.0
    process = Process(home)
    process.lives(minutes=8)

    async def run() -> None:
        nonlocal clock
        async with S3Client(endpoint_url="http://127.0.0.1:9") as client:
            provider = client._provider
            assert isinstance(provider, BotocoreCredentials)
            provider._now = lambda: clock
            first = await provider.refresh()
            process.hangs()
            clock = RETRY_REFRESH_S
            assert provider.current() == first
            waits = asyncio.ensure_future(provider.refresh())
            await asyncio.sleep(0)
        assert asyncio.all_tasks() <= {asyncio.current_task(), waits}
        with pytest.raises(AttemptError, match="the client was closed"):
            await waits

    asyncio.run(run())
    process.hung().close()
    join()


def test_expired_credentials_are_never_used(home: Home) -> None:
    process = Process(home)
    process.lives(minutes=-1)
    provider = BotocoreCredentials()
    assert "still expired" in failure(provider)
    assert provider.current() is None


def test_a_process_that_hangs_does_not_hang_us(home: Home, impatient: Impatient) -> None:
    home.config("[default]\ncredential_process = sleep 5\n")
    with impatient():
        assert failure(BotocoreCredentials()).startswith(
            "the credentials could not be loaded: no answer within 0 s"
        )
    assert LOAD_TIMEOUT_S > 60
