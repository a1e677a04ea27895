"""How names are looked up, and that a resolver's trouble does not become the run's."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connection import Connection
from s3_upload.http1.resolve import DNS_TTL_S, FIRST_RESOLVE_TRIES, Addresses
from tests.http1.conftest import run_on
from tests.http1.names import HOST, controlled, controlled_asyncio, controlled_uvloop
from tests.http1.openers import A, B, Opener, opener
from tests.http1.peers import until

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], None]


@pytest.fixture(params=[controlled_asyncio, controlled_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: run_on(request.param, main)


NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(("error", "lookups"), [(NO_NAME, 1), (AGAIN, FIRST_RESOLVE_TRIES)])
def test_a_name_that_does_not_resolve(run: Run, error: Exception, lookups: int) -> None:
    async def main() -> None:
        controlled().answers = [error]
        refusal = await Opener(1, host="no.such.host").refusal()
        assert refusal.kind is FailureKind.HOST_UNKNOWN
        assert "'no.such.host'" in refusal.message
        assert str(error.args[1]) in refusal.message
        assert "[Errno" not in refusal.message
        assert controlled().lookups == lookups
        assert controlled().dialled == []

    run(main)


def test_a_resolvers_bad_minute_does_not_stop_a_run(run: Run) -> None:
    async def main() -> None:
        async with opener(A, B) as made:
            controlled().answers = [AGAIN, [A], AGAIN, NO_NAME, [B]]
            await made.open()  # the first look-up is worth another try
            assert controlled().lookups == 2
            await made.open()
            assert controlled().lookups == 2, "looked up again before its time"
            for lookups in (3, 4):  # fails, temporarily and for good: the address known is kept
                controlled().skip_s += DNS_TTL_S + 1
                assert (await made.open()).address == A
                assert (await made.open()).address == A
                assert controlled().lookups == lookups
            controlled().skip_s += DNS_TTL_S + 1
            assert (await made.open()).address == B

    run(main)


def test_a_resolver_that_never_answers_is_asked_again_and_then_given_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.http1.resolve.DNS_TIMEOUT_S", 0.01)
    monkeypatch.setattr("s3_upload.http1.resolve.RESOLVE_PAUSE_S", 0.0)

    async def main() -> None:
        controlled().gate = asyncio.Event()
        refusal = await Opener(1).refusal()
        assert refusal.kind is FailureKind.HOST_UNKNOWN
        assert refusal.message == (
            f"the host name {HOST!r} of the endpoint cannot be resolved: no answer within 0.01 s"
        )
        assert controlled().lookups == FIRST_RESOLVE_TRIES

    run(main)


def test_a_resolver_that_falls_silent_later_does_not_stop_a_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.http1.resolve.DNS_TIMEOUT_S", 0.01)

    async def main() -> None:
        async with opener(A) as made:
            await made.open()
            controlled().gate = asyncio.Event()
            controlled().skip_s += DNS_TTL_S + 1
            for _ in range(2):
                assert (await made.open()).address == A
                assert controlled().lookups == 2

    run(main)


def test_while_a_look_up_is_silent_connections_go_to_the_addresses_known_and_later_to_those_found(
    run: Run,
) -> None:
    async def main() -> None:
        async with opener(A, B) as made:
            controlled().answers = [[A], [B]]
            await made.open()
            gate = controlled().gate = asyncio.Event()
            controlled().skip_s += DNS_TTL_S + 1
            async with asyncio.timeout(5.0):  # without skipping, a look-up may take DNS_TIMEOUT_S
                for _ in range(100):
                    assert (await made.open()).address == A
                assert controlled().lookups == 2
                gate.set()
                await asyncio.sleep(0.01)
                assert (await made.open()).address == B
                assert controlled().lookups == 2

    run(main)


def test_many_who_need_a_name_look_it_up_once(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            gate = controlled().gate = asyncio.Event()
            opening = [asyncio.ensure_future(made.open()) for _ in range(10)]
            await until(lambda: bool(controlled().lookups))
            opening[0].cancel()  # the one who asked leaves; the others still get their answer
            await asyncio.sleep(0)
            gate.set()
            results = await asyncio.gather(*opening, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert all(isinstance(result, Connection) for result in results[1:])
            assert controlled().lookups == 1

    run(main)


def test_closing_ends_a_look_up_and_whoever_waits_for_it_hears_why(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            controlled().gate = asyncio.Event()
            opening = [asyncio.ensure_future(made.open()) for _ in range(3)]
            await until(lambda: bool(controlled().lookups))
            made.connector.close()
            await made.connector.ended()
            results = await asyncio.gather(*opening, return_exceptions=True)
            assert [getattr(result, "kind", result) for result in results] == [FailureKind.CLIENT_CLOSED] * 3
            assert (await made.refusal()).kind is FailureKind.CLIENT_CLOSED
            assert controlled().lookups == 1

    run(main)


def test_closing_ends_a_look_up_that_has_not_taken_its_first_step(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            opening = asyncio.ensure_future(made.open())
            await asyncio.sleep(0)
            made.connector.close()
            with pytest.raises(AttemptError) as caught:
                await opening
            assert caught.value.kind is FailureKind.CLIENT_CLOSED
            assert controlled().lookups == 0

    run(main)


def test_an_address_in_figures_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))

    async def main() -> None:
        addresses = Addresses("127.0.0.9", 80, asyncio.get_running_loop())
        assert await addresses.candidates("") == ["127.0.0.9"]
        addresses.close()

    run_on(controlled_asyncio, main)


def test_what_cannot_be_a_host_name_is_no_crash() -> None:
    async def main() -> None:
        addresses = Addresses("a..b", 80, asyncio.get_running_loop())
        with pytest.raises(AttemptError, match=r"'a\.\.b' .* cannot be resolved") as caught:
            await addresses.candidates("")
        assert caught.value.kind is FailureKind.HOST_UNKNOWN
        addresses.close()

    run_on(controlled_asyncio, main)
