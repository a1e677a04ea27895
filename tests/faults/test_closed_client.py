"""A client that is closed while a run uses it, and an exit that waits for nobody's name server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import AttemptError, FailureKind, RunError
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.s3.credentials import Credentials
from s3_upload.s3.operations import HEAD_OBJECT, Operation
from s3_upload.s3.responses import Failure
from s3_upload.syncing import list_objects, sync_files, verify_files
from tests.faults.actions import Delay, Serve, Stall
from tests.faults.uploads import BUCKET, config, quiet, run, sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import StartFaultServer

MANY = {f"{n}": b"%d" % n for n in range(2_000)}
ONE = {"a": b"x"}


@pytest.mark.parametrize(
    "action", [Delay(0.001), Serve(close=True), Stall()], ids=["kept", "closed", "stall"]
)
def test_closing_the_client_ends_the_run_and_leaves_no_connection(
    fault_server: StartFaultServer, action: Any
) -> None:
    server = fault_server(lambda _: action)

    async def main(client: S3Client) -> None:
        uploading = asyncio.ensure_future(
            s3_upload_files(client, BUCKET, sources(MANY), config(max_in_flight=32, n_retries=8))
        )
        while len(server.requests) < 32:  # noqa: ASYNC110 - it counts in another thread
            await asyncio.sleep(0.001)
        await client.aclose()
        with pytest.raises(RunError, match="the client was closed") as caught:
            await uploading
        assert caught.value.kind is FailureKind.CLIENT_CLOSED
        await quiet()
        assert len(server.requests) < len(MANY)

    run(server, main)  # which closes it once more, and then sees all connections closed


def test_a_closed_client_opens_no_connection(fault_server: StartFaultServer) -> None:
    server = fault_server()

    async def main(client: S3Client) -> None:
        await client.aclose()
        await client.aclose()
        with pytest.raises(RunError, match="the client was closed"):
            await s3_upload_files(client, BUCKET, sources(MANY), config(n_retries=8))

    run(server, main)
    assert server.counts["connections"] == 0


@pytest.mark.parametrize(
    "ask",
    [
        S3Client.list_buckets,
        lambda client: sync_files(sources(ONE), f"s3://{BUCKET}/", client=client),
        lambda client: anext(verify_files(sources(ONE), f"s3://{BUCKET}/", client=client)),
        lambda client: anext(list_objects(f"s3://{BUCKET}/", client=client)),
    ],
    ids=["list_buckets", "sync", "verify", "list"],
)
def test_whatever_is_asked_of_a_closed_client_is_a_run_error(
    fault_server: StartFaultServer, ask: Any
) -> None:
    async def main(client: S3Client) -> None:
        await client.aclose()
        with pytest.raises(RunError, match="the client was closed"):
            await ask(client)

    run(fault_server(), main)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(FailureKind.MOVED, 307, location="http://127.0.0.1:9/elsewhere/a"),
        Failure(FailureKind.REGION, 301, region="eu-west-1"),
        Failure(FailureKind.EXPIRED_TOKEN, 400),
    ],
    ids=lambda failure: failure.kind,
)
def test_what_a_closed_client_is_to_put_right_its_next_request_explains(
    fault_server: StartFaultServer, failure: Failure
) -> None:
    async def main(client: S3Client) -> None:
        operation = Operation(name=HEAD_OBJECT, bucket=BUCKET, key="a")
        trace = Trace(SendOptions(30.0), asyncio.get_running_loop().time)
        await client.send(operation, trace)
        await client.aclose()
        assert await client.correct(operation, failure, trace)
        with pytest.raises(AttemptError, match="the client was closed"):
            await client.send(operation, trace)

    run(fault_server(), main)


class NeverResolves:
    """In the place of the system's resolver; `here`: calls that have not come back."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.here = 0

    def __call__(self, host: str, *_: Any, flags: int = 0, **__: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not in figures")
        self.here += 1
        self.asked.set()
        self.go_on.wait(60.0)
        self.here -= 1
        raise socket.gaierror(socket.EAI_AGAIN, "at last")


@pytest.fixture
def never_resolves(monkeypatch: pytest.MonkeyPatch) -> Any:
    resolver = NeverResolves()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.go_on.set()


async def upload_nowhere() -> None:
    async with S3Client(
        endpoint_url="http://dead.name.server", region="us-east-1", credentials=Credentials("k", "s")
    ) as client:
        await s3_upload_files(client, BUCKET, sources({"a": b"x"}), config(grace_s=0.2))


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.SelectorEventLoop, uvloop.new_event_loop]


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_dead_name_server_does_not_hold_up_an_interrupted_run(never_resolves: Any, loop: Any) -> None:
    async def interrupted() -> None:
        uploading = asyncio.ensure_future(upload_nowhere())
        await asyncio.to_thread(never_resolves.asked.wait, 10.0)
        uploading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await uploading

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(interrupted())
    assert never_resolves.here == 1, "the loop has ended, and waited for the look-up"


def test_a_dead_name_server_does_not_hold_up_the_end_of_a_run_that_gave_up(
    never_resolves: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3_upload.http1.resolve.DNS_TIMEOUT_S", 0.01)
    monkeypatch.setattr("s3_upload.http1.resolve.RESOLVE_PAUSE_S", 0.0)
    with pytest.raises(RunError, match=r"no answer within 0\.01 s") as caught:
        asyncio.run(upload_nowhere())
    assert caught.value.kind is FailureKind.HOST_UNKNOWN
    assert never_resolves.here > 0, "the loop has ended, and waited for the look-ups"
