"""What gives out credentials: an instance's metadata, and STS."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@dataclass
class Account:
    """`asked`: what came, as method, path and Authorization. `refusals`: statuses of the first answers;
    as many as are `late` wait for the next question."""

    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    late: int = 0
    key: str = "AKROLE"
    again: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def services(*refusals: int, late: int = 0) -> Iterator[Account]:
    account = Account(refusals=list(refusals), late=late)

    class Services(BaseHTTPRequestHandler):
        def answer(self, text: str) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            account.asked.append((self.command, self.path, self.headers.get("authorization", "")))
            if len(account.asked) > account.late:
                account.again.set()
            else:
                account.again.wait(30.0)
                return
            self.send_response(account.refusals.pop(0) if account.refusals else 200)
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
            self.answer(ASSUMED.replace("AKROLE", account.key))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Services) as server:
        account.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            thread.join()
