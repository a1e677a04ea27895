"""What stops a run, and that a stopped run leaves nothing behind: `uploads.run` looks for tasks, threads
and connections after each of these."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.clients.s3 import S3Client
from s3_upload.control.retrying.retry import Tuning as RetryTuning
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.observe.events import AttemptEnded
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from s3_upload.transfer.pacer import Pacer
from tests.faults.actions import Answer, Delay, Early, Garbage, Held, Rule, Stall, s3_error
from tests.faults.model import S3Model
from tests.faults.uploads import (
    BUCKET,
    PART_BYTES,
    Reports,
    client_of,
    config,
    quiet,
    run,
    sources,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer, Tls
    from tests.faults.actions import Action, Request

MANY = {str(n): b"x" for n in range(100)}
FATAL = {
    "NoSuchBucket": (s3_error(404, "NoSuchBucket"), FailureKind.NO_SUCH_BUCKET),
    "SignatureDoesNotMatch": (s3_error(403, "SignatureDoesNotMatch"), FailureKind.CREDENTIALS),
    "InvalidAccessKeyId": (s3_error(403, "InvalidAccessKeyId"), FailureKind.CREDENTIALS),
    "AccessDenied": (s3_error(403, "AccessDenied", "No."), FailureKind.ACCESS_DENIED),
    "bare 403": (Answer(403), FailureKind.ACCESS_DENIED),
}


@pytest.mark.parametrize("name", FATAL)
def test_what_no_object_would_survive_stops_the_run_at_once(
    fault_server: StartFaultServer, name: str
) -> None:
    answer, kind = FATAL[name]
    server = fault_server({"*": answer})
    reports = Reports()
    with pytest.raises(RunError) as caught:
        upload(server, MANY, settings=config(max_in_flight=1), progress=reports)
    assert caught.value.kind is kind
    assert len(server.requests) == 1, "it went on after the answer"
    message = str(caught.value)
    assert repr(BUCKET) in message
    assert "\n" not in message
    assert reports == []


def test_the_message_says_what_to_do_about_a_missing_bucket(fault_server: StartFaultServer) -> None:
    server = fault_server(model=S3Model(buckets=set()))
    with pytest.raises(
        RunError,
        match=r"no such bucket; create it .--create-bucket; in Python: create_bucket. or correct its name",
    ):
        upload(server, MANY)


def test_an_error_while_big_bodies_are_being_sent(fault_server: StartFaultServer) -> None:
    """The store says no at the headers and stops reading."""
    server = fault_server({"*": Early(s3_error(403, "SignatureDoesNotMatch"))})
    contents = {str(n): bytes(PART_BYTES) for n in range(4)}
    with pytest.raises(RunError) as caught:
        upload(server, contents)
    assert caught.value.kind is FailureKind.CREDENTIALS


def test_an_upload_in_parts_that_the_store_is_asked_to_begin_when_an_error_ends_the_run_leaves_nothing(
    fault_server: StartFaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    monkeypatch.setattr("s3_upload.transfer.run.CREATE_GRACE_S", 30.0)
    failed = threading.Event()
    creates = Rule(Held(failed), method="POST")
    server = fault_server([creates, Rule(s3_error(403, "AccessDenied"), method="PUT")])

    async def files() -> AsyncIterator[ObjectSource]:
        yield ObjectSource.file(tmp_path / "big", "big")
        await asyncio.to_thread(server.wait_until, lambda: bool(server.of("POST")))
        yield ObjectSource.data(b"x", "small")

    def listen(event: object) -> None:
        if type(event) is AttemptEnded and event.key == "small":
            failed.set()

    with pytest.raises(RunError):
        upload(server, files(), events=listen)
    assert server.model.uploads == {}
    assert len(server.of("DELETE")) == 1


@pytest.mark.parametrize("n_retries", [0, 1, RetryTuning().min_retries_to_stop])
def test_nobody_listens(fault_server: StartFaultServer, n_retries: int) -> None:
    """It may be a store that is being restarted and is tried again; then the run ends, not each object,
    however few the retries."""
    server = fault_server()
    server.stop()

    async def main() -> None:
        async with client_of(server) as client:
            reports = Reports()
            settings = config(n_retries=n_retries, max_in_flight=2)
            with pytest.raises(RunError) as caught:
                await s3_upload_files(client, BUCKET, sources(MANY), settings, progress=reports)
            message = str(caught.value)
            tries = f"{RetryTuning().min_retries_to_stop + 1} attempts"
            assert caught.value.kind is FailureKind.CONNECT
            assert message.startswith(f"{server.url} cannot be reached, after {tries}: no connection to ")
            assert f"port {server.port}" in message
            assert "refused" in message.lower()
            assert "\n" not in message
            assert reports == []
            await quiet()

    asyncio.run(main())


@pytest.mark.parametrize("answer", [None, Answer(500)], ids=["success", "error"])
def test_a_store_that_has_answered_and_is_gone_fails_its_objects_where_no_outage_is_waited_for(
    fault_server: StartFaultServer, answer: Answer | None
) -> None:
    server = fault_server({"first": answer})
    answered = asyncio.Event()

    async def files() -> Any:
        yield ObjectSource.data(b"x", "first")
        await answered.wait()
        for key in ("second", "third"):
            yield ObjectSource.data(b"x", key)

    settings = config(n_retries=RetryTuning().min_retries_to_stop)

    class Watching(S3Client):
        async def send(self, operation: Any, trace: Any) -> Any:
            try:
                return await super().send(operation, trace)
            finally:
                if not answered.is_set():
                    await asyncio.to_thread(server.stop)
                    answered.set()

    async def main() -> None:
        async with Watching(endpoint_url=server.url, credentials=Credentials("k", "s")) as client:
            summary = await s3_upload_files(client, BUCKET, files(), settings)
            assert (summary.sources, summary.uploaded) == (3, 0 if answer else 1)
            outcomes = {report.key: report.outcome for report in summary.failed}
            assert outcomes.pop("first", "connect") == "connect"
            assert outcomes == {"second": "connect", "third": "connect"}
            await quiet()

    asyncio.run(main())


def test_https_to_a_store_that_speaks_http(fault_server: StartFaultServer) -> None:
    server = fault_server()

    async def main() -> None:
        async with S3Client(
            endpoint_url=f"https://127.0.0.1:{server.port}",
            region="us-east-1",
            credentials=Credentials("k", "s"),
        ) as client:
            with pytest.raises(RunError, match="does not speak TLS; use http://") as caught:
                await s3_upload_files(client, BUCKET, sources(MANY), config())
            assert caught.value.kind is FailureKind.TLS_MISMATCH
            await quiet()

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 5_000_000], ids=["small", "big"])
def test_http_to_a_store_that_speaks_https(fault_server: StartFaultServer, size: int) -> None:
    """As servers written in Go do it: an answer to the first bytes, not even in HTTP/1.1, and closed."""
    words = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    server = fault_server({"*": Garbage(words)})
    with pytest.raises(RunError, match="this port speaks TLS; use https://") as caught:
        upload(server, {"a": bytes(size)})
    assert caught.value.kind is FailureKind.TLS_MISMATCH
    assert len(server.requests) == 1


def test_a_certificate_that_is_not_trusted(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    with pytest.raises(RunError, match="not trusted") as caught:
        upload(server, MANY)
    assert caught.value.kind is FailureKind.CERTIFICATE
    assert server.requests == []


def test_a_bucket_that_cannot_be_one(fault_server: StartFaultServer) -> None:
    server = fault_server()
    with pytest.raises(ConfigError, match="bucket = 's3://x'"):
        upload(server, MANY, bucket="s3://x")
    assert server.requests == []


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)

    async def main() -> None:
        async with S3Client(
            endpoint_url="http://no.such.host", region="us-east-1", credentials=Credentials("k", "s")
        ) as client:
            with pytest.raises(RunError, match=r"'no\.such\.host'") as caught:
                await s3_upload_files(client, BUCKET, sources(MANY), config())
            assert caught.value.kind is FailureKind.HOST_UNKNOWN
            await quiet()

    asyncio.run(main())


class Cancelling(S3Client):
    async def send(self, operation: Any, trace: Any) -> Any:
        raise asyncio.CancelledError


def test_a_client_that_cancels_itself_does_not_hang_the_run(fault_server: StartFaultServer) -> None:
    async def main(client: S3Client) -> None:
        broken = Cancelling(endpoint_url=client.endpoint, credentials=Credentials("k", "s"))
        with pytest.raises(RuntimeError, match="CancelledError"):
            await s3_upload_files(broken, BUCKET, sources(MANY), config())

    run(fault_server(), main)


# --- cancellation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["answer", "body", "retry", "progress", "pull"])
def test_a_cancelled_run_leaves_nothing(fault_server: StartFaultServer, phase: str) -> None:
    actions = {
        "answer": Stall(),
        "body": Stall(0),
        "retry": s3_error(503, "SlowDown", headers={"Retry-After": "100"}),
    }
    server = fault_server([Rule(actions.get(phase), key="1*")], receive_buffer_bytes=4096)
    reached = asyncio.Event()

    async def files() -> Any:
        for n in range(100):
            if n == 50 and phase == "pull":
                reached.set()
                await asyncio.Event().wait()
            yield ObjectSource.data(bytes(1 << 20) if n == 1 else b"x", str(n))

    async def progress(report: Any) -> None:
        if phase == "progress":
            reached.set()
            await asyncio.Event().wait()

    async def main(client: S3Client) -> None:
        settings = config(max_in_flight=4, grace_s=0.2)
        running = asyncio.ensure_future(s3_upload_files(client, BUCKET, files(), settings, progress))
        if phase in actions:
            wanted = 1 if phase == "body" else 4
            await asyncio.to_thread(
                server.wait_until, lambda: len([r for r in server.requests if r.key[0] == "1"]) >= wanted
            )
        else:
            await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await quiet()
        again = await s3_upload_files(client, BUCKET, sources({"again": b"x"}), settings)
        assert again.uploaded == 1, "the client is good for another run"
        assert [r.status for r in server.of("PUT", "again")] == [200]

    run(server, main)


def test_a_run_that_is_cancelled_once_more_while_it_ends_holds_nothing_back_any_more(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    let_go, pacers = threading.Event(), list[Pacer]()
    start = Pacer.start

    def seen(pacer: Pacer) -> None:
        pacers.append(pacer)
        start(pacer)

    monkeypatch.setattr(Pacer, "start", seen)
    server = fault_server([Rule(Stall(), query={"partNumber": "2"}), Rule(Held(let_go), method="DELETE")])

    def was_asked(method: str, what: str) -> bool:
        return any(what in request.target for request in server.requests if request.method == method)

    async def main(client: S3Client) -> None:
        settings = config(grace_s=0.0, max_bandwidth="1GB/s")
        files = [ObjectSource.file(tmp_path / "big", "big")]
        running = asyncio.ensure_future(s3_upload_files(client, BUCKET, files, settings))
        for method, asked in (("PUT", "partNumber=2"), ("DELETE", "")):
            await asyncio.to_thread(server.wait_until, partial(was_asked, method, asked))
            running.cancel()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        [pacer] = pacers
        assert pacer._timer is None

    run(server, main)


def test_what_would_have_stopped_a_cancelled_run_is_not_printed(
    fault_server: StartFaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As a loop does with the exception of a future at which nobody looks."""
    answered = threading.Event()
    missing = s3_error(404, "NoSuchBucket")

    def refused(request: Request) -> Action:
        answered.wait(10.0)
        return missing

    server = fault_server(refused)

    async def main(client: S3Client) -> None:
        running = asyncio.ensure_future(s3_upload_files(client, BUCKET, sources({"a": b"x"}), config()))
        # Not by `wait_until`: the server itself waits, and tells nothing meanwhile.
        while not server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.sleep(0)
        answered.set()
        with pytest.raises(asyncio.CancelledError):
            await running

    run(server, main)
    gc.collect()
    assert caplog.records == []


def test_two_runs_may_share_a_client_and_one_be_cancelled(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda request: Delay(0.002) if request.bucket == BUCKET else None)

    async def main(client: S3Client) -> None:
        def files() -> Iterator[ObjectSource]:
            return (ObjectSource.data(b"x", str(n)) for n in range(500))

        doomed = asyncio.ensure_future(s3_upload_files(client, BUCKET, files(), config()))
        other = asyncio.ensure_future(s3_upload_files(client, "other", files(), config()))
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) > 100)
        doomed.cancel()
        assert (await other).uploaded == 500
        with pytest.raises(asyncio.CancelledError):
            await doomed

    run(server, main)
    assert len(server.model.bodies("other")) == 500
