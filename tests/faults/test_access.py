"""Who asks: requests that nobody signed, and a client that shows a certificate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from s3_upload import (
    ConfigError,
    Credentials,
    FailureKind,
    ObjectSource,
    RunError,
    S3Client,
    s3_upload_files,
)
from s3_upload.cli.main import main
from tests.faults.actions import s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, config, run, stored, upload
from tests.http1.conftest import LOOPS

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer, Tls

BODIES = {"small": b"small", "big": bytes(PART_BYTES + 1)}


# --- unsigned -----------------------------------------------------------------------------------------


@pytest.fixture
def no_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that would be found, and whose look-up is an error."""

    def looked_up(*_: object, **__: object) -> None:
        raise AssertionError("credentials were looked up")

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("s3_upload.account.botocore.BotocoreCredentials", looked_up)
    monkeypatch.setattr("s3_upload.account.botocore.credentials_from_environment", looked_up)


@pytest.mark.usefixtures("no_lookup")
@pytest.mark.parametrize("over_tls", [False, True])
def test_nothing_is_signed_and_no_credentials_are_looked_up(
    fault_server: StartFaultServer, tls: Tls, tmp_path: Path, over_tls: bool
) -> None:
    server = fault_server(tls=tls.server_context if over_tls else None)
    (tmp_path / "big").write_bytes(BODIES["big"])
    files = [ObjectSource.data(b"small", "small"), ObjectSource.file(tmp_path / "big", "big")]
    options = {"verify": str(tls.ca_file)} if over_tls else {}
    summary = upload(server, files, tls={"credentials": None, "sign": False, **options})
    assert summary.uploaded == 2
    assert stored(server) == BODIES
    assert {request.method for request in server.requests} == {"PUT", "POST"}
    for request in server.requests:
        unwanted = {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
        assert not unwanted & set(request.headers)
    assert any("x-amz-checksum-crc32" in request.headers for request in server.requests)


@pytest.mark.usefixtures("no_lookup")
def test_the_command_signs_nothing_where_it_is_told_so(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server()
    (tmp_path / "a").write_bytes(b"a")
    words = [str(tmp_path / "a"), f"s3://{BUCKET}/a", "--endpoint-url", server.url, "--no-sign-request"]
    assert main([*words, "--quiet"]) == 0
    assert stored(server) == {"a": b"a"}
    assert "authorization" not in server.requests[0].headers


def test_an_endpoint_url_that_ends_in_the_bucket_puts_nothing_below_a_folder_of_its_name(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    server = fault_server()
    url = f"{server.url}/{BUCKET}"
    assert main([str(tmp_path), f"s3://{BUCKET}/p", "--no-sign-request", "--endpoint-url", url]) == 0
    assert stored(server) == {"p/a.txt": b"a"}


def test_a_refusal_says_that_nothing_was_signed(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: s3_error(403, "AccessDenied", "Access Denied."))
    with pytest.raises(RunError, match=r"Access Denied; the request was not signed"):
        upload(server, {"a": b"a"}, tls={"credentials": None, "sign": False})


def test_an_expired_token_of_nobody_stops_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: s3_error(400, "ExpiredToken", "The provided token has expired."))
    with pytest.raises(RunError):
        upload(server, {"a": b"a"}, tls={"credentials": None, "sign": False})
    assert len(server.requests) == 1


def test_credentials_for_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="sign = False: requests go unsigned"):
        S3Client(credentials=Credentials("key", "secret"), sign=False)


# --- a client's certificate -----------------------------------------------------------------------------


class Ours:
    """Certificates of clients, as files, and a server that asks for one."""

    def __init__(self, folder: Path) -> None:
        authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
        authority.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
        self.server_context = server
        self.ca_file, self.pair, self.certificate = (
            str(folder / name) for name in ("ca.pem", "pair.pem", "certificate.pem")
        )
        self.key, self.other_key, self.stranger = (
            str(folder / name) for name in ("key.pem", "other-key.pem", "stranger.pem")
        )
        authority.cert_pem.write_to_path(self.ca_file)
        client, other = authority.issue_cert("client.example"), authority.issue_cert("other.example")
        client.private_key_and_cert_chain_pem.write_to_path(self.pair)
        client.cert_chain_pems[0].write_to_path(self.certificate)
        client.private_key_pem.write_to_path(self.key)
        other.private_key_pem.write_to_path(self.other_key)
        trustme.CA().issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(self.stranger)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    return Ours(tmp_path_factory.mktemp("client-certificate"))


def test_the_certificate_is_shown(fault_server: StartFaultServer, ours: Ours) -> None:
    for shown in (ours.pair, (ours.certificate, ours.key)):
        server = fault_server(tls=ours.server_context)
        summary = upload(server, {"a": b"a"}, tls={"verify": ours.ca_file, "client_certificate": shown})
        assert summary.uploaded == 1
        assert stored(server) == {"a": b"a"}


class Refuser:
    """A TLS server that asks for a certificate and, as most do, says by an alert what it misses."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Refuser:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            wrapped = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with contextlib.suppress(ssl.SSLError):
                wrapped.do_handshake()
                continue
            self.refused += 1
            with socket.socket(fileno=wrapped.detach()) as below, contextlib.suppress(OSError):
                below.shutdown(socket.SHUT_WR)
                while below.recv(1 << 16):  # unread bytes would turn the close into a reset
                    pass


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (ssl.TLSVersion.TLSv1_3, "nothing"),
        (ssl.TLSVersion.TLSv1_3, "stranger"),
        (ssl.TLSVersion.TLSv1_2, "stranger"),
    ],
)
def test_a_store_that_wants_another_certificate_stops_the_run(
    tmp_path: Path, version: ssl.TLSVersion, shown: str, loop: str
) -> None:
    ours = Ours(tmp_path)
    ours.server_context.minimum_version = ours.server_context.maximum_version = version
    certificate = None if shown == "nothing" else ours.stranger

    async def upload_one(url: str) -> None:
        async with S3Client(
            endpoint_url=url,
            credentials=Credentials("key", "secret"),
            verify=ours.ca_file,
            client_certificate=certificate,
        ) as client:
            await s3_upload_files(client, BUCKET, [ObjectSource.data(b"a", "a")], config())

    with (
        Refuser(ours.server_context) as server,
        asyncio.Runner(loop_factory=LOOPS[loop]) as runner,
        pytest.raises(RunError, match="wants a client certificate that it trusts") as caught,
    ):
        runner.run(upload_one(server.url))
    assert caught.value.kind is FailureKind.CERTIFICATE
    assert server.refused == 1  # its thread has ended: it counts after it has spoken


def encrypted(ours: Ours, folder: Path) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(ours.key).read_bytes(), None)
    path = folder / "encrypted.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    return str(path)


def test_a_file_that_cannot_be_shown_is_one_line(
    ours: Ours, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.pem").write_text("no certificate\n")
    (tmp_path / "a").write_bytes(b"a")
    no, gone = str(tmp_path / "no.pem"), str(tmp_path / "gone.pem")
    wrong = {
        (gone, None): f"client certificate '{gone}': there is no such file",
        (ours.certificate, gone): f"client key '{gone}': there is no such file",
        (no, None): f"client certificate '{no}': no PEM certificate and private key can be read from it",
        (ours.certificate, None): "no PEM certificate and private key can be read from it",
        (ours.certificate, ours.other_key): "the key belongs to another certificate",
        (ours.certificate, (locked := encrypted(ours, tmp_path))): f"client key '{locked}': is encrypted",
    }
    for (certificate, key), said in wrong.items():
        words = [str(tmp_path / "a"), "s3://bucket/a", "--client-cert", certificate]
        assert main(words + (["--client-key", key] if key else [])) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert (out, len(err.splitlines())) == ("", 1)
        assert not any(line in err for line in Path(ours.key).read_text().splitlines())


def test_no_key_is_in_a_log_or_a_repr(
    fault_server: StartFaultServer, ours: Ours, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = fault_server(tls=ours.server_context)
    secret = "".join(Path(ours.key).read_text().splitlines()[1:3])
    assert secret in Path(ours.pair).read_text().replace("\n", "")

    async def told(client: S3Client) -> str:
        summary = await s3_upload_files(client, BUCKET, [ObjectSource.data(b"a", "a")], config())
        return f"{summary!r} {client!r} {vars(client)!r}"

    text = run(server, told, verify=ours.ca_file, client_certificate=ours.pair) + caplog.text
    assert secret not in text.replace("\n", "").replace("\\n", "")
