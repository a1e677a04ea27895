"""What our proxies have in common: a loop in a thread, names of their own, and bytes that go both ways."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

from tests.http1.peers import UNREADABLE, serving

PIECE_BYTES = 1 << 16
QUIET = (OSError, *UNREADABLE)


class Relay:
    """Serves each connection by `serve`, in a thread of its own. `names`: host names that only this proxy
    knows, and their addresses; it knows no others."""

    def __init__(
        self,
        *,
        names: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.names = names or {}
        self.port = port
        self.places: list[str] = []
        """HOST:PORT of each way that was asked for, in order."""
        self.open_connections = 0
        self._tls = tls
        self._far: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test-proxy", daemon=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def reach(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a place. Raises `OSError`, for a name that is not in the table as well."""
        self.places.append(f"{host}:{port}")
        address = self.names.get(host.lower(), host)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise OSError(f"unknown host {host}") from None
        reader, writer = await asyncio.open_connection(address, port)
        self._far.add(writer)
        return reader, writer

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        async with serving(self._serve, port=self.port, tls=self._tls) as self.port:
            self._ready.set()
            await self._stop.wait()
        for writer in self._far:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            await self.serve(reader, writer)
        finally:
            self.open_connections -= 1


async def both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Passes bytes on until one side ends; then the other hears of it, by a reset where it was one."""
    pumps = [
        asyncio.create_task(pump(reader, far_writer)),
        asyncio.create_task(pump(far_reader, writer)),
    ]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        results = await asyncio.gather(*pumps, return_exceptions=True)
        broken = any(isinstance(result, OSError) for result in results)
        for one in (writer, far_writer):
            one.transport.abort() if broken else one.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int | None = None) -> None:
    """Passes `size` bytes on, or all that come."""
    while size != 0:
        data = await reader.read(PIECE_BYTES if size is None else min(size, PIECE_BYTES))
        if not data:
            if size is not None:
                raise ConnectionResetError
            return
        writer.write(data)
        await writer.drain()
        if size is not None:
            size -= len(data)
