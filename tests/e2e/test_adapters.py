"""Both adapters against a real store, and against sockets that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import trustme

from s3_upload.adapters import boto3_client
from s3_upload.errors import AttemptError, ConfigError, FailureKind
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.request_fields import NO_FIELDS, RequestFields
from s3_upload.s3 import responses
from s3_upload.s3.checksum import Digests
from s3_upload.s3.operations import (
    ABORT_MULTIPART_UPLOAD,
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    LIST_PARTS,
    PUT_OBJECT,
    UPLOAD_PART,
    CompletedPart,
    Operation,
    complete_multipart_upload,
    create_multipart_upload,
)
from tests.faults.actions import Answer, Rule, foreign
from tests.sdk import arguments, with_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from s3_upload.http import Body, Buffer, Response
    from s3_upload.transfer.client import Client
    from tests.conftest import StartFaultServer
    from tests.store import Store

PART_BYTES = 5 * 1024 * 1024


@pytest.fixture(params=["aiobotocore", "boto3"])
def sdk(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trace() -> Trace:
    return Trace(SendOptions(5.0), time.monotonic)


def put(
    key: str = "a", bucket: str = "photos", body: Body = b"hello", fields: RequestFields = NO_FIELDS
) -> Operation:
    return Operation(name=PUT_OBJECT, bucket=bucket, key=key, body=body, fields=fields)


def keys_of(store: Store) -> dict[str, str]:
    return {
        "endpoint_url": store.endpoint_url,
        "access_key": store.access_key,
        "secret_key": store.secret_key,
    }


FIELDS = RequestFields(
    content_type="text/x-test",
    cache_control="max-age=5",
    content_language="de",
    content_disposition="inline",
    content_encoding="identity",
    metadata={"origin": "camera one"},
)


@pytest.mark.parametrize(
    "body", [b"hello", b"", memoryview(bytearray(b"hello"))], ids=["bytes", "empty", "view"]
)
def test_put(sdk: str, store: Store, bucket: str, body: Buffer) -> None:
    key = f"ä b/{uuid.uuid4()}"
    seen = trace()

    async def use(client: Client) -> Response:
        assert client.endpoint == store.endpoint_url
        assert client.digests == Digests()
        return await client.send(put(key, bucket, body, FIELDS), seen)

    response = with_client(sdk, use, **keys_of(store))
    assert responses.classify(PUT_OBJECT, response) is None
    answer = store.client.get_object(Bucket=bucket, Key=key)
    assert answer["Body"].read() == bytes(body)
    assert answer["ETag"] == response.etag
    assert (answer["ContentType"], answer["CacheControl"]) == ("text/x-test", "max-age=5")
    assert {name.lower(): value for name, value in answer["Metadata"].items()} == {"origin": "camera one"}
    assert seen.abort is None
    assert seen.started_s <= seen.request_s <= seen.first_byte_s


def test_multipart(sdk: str, store: Store, bucket: str) -> None:
    key = f"big/{uuid.uuid4()}"
    bodies = [b"a" * PART_BYTES, b"tail"]

    async def use(client: Client) -> Response:
        async def send(name: str, **more: Any) -> Response:
            response = await client.send(Operation(name=name, bucket=bucket, key=key, **more), trace())
            assert responses.classify(name, response) is None
            return response

        upload_id = create_multipart_upload.upload_id(await send(CREATE_MULTIPART_UPLOAD, fields=FIELDS))
        parts = []
        for number, body in enumerate(bodies, 1):
            part = await send(UPLOAD_PART, upload_id=upload_id, part_number=number, body=body)
            parts.append(CompletedPart(number, part.etag))
        return await send(COMPLETE_MULTIPART_UPLOAD, upload_id=upload_id, parts=tuple(parts))

    completed = with_client(sdk, use, **keys_of(store))
    answer = store.client.get_object(Bucket=bucket, Key=key)
    assert answer["Body"].read() == b"".join(bodies)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert complete_multipart_upload.completed_etag(completed) == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert answer["ContentType"] == "text/x-test"


def test_abort_multipart(sdk: str, store: Store, bucket: str) -> None:
    async def use(client: Client) -> tuple[Response, Response]:
        create = Operation(name=CREATE_MULTIPART_UPLOAD, bucket=bucket, key="never")
        upload_id = create_multipart_upload.upload_id(await client.send(create, trace()))
        known: dict[str, Any] = {"bucket": bucket, "key": "never", "upload_id": upload_id}
        aborted = await client.send(Operation(name=ABORT_MULTIPART_UPLOAD, **known), trace())
        late = Operation(name=UPLOAD_PART, part_number=1, body=b"x", **known)
        return aborted, await client.send(late, trace())

    aborted, late = with_client(sdk, use, **keys_of(store))
    assert responses.classify(ABORT_MULTIPART_UPLOAD, aborted) is None
    failure = responses.classify(UPLOAD_PART, late)
    assert failure is not None
    assert failure.code == "NoSuchUpload"


def failure_of(sdk: str, operation: Operation, **given: Any) -> responses.Failure:
    response = with_client(sdk, lambda client: client.send(operation, trace()), **given)
    failure = responses.classify(operation.name, response)
    assert failure is not None
    return failure


def error_of(sdk: str, operation: Operation, **given: Any) -> AttemptError:
    with pytest.raises(AttemptError) as caught:
        with_client(sdk, lambda client: client.send(operation, trace()), **given)
    assert "\n" not in caught.value.message
    return caught.value


def test_no_such_bucket(sdk: str, store: Store) -> None:
    operation = Operation(name=PUT_OBJECT, bucket=f"nowhere-{uuid.uuid4()}", key="a", body=b"x")
    failure = failure_of(sdk, operation, **keys_of(store))
    assert (failure.kind, failure.status, failure.code) == (FailureKind.NO_SUCH_BUCKET, 404, "NoSuchBucket")


def test_wrong_secret(sdk: str, store: Store, bucket: str) -> None:
    failure = failure_of(sdk, put(bucket=bucket), **{**keys_of(store), "secret_key": "wrong-secret"})
    assert (failure.kind, failure.status) == (FailureKind.CREDENTIALS, 403)
    assert failure.code == "SignatureDoesNotMatch"


def test_a_parameter_the_sdk_refuses_fails_that_object_alone(sdk: str, store: Store) -> None:
    error = error_of(sdk, put(fields=RequestFields(metadata={"ö": "x"})), **keys_of(store))
    assert error.kind is FailureKind.REJECTED


def test_refused_connection(sdk: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = error_of(sdk, put(), endpoint_url=f"http://127.0.0.1:{port}")
    assert error.kind is FailureKind.CONNECT


def test_unknown_host(sdk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # the machine's resolver is not ours to rely on
    assert error_of(sdk, put(), endpoint_url="http://store.invalid").kind is FailureKind.HOST_UNKNOWN


@contextlib.contextmanager
def misbehaving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does `serve` with each connection; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with contextlib.suppress(OSError), connection:
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while (line := reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"expect:"):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            reader.read(5)
        connection.sendall(answer)

    return serve


def test_connection_lost_before_the_answer(sdk: str) -> None:
    with misbehaving(answering(b"")) as port:
        error = error_of(sdk, put(), endpoint_url=f"http://127.0.0.1:{port}")
    assert error.kind is FailureKind.RESET


def test_an_answer_that_the_sdk_would_retry_comes_back_whole(sdk: str) -> None:
    body = b"<Error><Code>SlowDown</Code><Message>less, &lt;please&gt; &amp; soon</Message></Error>"
    head = b"HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\nx-amz-request-id: R1\r\n"
    answer = head + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    with misbehaving(answering(answer)) as port:
        failure = failure_of(sdk, put(), endpoint_url=f"http://127.0.0.1:{port}")
    assert failure.kind is FailureKind.THROTTLE
    assert failure.message == "less, <please> & soon"
    assert (failure.status, failure.code, failure.request_id) == (503, "SlowDown", "R1")
    assert failure.retry_after_s == 7.0


NGINX_404 = "<html>\r\n<body>\r\n<h1>404 Not Found</h1>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (foreign(404), FailureKind.NOT_S3),
        (foreign(404, NGINX_404), FailureKind.NOT_S3),
        (foreign(404, ""), FailureKind.NOT_S3),
        (foreign(405), FailureKind.NOT_S3),
        (foreign(502), FailureKind.SERVER),
        (foreign(502, ""), FailureKind.SERVER),
        (foreign(503), FailureKind.THROTTLE),
    ],
)
def test_what_is_no_answer_of_s3s_does_not_look_like_one(
    sdk: str, fault_server: StartFaultServer, answer: Answer, kind: FailureKind
) -> None:
    failure = failure_of(sdk, put(), endpoint_url=fault_server([Rule(answer)]).url)
    assert (failure.kind, failure.status) == (kind, answer.status)
    assert (failure.code, failure.message, failure.request_id) == ("", "", "")


def test_an_error_of_s3s_is_one_whatever_it_lacks(sdk: str, fault_server: StartFaultServer) -> None:
    answer = foreign(404, "<Error><Code></Code><Message>who knows</Message></Error>")
    failure = failure_of(sdk, put(), endpoint_url=fault_server([Rule(answer)]).url)
    assert (failure.kind, failure.message) == (FailureKind.REJECTED, "who knows")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (201, "<html><br>Log in first</html>"),
        (201, '{"welcome": "to the hotel"}'),
        (206, "<ListPartsResult><Part><PartNumber>1</Part"),
        (200, "<ListPartsResult><Part><PartNumber>one</PartNumber></Part></ListPartsResult>"),
    ],
)
def test_an_answer_that_the_sdk_cannot_read_is_one_failed_attempt(
    sdk: str, fault_server: StartFaultServer, status: int, text: str
) -> None:
    operation = Operation(name=LIST_PARTS, bucket="photos", key="a", upload_id="1")
    error = error_of(sdk, operation, endpoint_url=fault_server([Rule(foreign(status, text))]).url)
    assert error.kind is FailureKind.MALFORMED


def test_a_key_that_is_no_unicode_fails_that_object_alone(sdk: str, store: Store) -> None:
    error = error_of(sdk, put(key="\udcff"), **keys_of(store))
    assert (error.kind, error.message) == (
        FailureKind.REJECTED,
        "the key is not valid Unicode, which S3 requires",
    )


def test_the_sdks_own_read_timeout(sdk: str) -> None:
    release = threading.Event()

    def serve(connection: socket.socket) -> None:
        answering(b"HTTP/1.1 200")(connection)
        release.wait(30)

    with misbehaving(serve) as port:
        error = error_of(sdk, put(), endpoint_url=f"http://127.0.0.1:{port}", read_timeout=0.2)
        release.set()
    assert error.kind is FailureKind.TIMEOUT


def test_https_to_a_port_without_tls(sdk: str) -> None:
    with misbehaving(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = error_of(sdk, put(), endpoint_url=f"https://127.0.0.1:{port}")
    assert error.kind is FailureKind.TLS_MISMATCH


def test_untrusted_certificate(sdk: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            pass

    with misbehaving(serve) as port:
        error = error_of(sdk, put(), endpoint_url=f"https://127.0.0.1:{port}")
    assert error.kind is FailureKind.CERTIFICATE


def test_no_credentials(sdk: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
    given: dict[str, Any] = {"access_key": None, "secret_key": None}
    error = error_of(sdk, put(), endpoint_url=store.endpoint_url, **given)
    assert error.kind is FailureKind.CREDENTIALS


def with_hanging(
    sdk: str, use: Callable[[Client, asyncio.Future[bool]], Awaitable[None]], **config: Any
) -> None:
    """Calls `use` with a client of a server that never answers, and a future of its first request."""
    hung = threading.Event()
    release = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.recv(1)
        hung.set()
        release.wait(30)

    async def main(client: Client) -> None:
        await use(client, asyncio.get_running_loop().run_in_executor(None, hung.wait, 30))

    with misbehaving(hang) as port:
        with_client(sdk, main, endpoint_url=f"http://127.0.0.1:{port}", **config)
        release.set()


def test_abort_cuts_a_call_that_hangs(sdk: str) -> None:
    async def use(client: Client, hangs: asyncio.Future[bool]) -> None:
        seen = trace()
        call = asyncio.ensure_future(client.send(put(), seen))
        await hangs
        assert seen.abort is not None
        seen.abort("no complete answer within 1 s")
        seen.abort("a second time is harmless")
        with pytest.raises(AttemptError, match=r"^no complete answer within 1 s$") as caught:
            await call
        assert caught.value.kind is FailureKind.TIMEOUT
        assert seen.abort is None
        assert seen.request_s > 0.0
        assert seen.first_byte_s == 0.0

    with_hanging(sdk, use)


def test_cancelling_send_cancels_the_call(sdk: str) -> None:
    async def use(client: Client, hangs: asyncio.Future[bool]) -> None:
        call = asyncio.ensure_future(client.send(put(), trace()))
        await hangs
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)  # the SDK's own call ends as well

    with_hanging(sdk, use)


def test_slots_are_bounded_and_waiting_for_one_is_not_counted(sdk: str) -> None:
    """With one connection the second call waits: its time has not begun, and it can be aborted."""

    async def use(client: Client, hangs: asyncio.Future[bool]) -> None:
        first, second = trace(), trace()
        running = asyncio.ensure_future(client.send(put("1"), first))
        await hangs
        waiting = asyncio.ensure_future(client.send(put("2"), second))
        for _ in range(5):  # turns of the loop: without a bound the second call would have begun
            await asyncio.sleep(0)
        assert second.abort is not None
        assert (first.request_s > 0.0, second.request_s) == (True, 0.0)
        second.abort("enough")
        with pytest.raises(AttemptError, match="enough"):
            await waiting
        assert second.request_s == 0.0
        assert first.abort is not None
        first.abort("enough")
        with pytest.raises(AttemptError, match="enough"):
            await running

    with_hanging(sdk, use, max_pool_connections=1)


@pytest.mark.parametrize(
    "retries", [None, {"max_attempts": 3}, {"mode": "standard"}, {"total_max_attempts": 2}]
)
def test_a_client_that_retries_by_itself_is_warned_of(sdk: str, retries: dict[str, Any] | None) -> None:
    with pytest.warns(UserWarning, match=r'retries=\{"total_max_attempts": 1\}') as caught:
        with_client(sdk, no_use, endpoint_url="http://store.invalid", retries=retries)
    assert caught[0].filename == with_client.__code__.co_filename  # the caller's line, not ours


async def no_use(client: Client) -> None:
    assert repr(client).endswith("(http://store.invalid)")


@pytest.mark.parametrize("threads", [0, 1001, True, 2.5])
def test_threads_out_of_range(threads: Any) -> None:
    client = boto3.client(**arguments("http://store.invalid"))
    with pytest.raises(ConfigError, match=r"threads = .*: must be a whole number from 1 to 1000"):
        boto3_client(client, threads=threads)
    client.close()


def test_a_pool_larger_than_the_threads_there_may_be_is_no_mistake() -> None:
    client = boto3.client(**arguments("http://store.invalid", max_pool_connections=1001))
    boto3_client(client)
    client.close()
