"""The store of the lab: speaks as much S3 as an uploader needs, keeps nothing: `python -m lab.store ADDRESS`.

A real store would want disk, memory and CPU of the machine that also emulates the network.  This one
reads each body, computes its ETag and forgets it; it answers Put, Head, Create, UploadPart, Complete,
Abort and the questions about buckets that the peers ask first.  It checks no signature.

It ends when its stdin does, and then says how many bytes of bodies it received when, and how many requests
of which kind it answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvloop

from lab.traffic import BIN_S

PORT = 5000
MAX_OBJECTS = 100_000
"""Of so many objects it knows the size and the ETag, for a peer that looks after its own uploads."""
NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>not here</Message></Error>"
LOCATION = b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
CREATED = "<InitiateMultipartUploadResult><UploadId>{0}</UploadId></InitiateMultipartUploadResult>"
COMPLETED = "<CompleteMultipartUploadResult><ETag>&quot;{0}&quot;</ETag></CompleteMultipartUploadResult>"
KEPT = ("x-amz-meta-", "content-type")


class Store:
    """What connections have in common. `objects`: path -> size, ETag and metadata."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[int, str, list[tuple[str, str]]]] = {}
        self.uploads: dict[str, dict[int, tuple[int, bytes]]] = {}
        self.meta: dict[str, list[tuple[str, str]]] = {}
        self.answered: Counter[str] = Counter()
        self.received: Counter[int] = Counter()

    def put(self, path: str, size: int, etag: str, meta: list[tuple[str, str]]) -> None:
        if len(self.objects) < MAX_OBJECTS:
            self.objects[path] = (size, etag, meta)


class Connection(asyncio.Protocol):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    # --- httptools calls these ---

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._size = 0
        self._hash = hashlib.md5(usedforsecurity=False)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._store.received[int(time.monotonic() / BIN_S)] += len(body)
        self._hash.update(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode()
        names = re.split("[=&]", query)
        kind, status, headers, body = self._answer(method, unquote(path), names, query)
        self._store.answered[kind] += 1
        given = dict(headers)
        length = given.pop("content-length", str(len(body)))
        lines = [f"HTTP/1.1 {status}", f"content-length: {length}", f"date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def _answer(
        self, method: str, path: str, names: list[str], query: str
    ) -> tuple[str, str, list[tuple[str, str]], bytes]:
        """Kind of request, status, headers, body."""
        store = self._store
        if "/" not in path.strip("/"):
            return (
                "bucket",
                "200 OK",
                [],
                LOCATION if "location" in names else LISTING if method == "GET" else b"",
            )
        if "uploadId" in names:
            return self._multipart(method, path, query)
        if method == "POST" and "uploads" in names:
            upload = os.urandom(8).hex()
            store.uploads[upload], store.meta[upload] = {}, self._meta()
            return "create", "200 OK", [], CREATED.format(upload).encode()
        if method == "PUT":
            size, etag = self._body()
            store.put(path, size, etag, self._meta())
            return "put", "200 OK", [("etag", f'"{etag}"')], b""
        if path not in store.objects:
            return "missing", "404 Not Found", [], b"" if method == "HEAD" else NO_SUCH_KEY
        size, etag, meta = store.objects[path]
        about = [
            ("etag", f'"{etag}"'),
            ("content-length", str(size)),
            ("last-modified", formatdate(usegmt=True)),
        ]
        return "head", "200 OK", about + meta, b""

    def _multipart(self, method: str, path: str, query: str) -> tuple[str, str, list[tuple[str, str]], bytes]:
        store = self._store
        given = dict(part.partition("=")[::2] for part in query.split("&"))
        upload = given["uploadId"]
        parts = store.uploads.get(upload)
        if parts is None or method == "DELETE":
            store.uploads.pop(upload, None)
            return "abort", "204 No Content", [], b""
        if method == "PUT":
            size, etag = self._body()
            parts[int(given["partNumber"])] = (size, bytes.fromhex(etag))
            return "part", "200 OK", [("etag", f'"{etag}"')], b""
        hashes = b"".join(digest for _, (_, digest) in sorted(parts.items()))
        etag = f"{hashlib.md5(hashes, usedforsecurity=False).hexdigest()}-{len(parts)}"
        store.put(path, sum(size for size, _ in parts.values()), etag, store.meta.pop(upload))
        del store.uploads[upload]
        return "complete", "200 OK", [], COMPLETED.format(etag).encode()

    def _body(self) -> tuple[int, str]:
        """Size and MD5. A body in aws-chunked encoding says its size, its MD5 is then of what was sent."""
        return int(self._headers.get("x-amz-decoded-content-length", self._size)), self._hash.hexdigest()

    def _meta(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self._headers.items() if name.startswith(KEPT)]


async def serve(address: str) -> None:
    store = Store()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server: Any = await loop.create_server(lambda: Connection(store), address, PORT, backlog=4096)
    print("ready", flush=True)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()
    received = [[number * BIN_S, size] for number, size in sorted(store.received.items())]
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        print(json.dumps({"received": received, "answered": store.answered}), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
