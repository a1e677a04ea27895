"""Opening connections: which address, and what if it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.resolve import DNS_TTL_S, MAX_CANDIDATES, PENALTY_S
from tests.http1.conftest import run_on
from tests.http1.names import HOST, controlled, controlled_asyncio, controlled_uvloop, trace
from tests.http1.openers import A, B, C, Opener, opener
from tests.http1.peers import OK, answering, head_for, serving, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Tls

    Run = Callable[[Callable[[], Any]], None]


@pytest.fixture(params=[controlled_asyncio, controlled_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: run_on(request.param, main)


@contextlib.contextmanager
def full_listener() -> Any:
    """A port whose backlog is full: the kernel leaves further handshakes unanswered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((B, 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind((A, 0))
        return int(sock.getsockname()[1])


# --- which address ----------------------------------------------------------------------------------


def test_connections_spread_over_all_addresses(run: Run) -> None:
    async def main() -> None:
        async with opener(A, B, C) as made:
            for _ in range(6):
                await made.open()
            assert Counter(c.address for c in made.opened) == {A: 2, B: 2, C: 2}
            for connection in made.opened:
                if connection.address == B:
                    connection.close()
            assert [(await made.open()).address for _ in range(2)] == [B, B]

    run(main)


def test_closing_ends_a_handshake_and_keeps_no_connection(run: Run) -> None:
    async def main() -> None:
        with full_listener() as port:
            controlled().answers = [[B]]
            made = Opener(port)
            opening = asyncio.ensure_future(made.open(connect_timeout_s=60.0))
            await until(lambda: bool(controlled().dialled))
            made.connector.close()
            await made.connector.ended()
            with pytest.raises(AttemptError) as caught:
                await opening
            assert caught.value.kind is FailureKind.CLIENT_CLOSED
            assert made.opened == made.spare == []

    run(main)


def test_closing_ends_a_handshake_that_has_not_taken_its_first_step(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            await made.open()  # the address is known from now on
            opening = asyncio.ensure_future(made.open())
            await asyncio.sleep(0)
            made.connector.close()
            with pytest.raises(AttemptError) as caught:
                await opening
            assert caught.value.kind is FailureKind.CLIENT_CLOSED
            assert len(controlled().dialled) == 1

    run(main)


def test_an_opened_connection_works(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            connection = await made.open()
            assert connection.usable
            assert (await connection.request(head_for(b"x"), b"x", trace())).status == 200

    run(main)


def test_a_retry_goes_elsewhere_if_it_can(run: Run) -> None:
    async def main() -> None:
        async with opener(A, B) as made:
            assert (await made.open(avoid=A)).address == B
            assert (await made.open(avoid=A)).address == B  # although A has none yet
        async with opener(A) as made:
            assert (await made.open(avoid=A)).address == A

    run(main)


def test_an_address_that_refused_is_left_alone_for_a_while(run: Run) -> None:
    async def main() -> None:
        async with opener(B) as made:
            controlled().answers = [[A, B]]
            assert [(await made.open()).address for _ in range(3)] == [B, B, B]
            assert controlled().dialled == [A, B, B, B]
            async with serving(answering(OK), host=A, port=made.connector.port):
                assert (await made.open()).address == B
                controlled().skip_s += PENALTY_S + 1
                assert (await made.open()).address == A
                made.close()

    run(main)


def test_where_all_refuse_a_few_are_tried_and_the_message_names_the_last(run: Run) -> None:
    async def main() -> None:
        controlled().answers = [[f"127.0.0.{n}" for n in range(1, MAX_CANDIDATES + 3)]]
        made = Opener(unused_port())
        error = await made.refusal()
        last = controlled().dialled[-1]
        assert error.kind is FailureKind.CONNECT
        assert f"no connection to {last} port {made.connector.port}: " in error.message
        assert "refused" in error.message
        assert len(controlled().dialled) == len(set(controlled().dialled)) == MAX_CANDIDATES
        await made.refusal()  # penalized, but nothing else is left: tried again
        assert len(controlled().dialled) == 2 * MAX_CANDIDATES

    run(main)


def test_however_many_addresses_are_dead_they_do_not_hide_one_that_works(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            await made.open()
            dead = [f"127.0.1.{n}" for n in range(MAX_CANDIDATES + 1)]
            controlled().answers = [[*dead, A]]
            controlled().skip_s += DNS_TTL_S + 1
            for _ in range(3):
                assert (await made.open()).address == A
                controlled().skip_s += PENALTY_S + 1

    run(main)


def test_of_many_addresses_one_of_the_other_family_is_tried_second(run: Run) -> None:
    async def main() -> None:
        async with opener(A) as made:
            dead = [f"::{n}" for n in range(2, MAX_CANDIDATES + 3)]
            controlled().answers = [[*dead, A]]
            assert (await made.open()).address == A
            assert controlled().dialled == [dead[0], A]

    run(main)


# --- one address beside the other (RFC 8305) -----------------------------------------------------------


def test_an_address_that_does_not_answer_delays_one_connection_and_not_the_next(run: Run) -> None:
    async def main() -> None:
        with full_listener() as port:
            async with serving(answering(OK), host=A, port=port):
                controlled().answers = [[B, A]]
                made = Opener(port)
                assert (await made.open()).address == A
                assert controlled().dialled == [B, A]
                assert (await made.open()).address == A
                assert controlled().dialled == [B, A, A]
                made.close()

    run(main)


def test_of_two_that_are_there_at_once_the_second_is_kept_for_later(run: Run) -> None:
    async def main() -> None:
        both = asyncio.Event()

        async def until_both() -> None:
            if len(controlled().dialled) == 2:
                both.set()
            await both.wait()

        async with opener(A, B) as made:
            controlled().before_return = until_both
            first = await made.open()
            assert controlled().dialled == [A, B]
            [spare] = made.spare
            assert spare is not first
            assert first.usable
            assert spare.usable

    run(main)


def test_a_connection_that_is_there_when_nobody_wants_it_any_more_is_closed(run: Run) -> None:
    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
        peer_left.set()

    peer_left = asyncio.Event()

    async def main() -> None:
        async with serving(handler) as port:
            opening = asyncio.ensure_future(Opener(port).open())

            async def leave() -> None:
                opening.cancel()

            controlled().before_return = leave
            with pytest.raises(asyncio.CancelledError):
                await opening
            await peer_left.wait()

    run(main)


# --- timeouts and cancellation ------------------------------------------------------------------------


def test_a_handshake_that_takes_too_long_is_given_up_and_the_next_address_tried(run: Run) -> None:
    async def main() -> None:
        with full_listener() as port:
            controlled().answers = [[B]]
            made = Opener(port)
            error = await made.refusal(connect_timeout_s=0.05)
            assert error.kind is FailureKind.CONNECT
            assert error.message == f"no connection to {B} port {port} within 0.05 s"
            async with serving(answering(OK), host=A, port=port):
                controlled().answers = [[B, A]]
                controlled().skip_s += DNS_TTL_S + 1
                assert (await made.open(connect_timeout_s=5.0)).address == A
                made.close()

    run(main)


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_a_tls_handshake_that_does_not_end_leaves_no_socket(run: Run, how: str) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        assert await reader.read(1)
        greeted.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        peer_left.set()

    greeted, peer_left = asyncio.Event(), asyncio.Event()

    async def main() -> None:
        async with serving(silent) as port:
            made = Opener(port, ssl.create_default_context())
            if how == "timeout":
                assert "within 0.1 s" in (await made.refusal(connect_timeout_s=0.1)).message
            else:
                opening = asyncio.ensure_future(made.open())
                await greeted.wait()
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening
            await peer_left.wait()

    run(main)


# --- TLS --------------------------------------------------------------------------------------------


def test_tls_to_a_server_whose_certificate_is_trusted(run: Run, tls: Tls) -> None:
    async def main() -> None:
        async with serving(answering(OK), tls=tls.server_context) as port:
            made = Opener(port, ssl.create_default_context(cafile=str(tls.ca_file)))
            connection = await made.open()
            assert (await connection.request(head_for(b""), b"", trace())).status == 200
            made.close()

    run(main)


@pytest.mark.parametrize(("host", "trusted"), [(HOST, False), ("other.example", True)])
def test_a_certificate_that_is_not_trusted(run: Run, tls: Tls, host: str, trusted: bool) -> None:
    async def main() -> None:
        controlled().answers = [[A, A]]
        async with serving(answering(OK), tls=tls.server_context) as port:
            context = ssl.create_default_context(cafile=str(tls.ca_file) if trusted else None)
            error = await Opener(port, context, host).refusal()
            assert error.kind is FailureKind.CERTIFICATE
            assert f"the certificate of {host} is not trusted: " in error.message
            assert len(controlled().dialled) == 1, "another address has the same certificate"

    run(main)


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 smtp.example.com ESMTP\r\n"])
def test_tls_to_a_server_that_does_not_speak_it(run: Run, says: bytes) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(says)
        await writer.drain()

    async def main() -> None:
        async with serving(plain) as port:
            error = await Opener(port, ssl.create_default_context()).refusal()
            assert error.kind is FailureKind.TLS_MISMATCH
            assert error.message == f"{HOST} port {port} does not speak TLS; use http:// in the endpoint URL"

    run(main)


def test_a_server_that_hangs_up_on_the_tls_handshake_is_tried_again_later(run: Run) -> None:
    async def rude(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)

    async def main() -> None:
        async with serving(rude) as port:
            assert (await Opener(port, ssl.create_default_context()).refusal()).kind is FailureKind.CONNECT

    run(main)
