"""Opens connections: name to addresses, address to TCP, TCP to TLS.

Rules:

* A name is resolved anew at most every `DNS_TTL_S`; when that fails later on, the addresses known
  are kept: a resolver's bad minute must not stop a run.
* New connections go to the address with the fewest open ones, so that load spreads over all of a
  store's front ends; an address that refused or timed out is left alone for `PENALTY_S`, unless
  nothing else is left.
* One call tries each address at most once, each under the connect timeout.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.wire.connection import Connection, plain_text
from s3_upload.wire.exchange import Exchange

DNS_TTL_S = 60.0
PENALTY_S = 30.0
FIRST_RESOLVE_TRIES = 3
RESOLVE_PAUSE_S = 0.25
MAX_ADDRESS_TRIES = 4


class Connector:
    """Opens connections to one host and port. `tls` is None for plain TCP."""

    def __init__(
        self, *, host: str, port: int, tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._loop = loop
        self._addresses: list[str] = []
        self._resolved_s = float("-inf")
        self._resolving: asyncio.Task[None] | None = None
        self._open: dict[str, int] = {}
        self._penalized_until_s: dict[str, float] = {}

    async def open(
        self,
        exchange: Exchange,
        on_idle: Callable[[Connection], None],
        on_closed: Callable[[Connection], None],
    ) -> Connection:
        """A new connection, busy for nobody yet. Raises `AttemptError`."""

        def closed(connection: Connection) -> None:
            self._open[connection.address] -= 1
            on_closed(connection)

        error = AttemptError(FailureKind.CONNECT, f"{self.host}: has no address")
        for address in await self._candidates(exchange.avoid):
            exchange.address = address
            self._open[address] = self._open.get(address, 0) + 1
            connection = Connection(loop=self._loop, address=address, on_idle=on_idle, on_closed=closed)
            begun_s = exchange.now()
            try:
                await self._handshake(connection, address, exchange.connect_timeout_s)
            except BaseException as failure:
                connection.close()
                if not isinstance(failure, AttemptError):
                    raise
                error = failure
                if failure.kind is not FailureKind.CONNECT:
                    break
                self._penalized_until_s[address] = self._loop.time() + PENALTY_S
            else:
                self._penalized_until_s.pop(address, None)
                exchange.connect_s = exchange.now() - begun_s
                return connection
        raise error

    async def _handshake(self, connection: Connection, address: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_connection(
                    lambda: connection,
                    address,
                    self.port,
                    ssl=self._tls,
                    server_hostname=self.host if self._tls else None,
                )
        except TimeoutError:
            message = f"no connection to {address} port {self.port} within {timeout_s:.3g} s"
            raise AttemptError(FailureKind.CONNECT, message, timer="connect") from None
        except ssl.SSLCertVerificationError as error:
            message = f"the certificate of {self.host} is not trusted: {error.verify_message}"
            raise AttemptError(FailureKind.CERTIFICATE, message) from error
        except ssl.SSLError as error:
            if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
                message = f"{self.host} port {self.port} does not speak TLS; use http:// in the endpoint URL"
                raise AttemptError(FailureKind.TLS_MISMATCH, message) from error
            raise AttemptError(
                FailureKind.CONNECT, f"TLS handshake with {self.host}: {error.reason}"
            ) from error
        except OSError as error:
            message = f"no connection to {address} port {self.port}: {plain_text(error)}"
            raise AttemptError(FailureKind.CONNECT, message) from error

    async def _candidates(self, avoid: str) -> list[str]:
        """Addresses to try, best first."""
        now_s = self._loop.time()
        if now_s - self._resolved_s > DNS_TTL_S:
            await self._resolve()
        penalized = self._penalized_until_s

        def badness(address: str) -> tuple[bool, bool, int]:
            return penalized.get(address, 0.0) > now_s, address == avoid, self._open.get(address, 0)

        return sorted(self._addresses, key=badness)[:MAX_ADDRESS_TRIES]

    async def _resolve(self) -> None:
        """Resolves once for all who wait."""
        if self._resolving is None:
            self._resolving = self._loop.create_task(self._look_up())
            self._resolving.add_done_callback(self._resolved)
        await asyncio.shield(self._resolving)

    def _resolved(self, task: asyncio.Task[None]) -> None:
        self._resolving = None
        if not task.cancelled():
            task.exception()  # those who waited have it; with nobody waiting it is of no interest

    async def _look_up(self) -> None:
        for left in range(FIRST_RESOLVE_TRIES - 1, -1, -1):
            try:
                infos = await self._loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            except OSError as error:
                if self._addresses:
                    self._resolved_s = self._loop.time()
                    return
                # Only "temporary failure" is worth another try before any success.
                if left == 0 or getattr(error, "errno", None) != socket.EAI_AGAIN:
                    message = (
                        f"the host name {self.host!r} of the endpoint cannot be resolved: {plain_text(error)}"
                    )
                    raise AttemptError(FailureKind.HOST_UNKNOWN, message) from error
                await asyncio.sleep(RESOLVE_PAUSE_S)
            else:
                self._addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
                self._resolved_s = self._loop.time()
                return
