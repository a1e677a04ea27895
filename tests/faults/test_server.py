"""The fault server does what its actions say, seen from raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault_servers
from tests.faults.actions import (
    Action,
    Answer,
    Delay,
    Early,
    Garbage,
    Request,
    Reset,
    Rule,
    Serve,
    Stall,
    Torn,
    s3_error,
)
from tests.faults.peer import BODY, drain, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartFaultServer, Tls


def test_a_put_is_stored_and_recorded(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server()
    peer = connect(server)
    for _ in range(2):
        peer.send(put("a%20b/%C3%A9?x=1&y", BODY, "X-Amz-Meta-M: v"))
        status, headers, body = peer.answer()
        assert (status, headers["etag"], body) == (200, f'"{hashlib.md5(BODY).hexdigest()}"', b"")
    first, second = server.requests
    assert (first.method, first.bucket, first.key) == ("PUT", "bucket", "a b/é")
    assert first.target == "/bucket/a%20b/%C3%A9?x=1&y"
    assert first.query == {"x": "1", "y": ""}
    assert first.headers["x-amz-meta-m"] == "v"
    assert (first.body, first.body_bytes, first.complete, first.status) == (BODY, 10, True, 200)
    assert first.sha256 == hashlib.sha256(BODY).hexdigest()
    assert 0 < first.started_s <= first.received_s <= first.answered_s <= second.started_s
    assert [(r.number, r.attempt, r.connection) for r in server.requests] == [(1, 1, 1), (2, 2, 1)]
    assert server.model.bodies("bucket") == {"a b/é": BODY}
    assert server.counts == {"connections": 1, "requests": 2, "200": 2}
    assert server.errors == []


def test_expect_100_continue(fault_server: StartFaultServer, connect: Any) -> None:
    peer = connect(fault_server())
    peer.send(put("k", b"", "Expect: 100-continue", length=10))
    assert peer.answer()[0] == 100
    peer.send(BODY)
    assert peer.answer()[0] == 200


def test_answer_and_error(fault_server: StartFaultServer, connect: Any) -> None:
    slow_down = s3_error(503, "SlowDown", "Reduce your rate", headers={"Retry-After": "2"})
    server = fault_server([Rule(slow_down, attempt=1), Rule(Answer(418, {"x-y": "z"}, b"tea", close=True))])
    peer = connect(server)
    peer.send(put("k"))
    status, headers, body = peer.answer()
    assert (status, headers["retry-after"]) == (503, "2")
    assert b"<Code>SlowDown</Code><Message>Reduce your rate</Message>" in body
    peer.send(put("k"))
    rest = peer.rest()
    assert rest.startswith(b"HTTP/1.1 418")
    assert b"Connection: close\r\n" in rest
    assert rest.endswith(b"\r\n\r\ntea")
    assert server.model.objects == {}


def test_serve_and_close(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"k*": Serve(close=True)})
    peer = connect(server)
    peer.send(put("key"))
    assert peer.rest().startswith(b"HTTP/1.1 200")
    assert server.model.bodies("bucket") == {"key": BODY}


def test_connection_close_of_the_peer_is_honoured(fault_server: StartFaultServer, connect: Any) -> None:
    peer = connect(fault_server())
    peer.send(put("k", BODY, "Connection: close"))
    assert b"Connection: close\r\n" in peer.rest()


def test_delay_answers_later_and_others_go_first(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"slow": Delay(0.3), "no": Delay(0.3, s3_error(500, "InternalError"))})
    slow, no, quick = connect(server), connect(server), connect(server)
    slow.send(put("slow"))
    no.send(put("no"))
    server.wait_until(lambda: server.in_flight == 2)
    quick.send(put("quick"))
    assert quick.answer()[0] == 200
    assert server.peak_in_flight == 3
    assert slow.answer()[0] == 200
    assert no.answer()[0] == 500
    delayed = server.requests[0]
    assert delayed.answered_s - delayed.received_s >= 0.29
    assert server.in_flight == 0


@pytest.mark.parametrize("stored", [False, True])
def test_stall_never_answers(fault_server: StartFaultServer, connect: Any, stored: bool) -> None:
    server = fault_server({"k": Stall(stored=stored)})
    peer = connect(server)
    peer.send(put("k"))
    server.wait_until(lambda: bool(server.requests and server.requests[0].complete))
    peer.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.sock.recv(1)
    assert server.model.bodies("bucket") == ({"k": BODY} if stored else {})
    peer.sock.close()
    server.wait_until(lambda: server.open_connections == 0 == server.in_flight)
    assert server.requests[0].status == 0


def test_stall_before_the_body_stops_the_peers_writes(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"k": Stall(after_body_bytes=0)}, receive_buffer_bytes=4096)
    peer = connect(server)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    peer.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        peer.send(put("k", bytes(8 << 20)))
    assert not server.requests[0].complete


@pytest.mark.parametrize(
    ("action", "sent", "least"),
    [
        (Reset(), BODY, 10),
        (Reset(after_body_bytes=0), b"", 0),
        (Reset(after_body_bytes=4), BODY[:6], 4),
        (Reset(stored=True), BODY, 10),
    ],
    ids=["answer", "headers", "mid-body", "stored"],
)
def test_reset(fault_server: StartFaultServer, connect: Any, action: Reset, sent: bytes, least: int) -> None:
    server = fault_server({"k": action})
    peer = connect(server)
    peer.send(put("k", sent, length=10))
    with pytest.raises(ConnectionResetError):
        peer.sock.recv(1)
    assert server.requests[0].body_bytes >= least
    assert server.model.bodies("bucket") == ({"k": BODY} if action.stored else {})


def test_faults_at_accept(fault_server: StartFaultServer, connect: Any) -> None:
    plan: dict[int, Action] = {1: Reset(), 2: Garbage(b"hi\n"), 3: Stall()}
    server = fault_server(on_connect=plan.get)
    with pytest.raises(ConnectionResetError):
        connect(server).sock.recv(1)
    assert connect(server).rest() == b"hi\n"
    stalled, good = connect(server), connect(server)
    stalled.send(put("never"))
    good.send(put("k"))
    assert good.answer()[0] == 200
    assert [(r.key, r.connection) for r in server.requests] == [("k", 4)]


def test_torn_and_garbage(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"torn": Torn(), "stored": Torn(b"HTTP/1.1 2", stored=True), "garbage": Garbage()})
    answers = []
    for key in ("torn", "stored", "garbage"):
        peer = connect(server)
        peer.send(put(key))
        answers.append(peer.rest())
    assert answers == [Torn().data, b"HTTP/1.1 2", Garbage().data]
    assert server.model.bodies("bucket") == {"stored": BODY}


def test_early_answers_before_the_body(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"k": Early(s3_error(403, "AccessDenied"))})
    peer = connect(server)
    peer.send(put("k", b"", length=1 << 20))
    status, headers, body = peer.answer()
    assert (status, headers["connection"]) == (403, "close")
    assert b"AccessDenied" in body
    with contextlib.suppress(ConnectionResetError):
        assert peer.sock.recv(1) == b""
    assert not server.requests[0].complete
    assert server.in_flight == 0


def test_what_is_not_http_is_noted(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server()
    peer = connect(server)
    peer.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert peer.rest().startswith(b"HTTP/1.1 400")
    assert server.errors[0].startswith("not HTTP")
    assert server.requests == []


def test_a_failing_script_shows(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server(lambda request: 1 / 0)
    peer = connect(server)
    peer.send(put("k"))
    assert peer.answer()[0] == 500
    assert "ZeroDivisionError" in server.errors[0]


def test_rules_match_all_they_name_and_the_first_one_counts() -> None:
    def request(number: int, method: str, key: str, attempt: int = 1, **query: str) -> Request:
        return Request(number, attempt, 1, method, "bucket", key, "/", query, {}, 0.0)

    rule = Rule(
        Reset(), method="PUT", key="a/*", query={"partNumber": "2", "uploadId": None}, attempt=range(2)
    )
    assert rule.matches(request(1, "PUT", "a/b", partNumber="2", uploadId="u"))
    assert not rule.matches(request(1, "POST", "a/b", partNumber="2", uploadId="u"))
    assert not rule.matches(request(1, "PUT", "b/b", partNumber="2", uploadId="u"))
    assert not rule.matches(request(1, "PUT", "a/b", partNumber="3", uploadId="u"))
    assert not rule.matches(request(1, "PUT", "a/b", partNumber="2"))
    assert not rule.matches(request(1, "PUT", "a/b", 2, partNumber="2", uploadId="u"))
    nth = Rule(Reset(), method="PUT", nth={2, 4})
    methods = ("PUT", "GET", "PUT", "PUT", "PUT")
    matched = [nth.matches(request(n, method, "k")) for n, method in enumerate(methods)]
    assert matched == [False, False, True, False, True]


def test_close_connections(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server()
    idle, other = connect(server), connect(server)
    for peer in (idle, other):
        peer.send(put("k"))
        peer.answer()
    server.close_connections()
    assert idle.rest() == other.rest() == b""


def test_set_script_while_running(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server({"k": s3_error(500, "InternalError")})
    peer = connect(server)
    peer.send(put("k"))
    assert peer.answer()[0] == 500
    server.set_script(None)
    peer.send(put("k"))
    assert peer.answer()[0] == 200


@pytest.mark.parametrize("keep", [True, False])
def test_bodies_and_records_can_be_left_out(fault_server: StartFaultServer, connect: Any, keep: bool) -> None:
    server = fault_server(keep_bodies=keep, record=not keep)
    peer = connect(server)
    peer.send(put("k"))
    assert peer.answer()[0] == 200
    stored = server.model.objects["bucket/k"]
    assert (stored.size, stored.etag) == (10, hashlib.md5(BODY).hexdigest())
    assert stored.body == (BODY if keep else b"")
    assert len(server.requests) == (0 if keep else 1)
    if not keep:
        assert (server.requests[0].body, server.requests[0].sha256) == (b"", hashlib.sha256(BODY).hexdigest())


def test_a_peer_that_goes_away_leaves_an_incomplete_record(
    fault_server: StartFaultServer, connect: Any
) -> None:
    server = fault_server()
    peer = connect(server)
    peer.send(put("k", length=20))
    server.wait_until(lambda: bool(server.requests and server.requests[0].body_bytes == 10))
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.sock.close()
    server.wait_until(lambda: server.open_connections == 0)
    assert (server.requests[0].complete, server.requests[0].status) == (False, 0)


@pytest.mark.parametrize("action", [Reset(), Reset(after_body_bytes=0)], ids=["answer", "headers"])
def test_reset_over_tls(fault_server: StartFaultServer, connect: Any, tls: Tls, action: Reset) -> None:
    server = fault_server({"k": action}, tls=tls.server_context)
    peer = connect(server, ssl.create_default_context(cafile=str(tls.ca_file)))
    peer.send(put("k"))
    # Below TLS: OpenSSL may report a reset as an end of file.
    with socket.socket(fileno=os.dup(peer.sock.fileno())) as raw:
        raw.settimeout(10)
        with pytest.raises(ConnectionResetError):
            drain(raw)


def test_what_a_server_was_sent_is_not_kept_beyond_its_test(connect: Any) -> None:
    with fault_servers() as start:
        server = start()
        peer = connect(server)
        peer.send(put("k", BODY))
        assert peer.answer()[0] == 200
        assert server.requests
        assert server.model.objects
    assert not any((server.requests, server.model.objects, server.model.uploads, server.model.completed))


def test_five_thousand_puts_of_which_one_in_a_hundred_is_not_answered(
    fault_server: StartFaultServer,
) -> None:
    n_objects, n_connections, body = 5_000, 128, random.Random(1).randbytes(4096)
    server = fault_server(
        [Rule(Stall(), nth=range(100, n_objects + 1, 100))], record=False, keep_bodies=False
    )
    unanswered: list[str] = []

    async def upload(keys: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in keys:
            key = str(number)
            writer.write(put(key, body))
            if server_stalls_on(await answered(reader)):
                unanswered.append(key)
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
        await writer.wait_closed()

    async def answered(reader: asyncio.StreamReader) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                return await reader.readuntil(b"\r\n\r\n")
        return b""

    def server_stalls_on(head: bytes) -> bool:
        assert head.startswith(b"HTTP/1.1 200") or not head
        return not head

    async def run() -> None:
        keys = iter(range(n_objects))
        async with asyncio.TaskGroup() as group:
            for _ in range(n_connections):
                group.create_task(upload(keys))

    asyncio.run(run())
    assert len(unanswered) >= n_objects // 100  # more only if this machine stood still
    assert server.counts["200"] == len(server.model.objects) == n_objects - n_objects // 100
    assert server.requests == []
    assert server.errors == []
