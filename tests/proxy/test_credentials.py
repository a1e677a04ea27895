"""Credentials behind proxies: instance metadata is asked directly, STS through the proxy of a call."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from s3_upload import upload as upload_call
from s3_upload.session import BotocoreCredentials
from tests.aws_home import Home, home
from tests.faults.uploads import BUCKET, stored
from tests.proxy.forward import ForwardProxy
from tests.proxy.test_ways import HOST, NAMES, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartFaultServer

__all__ = ["home"]
KEYS = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "AccessKeyId": "AKIMDS",
    "SecretAccessKey": "secret",
    "Token": "token",
    "Expiration": "2099-01-01T00:00:00Z",
    "LastUpdated": "2026-01-01T00:00:00Z",
}
ASSUMED = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    "<AssumedRoleUser><AssumedRoleId>A:x</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/x</Arn>"
    "</AssumedRoleUser><Credentials><AccessKeyId>AKROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    "<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    "</AssumeRoleResult></AssumeRoleResponse>"
)


class Services(BaseHTTPRequestHandler):
    """The instance's metadata, and STS."""

    def answer(self, text: str) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        if self.path == "/latest/api/token":
            self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        self.answer("token")

    def do_GET(self) -> None:
        self.answer("role" if self.path.endswith("/security-credentials/") else json.dumps(KEYS))

    def do_POST(self) -> None:
        self.answer(ASSUMED)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def services() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Services) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("named", [True, False])
def test_instance_metadata_is_never_asked_through_a_proxy(home: Home, *, named: bool) -> None:
    """botocore does so, where NO_PROXY does not name 169.254.169.254."""
    with services() as port, ForwardProxy() as proxy:
        endpoint = f"http://127.0.0.1:{port}"
        home.env(AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoint, AWS_EC2_METADATA_DISABLED="false")
        home.env(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
        proxies = {"http": proxy.url, "https": proxy.url} if named else None
        assert asyncio.run(BotocoreCredentials(proxies=proxies).refresh()).access_key == "AKIMDS"
        assert proxy.heads == []


@pytest.mark.parametrize("named", [True, False])
def test_sts_is_asked_through_the_proxy_of_a_call_and_of_the_environment(
    home: Home, fault_server: StartFaultServer, tmp_path: Path, *, named: bool
) -> None:
    home.config("[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = s\nregion = us-east-1\n")
    home.credentials("[s]\naws_access_key_id = A\naws_secret_access_key = B\n")
    (tmp_path / "a").write_bytes(b"1")
    server = fault_server()
    with services() as port, ForwardProxy(names=NAMES | {"sts.internal": "127.0.0.1"}) as proxy:
        home.env(AWS_ENDPOINT_URL_STS=f"http://sts.internal:{port}")
        if not named:
            home.env(HTTP_PROXY=proxy.url)
        upload_call(
            tmp_path / "a", f"s3://{BUCKET}/a", endpoint_url=url_of(server, HOST), profile="r",
            proxy=proxy.url if named else None,
        ).raise_for_failures()  # fmt: skip
    assert stored(server) == {"a": b"1"}
    assert "AKROLE" in server.requests[0].headers["authorization"]
    assert proxy.methods == ["POST", "PUT"]
