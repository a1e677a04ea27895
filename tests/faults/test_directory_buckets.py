"""Uploads to a directory bucket: sessions, who they are shared by, when they are renewed, and what fails."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from s3_upload.api import s3_upload_files
from s3_upload.bucket.asking import Asker
from s3_upload.bucket.unfinished import Unfinished
from s3_upload.clients.s3 import S3Client
from s3_upload.errors import ConfigError, RunError
from s3_upload.request_fields import RequestFields
from s3_upload.s3.credentials import Credentials
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Request, Reset, Stall, s3_error
from tests.faults.directory import BUCKET, LIFE_S, START_S, Clock, Directory, DirectoryModel
from tests.faults.model import Upload
from tests.faults.uploads import PART_BYTES, config, run, sources, upload
from tests.proxy.forward import ForwardProxy

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

SMALL = {f"{number:02}": bytes([number]) for number in range(20)}


def put(
    server: FaultServer, files: Any = None, store: Directory | None = None, **options: Any
) -> UploadSummary:
    clock = store.clock if store is not None else Clock()
    return upload(server, files or SMALL, bucket=BUCKET, tls={"utc_clock": clock, **options})


def test_one_session_is_for_all_requests_and_signs_them(fault_server: StartFaultServer) -> None:
    """Small objects and parts, many at once; the store checks every signature."""
    store = Directory()
    server = fault_server(store, model=DirectoryModel())
    files = {**SMALL, "big": bytes(2 * PART_BYTES + 1)}
    put(server, files, store)
    assert server.model.bodies(BUCKET) == files
    assert store.wrong == []
    assert store.asked == 1
    assert all("x-amz-security-token" not in r.headers for r in server.requests)


def test_unfinished_uploads_are_found_below_any_prefix(fault_server: StartFaultServer) -> None:
    """The store lists them below whole directories alone."""
    store = Directory()
    server = fault_server(store, model=DirectoryModel())
    for key in ("p/my", "p/my/a", "p/z", "q"):
        server.model.uploads[key] = Upload(BUCKET, key, {})

    async def main(client: S3Client) -> list[list[str]]:
        unfinished = Unfinished(Asker(client), BUCKET)
        return [[one.key async for one in unfinished.below(prefix)] for prefix in ("p/my", "p/my/", "q", "")]

    found = run(server, main, utc_clock=store.clock)
    assert found == [["p/my", "p/my/a"], ["p/my/a"], ["q"], ["p/my", "p/my/a", "p/z", "q"]]


def test_the_account_may_have_a_session_token_itself(fault_server: StartFaultServer) -> None:
    store = Directory()
    server = fault_server(store, model=DirectoryModel())
    put(server, None, store, credentials=Credentials("key", "secret", "account-token"))
    assert store.wrong == []
    [asking] = server.of("GET")
    assert asking.headers["x-amz-security-token"] == "account-token"
    assert "x-amz-s3session-token" not in asking.headers


def test_a_session_that_will_end_is_renewed_while_requests_go_on(fault_server: StartFaultServer) -> None:
    """The next one is there before the first has ended: no request waits, and none is refused."""
    store = Directory()
    server = fault_server(store, model=DirectoryModel())

    async def main(client: S3Client) -> None:
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())
        store.clock.now_s = START_S + LIFE_S - 59.0
        await s3_upload_files(client, BUCKET, sources({"b": b"b"}), config())
        await asyncio.to_thread(server.wait_until, lambda: store.asked == 2)
        await client._sessions[BUCKET].ended()
        await s3_upload_files(client, BUCKET, sources({"c": b"c"}), config())

    run(server, main, utc_clock=store.clock)
    tokens = [r.headers["x-amz-s3session-token"] for r in server.of("PUT")]
    assert tokens == [store.token(1), store.token(1), store.token(2)]
    assert store.asked == 2
    assert store.wrong == []


def test_after_its_end_requests_wait_for_the_next(fault_server: StartFaultServer) -> None:
    store = Directory()
    server = fault_server(store, model=DirectoryModel())

    async def main(client: S3Client) -> None:
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())
        store.clock.now_s = START_S + LIFE_S + 1.0
        await s3_upload_files(client, BUCKET, sources(SMALL), config())

    run(server, main, utc_clock=store.clock)
    assert store.asked == 2
    assert [r.status for r in server.requests if r.status != 200] == []


def test_a_session_that_the_store_calls_expired_is_replaced_once(fault_server: StartFaultServer) -> None:
    """Its clock is ahead of ours, say: all that it refuses share one new session."""
    store = Directory()
    server = fault_server(store, model=DirectoryModel())

    async def main(client: S3Client) -> UploadSummary:
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())
        store.ends_s[0] = START_S
        return await s3_upload_files(client, BUCKET, sources(SMALL), config())

    summary = run(server, main, utc_clock=store.clock)
    assert not summary.failed
    assert store.asked == 2
    assert store.used == {1, 2}


def test_an_expired_session_whose_replacement_fails_at_first_costs_no_object(
    fault_server: StartFaultServer,
) -> None:
    store = Directory(instead=lambda number: s3_error(503, "SlowDown") if number == 2 else None)
    server = fault_server(store, model=DirectoryModel())

    async def main(client: S3Client) -> UploadSummary:
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())
        store.ends_s[0] = START_S
        return await s3_upload_files(client, BUCKET, sources(SMALL), config())

    assert not run(server, main, utc_clock=store.clock).failed
    assert store.used == {1, 2}


def test_a_failing_renewal_matters_only_once_the_session_has_ended(fault_server: StartFaultServer) -> None:
    def instead(number: int) -> Action | None:
        return s3_error(403, "AccessDenied", "Not any more") if number > 1 else None

    store = Directory(instead=instead)
    server = fault_server(store, model=DirectoryModel())

    async def main(client: S3Client) -> str:
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())
        store.clock.now_s = START_S + LIFE_S - 30.0
        await s3_upload_files(client, BUCKET, sources({"b": b"b"}), config())
        store.clock.now_s = START_S + LIFE_S + 1.0
        with pytest.raises(RunError) as caught:
            await s3_upload_files(client, BUCKET, sources({"c": b"c"}), config())
        return str(caught.value)

    told = run(server, main, utc_clock=store.clock)
    assert set(server.model.bodies(BUCKET)) == {"a", "b"}
    assert "no session (CreateSession): 403 AccessDenied Not any more" in told


def test_a_refused_session_is_one_line_that_names_the_permission(fault_server: StartFaultServer) -> None:
    store = Directory(instead=lambda _: s3_error(403, "AccessDenied", "User is not authorized"))
    server = fault_server(store)
    with pytest.raises(RunError) as caught:
        put(server, None, store)
    assert str(caught.value) == (
        f"{server.url}: bucket '{BUCKET}': no session (CreateSession): 403 AccessDenied User is not "
        "authorized; it takes the permission s3express:CreateSession"
    )
    assert not server.of("PUT")


def test_a_zone_of_another_region_is_said_where_its_host_is_unknown(fault_server: StartFaultServer) -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(RunError, match="Name or service not known; the zone of a directory bucket must be"):
        put(fault_server(), endpoint_url=None, look_up=unknown)
    with pytest.raises(RunError, match=r"Name or service not known$"):  # which zone that is says the URL
        put(fault_server(), endpoint_url="http://zone.invalid", look_up=unknown)


def test_no_such_bucket_is_told_as_ever(fault_server: StartFaultServer) -> None:
    store = Directory(instead=lambda _: s3_error(404, "NoSuchBucket", "The specified bucket does not exist"))
    with pytest.raises(RunError, match="404 NoSuchBucket") as caught:
        put(fault_server(store), None, store)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "first",
    [
        s3_error(503, "SlowDown"),
        s3_error(500, "InternalError"),
        Reset(),
        s3_error(200, "InternalError"),
    ],
)
def test_a_session_that_fails_at_first_costs_no_object(fault_server: StartFaultServer, first: Action) -> None:
    store = Directory(instead=lambda number: first if number == 1 else None)
    server = fault_server(store, model=DirectoryModel())
    summary = put(server, None, store)
    assert not summary.failed
    assert set(server.model.bodies(BUCKET)) == set(SMALL)
    assert store.wrong == []


def test_all_wait_for_one_session_that_is_slow(fault_server: StartFaultServer) -> None:
    store = Directory(delay_s=0.2)
    server = fault_server(store, model=DirectoryModel())
    assert not put(server, None, store).failed
    assert (store.asked, store.wrong) == (1, [])


def test_nothing_of_a_session_is_shown(
    fault_server: StartFaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    """In reports, events, logs and reprs, also where requests fail."""
    store = Directory(meanwhile=lambda r: s3_error(400, "InvalidRequest", "No") if r.key == "bad" else None)
    server = fault_server(store, model=DirectoryModel())
    caplog.set_level("DEBUG")
    shown: list[str] = []

    async def main(client: S3Client) -> None:
        summary = await s3_upload_files(
            client,
            BUCKET,
            sources({"a": b"a", "bad": b"b"}),
            config(),
            progress=lambda report: shown.append(repr(report)),
            events=lambda event: shown.append(repr(event)),
        )
        shown.extend(repr(part) for part in (summary, client, *client._sessions.values()))
        shown.extend(repr(part) for target in client._targets.values() for part in (target, target.signing))

    run(server, main, utc_clock=store.clock)
    text = "\n".join([*shown, caplog.text])
    assert "bad" in text
    assert store.token(1) not in text
    assert store.secret(1) not in text


def test_the_accounts_expired_credentials_are_renewed_for_it(fault_server: StartFaultServer) -> None:
    store = Directory(instead=lambda number: s3_error(400, "ExpiredToken") if number == 1 else None)
    server = fault_server(store, model=DirectoryModel())

    class Account:
        """Another pair each time, both of which the store knows."""

        renewed = 0

        def current(self) -> Credentials:
            return Credentials("key", "secret", f"token-{self.renewed}")

        async def refresh(self, rejected: Credentials | None = None) -> Credentials:
            self.renewed += 1
            return self.current()

    account = Account()

    async def main(client: S3Client) -> None:
        client._provider = account
        await s3_upload_files(client, BUCKET, sources({"a": b"a"}), config())

    run(server, main, utc_clock=store.clock)
    assert account.renewed == 1
    assert [r.headers["x-amz-security-token"] for r in server.of("GET")] == ["token-0", "token-1"]
    assert set(server.model.bodies(BUCKET)) == {"a"}


def test_without_sessions_the_account_signs_for_the_service(
    fault_server: StartFaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.faults.signatures import is_signed_with, scope_of

    monkeypatch.setenv("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "true")
    server = fault_server(model=DirectoryModel())
    put(server, {"a": b"a"}, credentials=Credentials("key", "secret", "token"))
    [request] = server.requests
    assert scope_of(request) == ("key", "us-east-1", "s3express")
    assert is_signed_with(request, "secret")
    assert request.headers["x-amz-security-token"] == "token"
    assert "x-amz-s3session-token" not in request.headers


def test_unsigned_requests_need_no_session(fault_server: StartFaultServer) -> None:
    server = fault_server(model=DirectoryModel())
    put(server, {"a": b"a"}, sign=False, credentials=None)
    assert [r.method for r in server.requests] == ["PUT"]
    assert "authorization" not in server.requests[0].headers


def test_an_answer_that_was_lost_is_proven_by_the_checksum(fault_server: StartFaultServer) -> None:
    """ETags there are no MD5s, so nothing else could."""

    def meanwhile(request: Request) -> Action | None:
        return Reset(stored=True) if request.method == "PUT" else None

    store = Directory(meanwhile=meanwhile)
    server = fault_server(store, model=DirectoryModel())
    summary = upload(
        server,
        {"a": b"alpha"},
        bucket=BUCKET,
        settings=config(n_retries=0),
        tls={"utc_clock": store.clock},
    )
    assert not summary.failed
    assert server.of("HEAD")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (RequestFields(acl="private"), "acl"),
        (RequestFields(tags={"a": "b"}), "tags"),
        (RequestFields(object_lock_legal_hold_status="ON"), "object_lock_legal_hold_status"),
    ],
)
def test_what_such_buckets_do_not_have_is_said_before_it_is_sent(
    fault_server: StartFaultServer, fields: RequestFields, name: str
) -> None:
    store = Directory()
    server = fault_server(store)
    with pytest.raises(ConfigError, match=rf"^{name}: directory buckets .* have none: leave it out$"):
        put(server, [ObjectSource.data(b"a", "a", fields=fields)], store)
    assert not server.requests, "nor is a session asked for: its failure would be told instead"


def test_no_session_is_left_when_a_client_is_closed_in_the_middle(fault_server: StartFaultServer) -> None:
    """Nor any task: see `uploads.run`."""
    store = Directory(instead=lambda _: Stall())
    server = fault_server(store)

    async def main(client: S3Client) -> None:
        going = asyncio.create_task(s3_upload_files(client, BUCKET, sources(SMALL), config()))
        await asyncio.to_thread(server.wait_until, lambda: store.asked == 1)
        await client.aclose()
        with pytest.raises(RunError, match="closed"):
            await going

    run(server, main, utc_clock=store.clock)


class _Zone(ForwardProxy):
    """Whatever host is asked for is the store."""

    store_port = 0

    async def reach(self, host: str, port: int) -> Any:
        return await super().reach("127.0.0.1", self.store_port)


def test_a_zonal_endpoint_by_its_own_name(fault_server: StartFaultServer, tmp_path: Path) -> None:
    """Through a proxy that leads there, over TLS with a certificate of that name."""
    host = f"{BUCKET}.s3express-use1-az4.us-east-1.amazonaws.com"
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    store = Directory()
    hosts = re.compile(r"(.*--x-s3)\.s3express-.*")
    server = fault_server(store, model=DirectoryModel(), tls=context, virtual_hosts=hosts)
    options = {"endpoint_url": None, "utc_clock": store.clock, "verify": str(tmp_path / "ca.pem")}
    with _Zone() as proxy:
        proxy.store_port = server.port
        put(server, SMALL, store, **options, proxy=proxy.url)
    assert server.model.bodies(BUCKET) == SMALL
    assert {r.headers["host"] for r in server.requests} == {host}
    assert store.wrong == []
    assert {r.headers["x-amz-content-sha256"] for r in server.of("PUT")} == {"UNSIGNED-PAYLOAD"}
