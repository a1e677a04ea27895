"""A network of one: whatever host a command asks for through our proxy is the recording server."""

from __future__ import annotations

import re
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import trustme

from tests.faults.actions import Action, Answer, Delay, Request, s3_error
from tests.faults.model import S3Model
from tests.faults.server import FaultServer
from tests.proxy.forward import ForwardProxy

if TYPE_CHECKING:
    import asyncio

BUCKETS = re.compile(r"(photos(?:-\d+|--.*)?)\.[^.].*")
AUTHORITIES = ("a.pem", "b.pem", "c.pem")
_DELAY_S = 0.2  # so long that all that run at once are seen at once
_ROLE = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>ARO:s</AssumedRoleId><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>B</SecretAccessKey><SessionToken>T</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
_SESSION = b"""<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>
<SessionToken>T</SessionToken><SecretAccessKey>B</SecretAccessKey><AccessKeyId>SESSION</AccessKeyId>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"""


class Recorder:
    """The server, with and without TLS, and the proxy that leads there.

    `authority`: whose certificates it shows, one of `AUTHORITIES`.  `fails`: it answers 500 to every upload.
    `is_slow`: it takes its time.
    """

    def __init__(self) -> None:
        self.authority = AUTHORITIES[0]
        self.fails = False
        self.is_slow = False
        self.authorities = {name: trustme.CA(key_type=trustme.KeyType.ECDSA) for name in AUTHORITIES}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.sni_callback = self._show_certificate
        options: dict[str, Any] = {"virtual_hosts": BUCKETS, "script": self._script}
        options["model"] = S3Model(checksum_types=())  # not those that come behind a body
        self._servers = {"https": FaultServer(tls=tls, **options), "http": FaultServer(**options)}
        self._proxy = _EverythingHere(dict.fromkeys(self._servers, 0))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for scheme, server in self._servers.items():
            self._stack.enter_context(server)
            self._proxy.ports[scheme] = server.port
        self._stack.enter_context(self._proxy)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def proxy_url(self) -> str:
        return self._proxy.url

    def take(self) -> list[tuple[str, Request]]:
        """The requests since the last call, each with its scheme."""
        taken = [(scheme, request) for scheme, server in self._servers.items() for request in server.requests]
        for server in self._servers.values():
            assert not server.errors, server.errors
            server.requests.clear()
            server.peak_in_flight = 0
        return taken

    @property
    def peak_in_flight(self) -> int:
        return max(server.peak_in_flight for server in self._servers.values())

    def _script(self, request: Request) -> Action | None:
        if request.headers.get("host", "").startswith("sts"):
            return Answer(200, {"Content-Type": "text/xml"}, _ROLE, of_s3=False)
        if "session" in request.query:
            return Answer(200, {"Content-Type": "application/xml"}, _SESSION)
        if self.fails:
            return s3_error(500, "InternalError", "We encountered an internal error. Please try again.")
        return Delay(_DELAY_S) if self.is_slow else None

    def _show_certificate(self, tls: Any, name: str | None, _context: ssl.SSLContext) -> None:
        key = self.authority, name or "nobody.invalid"
        if key not in self._contexts:
            self._contexts[key] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authorities[key[0]].issue_cert(key[1]).configure_cert(self._contexts[key])
        tls.context = self._contexts[key]


class _EverythingHere(ForwardProxy):
    """`ports`: where each scheme is served."""

    def __init__(self, ports: dict[str, int]) -> None:
        super().__init__()
        self.ports = ports

    async def reach(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await super().reach("127.0.0.1", self.ports["https" if port == 443 else "http"])
