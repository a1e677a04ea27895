"""A SOCKS5 proxy (RFC 1928, RFC 1929): CONNECT, with or without a user and password."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from tests.proxy.relay import Relay, both_ways

NO_LOGIN, LOGIN, NONE_OF_THEM = 0, 2, 0xFF
IPV4, NAME, IPV6 = 1, 3, 4
REFUSED_BY_RULE, HOST_UNREACHABLE, NO_SUCH_FAMILY = 2, 4, 8


class SocksProxy(Relay):
    """`login`: "user:password", which it insists on. `reply`: what it says to every CONNECT, 0 for yes;
    `unreachable`: to one that it cannot carry out."""

    def __init__(
        self, *, login: str = "", reply: int = 0, unreachable: int = HOST_UNREACHABLE, **options: Any
    ) -> None:
        super().__init__(**options)
        self._login = login
        self._reply = reply
        self._unreachable = unreachable

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._may(reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        if kind == NAME:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        reply = self._reply
        if not reply:
            try:
                far = await self.reach(host, port)
            except OSError:
                reply = self._unreachable
        writer.write(bytes([5, reply, 0, IPV4, 127, 0, 0, 1, 0, 0]))
        if not reply:
            await both_ways(reader, writer, *far)

    async def _may(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        wanted = LOGIN if self._login else NO_LOGIN
        writer.write(bytes([5, wanted if wanted in offered else NONE_OF_THEM]))
        if wanted not in offered or wanted == NO_LOGIN:
            return wanted in offered
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        is_right = f"{user.decode()}:{password.decode()}" == self._login
        writer.write(bytes([1, 0 if is_right else 1]))
        return is_right
