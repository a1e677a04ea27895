"""The addresses of a host, and which of them to connect to next.

Rules:

* A name is resolved anew at most every `DNS_TTL_S`; when that fails later on, the addresses known
  are kept: a resolver's bad minute must not stop a run.
* One look-up takes `DNS_TIMEOUT_S` at most; one that takes longer failed temporarily, like one that
  the resolver gave up (EAI_AGAIN).
* New connections go to the address with the fewest open ones, so that load spreads over all of a
  store's front ends; an address that refused or was too slow is left alone for `PENALTY_S`, unless
  nothing else is left.
"""

from __future__ import annotations

import asyncio
import socket

from s3_upload.errors import AttemptError, FailureKind
from s3_upload.wire.connection import plain_text

DNS_TTL_S = 60.0
DNS_TIMEOUT_S = 20.0
"""What the usual resolver takes for two silent name servers: two tries of 5 s each."""
PENALTY_S = 30.0
FIRST_RESOLVE_TRIES = 3
RESOLVE_PAUSE_S = 0.25
MAX_CANDIDATES = 4


class Addresses:
    """See the module's rules."""

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.port = port
        self._loop = loop
        self._addresses: list[str] = []
        self._resolved_s = float("-inf")
        self._resolving: asyncio.Task[None] | None = None
        self._open: dict[str, int] = {}
        self._penalized_until_s: dict[str, float] = {}

    async def candidates(self, avoid: str) -> list[str]:
        """Addresses to try, best first. Raises `AttemptError(HOST_UNKNOWN)`."""
        now_s = self._loop.time()
        if now_s - self._resolved_s > DNS_TTL_S:
            await self._resolve()
        penalized = self._penalized_until_s

        def badness(address: str) -> tuple[bool, bool, int]:
            return penalized.get(address, 0.0) > now_s, address == avoid, self._open.get(address, 0)

        return sorted(self._addresses, key=badness)[:MAX_CANDIDATES]

    def opened(self, address: str) -> None:
        """A connection to `address` was begun."""
        self._open[address] = self._open.get(address, 0) + 1

    def closed(self, address: str) -> None:
        """A connection to `address` has ended."""
        self._open[address] -= 1

    def penalize(self, address: str) -> None:
        """`address` refused or was too slow."""
        self._penalized_until_s[address] = self._loop.time() + PENALTY_S

    def works(self, address: str) -> None:
        """`address` took a connection."""
        self._penalized_until_s.pop(address, None)

    def close(self) -> None:
        """Ends a resolution under way."""
        if self._resolving is not None:
            self._resolving.cancel()

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
                self._addresses = await self._ask()
            except OSError as error:
                # Only "temporary failure" is worth another try before any success.
                if not self._addresses and left and error.errno == socket.EAI_AGAIN:
                    await asyncio.sleep(RESOLVE_PAUSE_S)
                    continue
                if not self._addresses:
                    message = f"the host name {self.host!r} of the endpoint cannot be resolved: "
                    raise AttemptError(FailureKind.HOST_UNKNOWN, message + plain_text(error)) from error
            self._resolved_s = self._loop.time()
            return

    async def _ask(self) -> list[str]:
        """One look-up. Raises `OSError`."""
        try:
            async with asyncio.timeout(DNS_TIMEOUT_S):
                infos = await self._loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {DNS_TIMEOUT_S:.3g} s") from None
        return list(dict.fromkeys(str(info[4][0]) for info in infos))
