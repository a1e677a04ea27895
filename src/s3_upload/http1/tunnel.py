"""The ways that lead through a proxy.

* `Forwarded`: to a store over http by an http(s):// proxy.  The handshake ends at the proxy; each request
  names the store in its request line (RFC 9112, section 3.2.2), which is the encoder's business.
* `Connected`: to a store over https.  CONNECT has the proxy open a tunnel to the store, whose name the proxy
  resolves (RFC 9110, section 9.3.6); TLS with the store goes through that, inside of the TLS with the
  proxy where it is an https:// one.
* `Socks`: SOCKS5, for both; spoken by python-socks (the extra `socks`).  socks5h:// has the proxy resolve
  the store's name, socks5:// resolves it here: an address that the proxy could not reach is left alone for a
  while, and the next try goes to another.

What is measured, and whose addresses are chosen, is the way to the proxy.  A proxy that cannot be reached,
or that cannot reach the store, counts as a store that cannot be reached (`FailureKind.CONNECT`): it is tried
again.  One that refuses (407, any other 4xx) is `FailureKind.PROXY`, which stops the run.  Every message
names the proxy, and none its user or password.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any, cast

from s3_upload.errors import AttemptError, ConfigError, FailureKind
from s3_upload.http1.connection import TLS_ALERT, Connection, plain_text
from s3_upload.http1.dial import Peer, Straight
from s3_upload.http1.resolve import Addresses, LookUp
from s3_upload.http1.tls import server_name
from s3_upload.proxy import Proxy, host_and_port
from s3_upload.text import printable

NOT_HTTP = 1
"""In the place of a status."""
MAX_HEAD_BYTES = 64 << 10
MAX_REASON_CHARS = 100
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]*))?\r?\n")
_HTTP = b"HTTP/1"
_END = re.compile(rb"\r?\n\r?\n")
MAX_SOCKS_CHARS = 255
"""Of a user, and of a password (RFC 1929)."""
_SOCKS_UNREACHABLE = frozenset({1, 3, 4, 5, 6})
"""Replies (RFC 1928, section 6) that are about the way from the proxy to the store."""
_NO_SUCH_FAMILY = 8
"""The proxy has no IPv6, say: another address may do."""


def setting_of(proxy: Proxy) -> str:
    """Where a user finds what the proxy is called."""
    return "--proxy; in Python: proxy" if proxy.origin == "proxy" else proxy.origin


def named(proxy: Proxy) -> str:
    """For messages."""
    return f"the proxy {proxy.name} ({setting_of(proxy)})"


def unauthorized(proxy: Proxy) -> str:
    """What 407 means, and what to do."""
    if proxy.user is None:
        example = f"{proxy.scheme}://USER:PASSWORD@{proxy.name}"
        return f"{named(proxy)} wants a user and password: write them into its URL, {example}"
    return (
        f"{named(proxy)} does not accept the user and password in its URL: correct them (percent-encoded "
        "where they hold special characters), or it wants another kind than basic authentication"
    )


class Forwarded(Straight):
    """See the module's text. `proxy_tls` is None but for an https:// proxy."""

    def __init__(
        self, proxy: Proxy, proxy_tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(proxy.host, proxy.port, proxy_tls, loop)
        self.whose = f"of the proxy ({setting_of(proxy)})"
        self._proxy = proxy

    def _peer(self, address: str) -> Peer:
        return _peer(self._proxy, address)

    async def lead(self, connection: Connection, address: str, timeout_s: float) -> None:
        await super().lead(connection, address, timeout_s)
        connection.goes_through(f"; the way leads through {named(self._proxy)}")


class _Tunnel:
    """By `proxy` to a port of the host `store`. `host` and `port` here are the proxy's."""

    def __init__(self, proxy: Proxy, store: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.host = proxy.host
        self.port = proxy.port
        self.whose = f"of the proxy ({setting_of(proxy)})"
        self._proxy = proxy
        self._store = store
        self._store_port = port
        self._place = host_and_port(store, port)
        self._loop = loop

    def _through(self) -> Peer:
        """Of what is between the proxy and the store, and with the store."""
        way = f"; the way leads through {named(self._proxy)}"
        return Peer(self._place, self._store, self._place, "the endpoint URL", way)

    def _unreachable(self, said: str) -> AttemptError:
        return AttemptError(FailureKind.CONNECT, f"{named(self._proxy)} cannot reach {self._place}: {said}")

    def _refusal(self, said: str) -> AttemptError:
        advice = "have it allowed there, or name the host in NO_PROXY if it can be reached without"
        message = f"{named(self._proxy)} opens no tunnel to {self._place}: {said}; {advice}"
        return AttemptError(FailureKind.PROXY, message)


class Connected(_Tunnel):
    """See the module's text."""

    def __init__(
        self,
        proxy: Proxy,
        proxy_tls: ssl.SSLContext | None,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(proxy, host, port, loop)
        self._proxy_tls = proxy_tls
        self._tls = tls
        authorization = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        self._request = (
            f"CONNECT {self._place} HTTP/1.1\r\nHost: {self._place}\r\nUser-Agent: s3-upload\r\n"
            f"{authorization}\r\n"
        ).encode()

    async def lead(self, connection: Connection, address: str, timeout_s: float) -> None:
        """See `dial.Way`."""
        peer = _peer(self._proxy, address)
        asked = _Asked(self._request, self._loop)
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_connection(
                    lambda: asked,
                    address,
                    self.port,
                    ssl=self._proxy_tls,
                    server_hostname=server_name(self.host) if self._proxy_tls else None,
                )
                peer = self._through()
                self._check(await asked.answer)
                assert asked.transport is not None
                transport = await self._loop.start_tls(
                    asked.transport, connection, self._tls, server_hostname=server_name(self._store)
                )
                if transport is None:  # it broke as the handshake ended
                    raise ConnectionResetError
                connection.connection_made(transport)
        except BaseException as error:
            if asked.transport is not None:
                asked.transport.abort()
            if isinstance(error, TimeoutError):
                raise peer.too_late(timeout_s) from None
            if isinstance(error, OSError):
                raise peer.failed(error) from error
            raise

    def close(self) -> None:
        """See `dial.Way`."""

    def _check(self, answer: _Answer) -> None:
        status, said = answer
        if status in (401, 407):  # the first against the rules, as tinyproxy says it
            raise AttemptError(FailureKind.PROXY, unauthorized(self._proxy))
        if status == NOT_HTTP:
            raise AttemptError(FailureKind.PROXY, f"{named(self._proxy)} is not an HTTP proxy: {said}")
        if not status or status >= 500:
            raise self._unreachable(said)
        if status >= 300:
            raise self._refusal(said)


class Socks(_Tunnel):
    def __init__(
        self,
        proxy: Proxy,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        look_up: LookUp | None,
    ) -> None:
        super().__init__(proxy, host, port, loop)
        self._client, self._errors = socks_library(proxy)
        self._tls = tls
        self._addresses = Addresses(host, port, loop, look_up) if proxy.scheme == "socks5" else None

    async def lead(self, connection: Connection, address: str, timeout_s: float) -> None:
        """See `dial.Way`."""
        peer = _peer(self._proxy, address)
        sock, target = None, ""
        try:
            async with asyncio.timeout(timeout_s):
                target = await self._target()
                sock = await self._client(
                    self._errors.ProxyType.SOCKS5,
                    address,
                    self.port,
                    *_socks_login(self._proxy),
                    rdns=True,
                ).connect(target, self._store_port, timeout_s)
                peer = self._through()
                await self._loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._tls,
                    server_hostname=server_name(self._store) if self._tls else None,
                )
        except BaseException as error:
            if sock is not None and connection.socket is None:
                sock.close()
            failure = self._failure(error, peer, timeout_s)
            if failure is None:
                raise
            # One that could not reach the proxy itself says nothing of the store's address.
            is_of_proxy = isinstance(error, self._errors.ProxyConnectionError) or not target
            if self._addresses is not None and failure.kind is FailureKind.CONNECT and not is_of_proxy:
                self._addresses.penalize(target)
            raise failure from error
        if self._addresses is not None:
            self._addresses.record.works(target)

    async def _target(self) -> str:
        """What the proxy is to lead to: a name, or the address that is tried next. Raises `AttemptError`."""
        if self._addresses is None:
            return self._store
        candidates = await self._addresses.candidates("")
        if not candidates:
            raise AttemptError(FailureKind.CONNECT, f"{self._store}: has no address")
        return candidates[0]

    def _failure(self, error: BaseException, peer: Peer, timeout_s: float) -> AttemptError | None:
        """What `error` means; None where it is nothing of this module's."""
        if isinstance(error, self._errors.ProxyError):
            return self._refused(error)
        if isinstance(error, TimeoutError | self._errors.ProxyTimeoutError):
            return peer.too_late(timeout_s)
        return peer.failed(error) if isinstance(error, OSError) else None

    def close(self) -> None:
        """See `dial.Way`."""
        if self._addresses is not None:
            self._addresses.close()

    def _refused(self, error: Any) -> AttemptError:
        code, said = getattr(error, "error_code", None), printable(str(error))[:MAX_REASON_CHARS]
        if code in _SOCKS_UNREACHABLE or (code == _NO_SUCH_FAMILY and self._addresses is not None):
            return self._unreachable(said)
        if code is None and type(error.__cause__).__name__ == "IncompleteReadError":
            message = f"{named(self._proxy)} closed the connection instead of leading to {self._place}"
            return AttemptError(FailureKind.CONNECT, message)
        if code is None and "authentication" in said.lower():
            return AttemptError(FailureKind.PROXY, f"{unauthorized(self._proxy)} ({said})")
        return self._refusal(said)


_Answer = tuple[int, str]
"""Of CONNECT: the status, 0 where there is none, and what was said."""


class _Asked(asyncio.Protocol):
    """Sends CONNECT, and gets the head of the answer; no byte may follow it before we begin to speak."""

    def __init__(self, request: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[_Answer] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._request = request
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._said += data
        while (end := _END.search(self._said)) is not None:
            status = _STATUS.match(self._said)
            if status is None:
                break
            if not status[1].startswith(b"1"):  # an interim answer: the real one follows
                said = printable(b" ".join(filter(None, status.groups())).decode("latin-1"))
                self._is(int(status[1]), said[:MAX_REASON_CHARS])
                return
            self._said = self._said[end.end() :]
        if end is not None or len(self._said) > MAX_HEAD_BYTES or not _HTTP.startswith(self._said[:6]):
            tls = self._said.startswith(TLS_ALERT)
            self._is(
                NOT_HTTP, "it speaks TLS: use https:// in its URL" if tls else "its answer is not HTTP/1.1"
            )

    def eof_received(self) -> None:
        self._is(0, "it closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._is(0, f"the connection broke: {plain_text(exc)}")

    def _is(self, status: int, said: str) -> None:
        if not self.answer.done():
            self.answer.set_result((status, said))


def _peer(proxy: Proxy, address: str) -> Peer:
    """Of the handshake with the proxy itself."""
    who = named(proxy)
    at = who if address == proxy.host else f"{who} at {address}"
    return Peer(at, who, who, f"its URL ({setting_of(proxy)})", "; is it the right one, and running?")


def _socks_login(proxy: Proxy) -> tuple[str | None, str | None]:
    if proxy.user is None:
        return None, None
    return proxy.user.decode("ascii"), proxy.password.decode("ascii")


def socks_library(proxy: Proxy) -> tuple[Any, Any]:
    """python-socks's proxy for asyncio, and the package. Raises `ConfigError` where it is missing, or cannot
    say what the proxy's URL does."""
    if any(not text.isascii() or len(text) > MAX_SOCKS_CHARS for text in (proxy.user or b"", proxy.password)):
        raise ConfigError(
            f"{proxy.origin} = {proxy.url!r}: SOCKS takes a user and password of at most {MAX_SOCKS_CHARS} "
            "characters of ASCII"
        )
    try:
        import python_socks
        from python_socks.async_.asyncio import Proxy as Client
    except ImportError:
        raise ConfigError(
            f"{proxy.origin} = {proxy.url!r}: a SOCKS proxy needs python-socks: pip install python-socks"
        ) from None
    return Client, python_socks
