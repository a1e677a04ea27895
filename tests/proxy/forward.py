"""A forward proxy: CONNECT, absolute form, basic authentication, names of its own.

As real ones do it takes many requests on one connection, passes Host and all that is signed on as it came,
keeps what is meant for proxies to itself, and answers 502 for a store that it cannot reach, or that hangs up.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.proxy.relay import QUIET, Relay, both_ways, pump

Headers = dict[str, str]
TLS_HELLO = b"\x16"


class ForwardProxy(Relay):
    """`login`: "user:password", which it insists on. `refuse`: gives an answer in the place of a way to a
    HOST:PORT, or None.  `mute`: it takes connections and never says a word."""

    def __init__(
        self,
        *,
        login: str = "",
        refuse: Callable[[str], bytes | None] = lambda _: None,
        mute: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._expected = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        self._refuse = refuse
        self._mute = mute
        self.heads: list[str] = []
        """Of all requests that came, CONNECT included."""

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def methods(self) -> list[str]:
        return [head.partition(" ")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mute:
            await reader.read()  # until the other side hangs up
            return
        far = _Far(self)
        try:
            while await self._one(reader, writer, far):
                pass
        finally:
            far.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: _Far) -> bool:
        """One request; whether another may follow."""
        first = await reader.readexactly(1)
        if first == TLS_HELLO:
            writer.write(answer("400 Bad Request"))
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        headers = _headers(head)
        if self._expected and headers.get("proxy-authorization") != self._expected:
            await _drop_body(reader, headers)
            writer.write(
                answer("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="x"\r\n')
            )
            return True
        method, target, _ = head.partition("\r\n")[0].split(" ", 2)
        if method == "CONNECT":
            await self._connect(reader, writer, target)
            return False
        return await self._pass_on(method, target, head, reader, writer, far)

    async def _pass_on(  # noqa: PLR0917 - what there is to know of a request
        self,
        method: str,
        target: str,
        head: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far: _Far,
    ) -> bool:
        """One request in absolute form."""
        headers, place = _headers(head), urlsplit(target)
        if place.scheme != "http" or not place.hostname:
            writer.write(answer("400 Bad Request"))
            return False
        refusal = self._refuse(f"{place.hostname}:{place.port or 80}")
        if refusal is not None:
            await _drop_body(reader, headers)
            writer.write(refusal)
            return True
        try:
            return await far.ask(method, head, headers, reader, writer)
        except QUIET:
            if not far.began:
                writer.write(answer("502 Bad Gateway"))
            return False

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: str) -> None:
        refusal = self._refuse(place)
        if refusal is not None:
            writer.write(refusal)
            return
        host, _, port = place.rpartition(":")
        try:
            far = await self.reach(host.strip("[]"), int(port))
        except OSError:
            writer.write(answer("502 Bad Gateway"))
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await both_ways(reader, writer, *far)


class _Far:
    """The other end of one client's requests in absolute form."""

    def __init__(self, proxy: ForwardProxy) -> None:
        self._proxy = proxy
        self._place = ("", 0)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.began = False

    async def ask(
        self,
        method: str,
        head: str,
        headers: Headers,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Passes a request on, and its answer back; whether the connection is good for another."""
        self.began = False
        url = urlsplit(head.split(" ", 2)[1])
        place = url.hostname or "", url.port or 80
        if self._streams is None or self._place != place or self._streams[0].at_eof():
            self.close()
            self._streams, self._place = await self._proxy.reach(*place), place
        far_reader, far_writer = self._streams
        far_writer.write(_in_origin_form(head).encode("latin-1"))
        body = asyncio.create_task(pump(reader, far_writer, int(headers.get("content-length", 0))))
        try:
            return await self._answer(method, far_reader, writer) and body.done() and not body.exception()
        finally:
            body.cancel()
            # Its end is awaited, and not suppressed: that the proxy stops may come just now, and once.
            await asyncio.gather(body, return_exceptions=True)

    async def _answer(
        self, method: str, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        status = 100
        while 100 <= status < 200:
            head = await far_reader.readuntil(b"\r\n\r\n")
            self.began = True
            writer.write(head)
            status = int(head.split(b" ", 2)[1])
        headers = _headers(head.decode("latin-1"))
        if method == "HEAD" or status in (204, 304):
            return True
        length = headers.get("content-length")
        await pump(far_reader, writer, None if length is None else int(length))
        return length is not None and headers.get("connection") != "close"

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def answer(status: str, headers: str = "", body: str = "<html>From the proxy.</html>") -> bytes:
    """Of the proxy itself."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _headers(head: str) -> Headers:
    lines = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, _, value in lines}


def _in_origin_form(head: str) -> str:
    line, *rest = head.split("\r\n")
    method, target, version = line.split(" ", 2)
    path = "/" + target.split("/", 3)[3]
    kept = [one for one in rest if not one.lower().startswith("proxy-")]
    return "\r\n".join([f"{method} {path} {version}", *kept])


async def _drop_body(reader: asyncio.StreamReader, headers: Headers) -> None:
    await reader.readexactly(int(headers.get("content-length", 0)))
