"""The addresses of a host, and which of them to connect to next.

Rules:

* A name is resolved again at most every `DNS_TTL_S`; when that fails later on, the addresses known
  are kept: a resolver's bad minute must not stop a run.  Nor may it hold one up: where addresses are known,
  a look-up is waited for `LOOK_S` from its beginning, and what it finds later is for those who come then.
* Look-ups run in daemon threads: one that hangs on a dead name server keeps nobody waiting, least of all
  the end of the loop or of the program.  (The loop's own `getaddrinfo` does both, asyncio's in its default
  executor, uvloop's in a pool of libuv's.)  A numeric address needs none.
* One look-up takes `DNS_TIMEOUT_S` at most; one that takes longer failed temporarily, like one that
  the resolver gave up (EAI_AGAIN).
* New connections go to the address with the fewest open ones, so that load spreads over all of a
  store's front ends; an address that refused or was too slow is left alone for `PENALTY_S`, unless
  nothing else is left.
* Behind the best comes an address that took a connection when last tried, or else one of the other family
  (IPv4, IPv6) than the best: however many are dead, their order does not hide one that lives.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from s3_upload.descriptors import PATIENCE_S, none_left
from s3_upload.errors import AttemptError, FailureKind
from s3_upload.http1.connection import client_closed, plain_text
from s3_upload.threads import DaemonThreads, seen

DNS_TTL_S = 60.0
DNS_TIMEOUT_S = 20.0
"""What the usual resolver takes for two silent name servers: two tries of 5 s each."""
LOOK_S = 0.25
"""Far more than a name server takes that is there."""
PENALTY_S = 30.0
FIRST_RESOLVE_TRIES = 3
RESOLVE_PAUSE_S = 0.25
MAX_CANDIDATES = 4
MAX_LOOK_UPS = 4
"""At a time, those included that nobody waits for any more."""

LookUp = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name, for a port. Raises `OSError`."""


class _Known:
    """What was found. `at_s`: when somebody last looked; `asked_s`: when the look-up began that is under
    way."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.at_s = float("-inf")
        self.asked_s = 0.0


class _Record:
    """What is known of addresses: connections that are open, and which failed of late."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._penalized_until_s: dict[str, float] = {}
        self._worked: set[str] = set()  # when last tried

    def badness(self, address: str, avoid: str, now_s: float) -> tuple[bool, bool, int]:
        penalized = self._penalized_until_s.get(address, 0.0) > now_s
        return penalized, address == avoid, self._open.get(address, 0)

    def likely(self, ranked: list[str]) -> str | None:
        """Which of `ranked`, but the first, works where the first does not; None where nothing says so."""
        rest = ranked[1:]
        used = (address for address in rest if address in self._worked)
        is_ipv6 = ":" in ranked[0]
        return next(used, None) or next((one for one in rest if (":" in one) != is_ipv6), None)

    def opened(self, address: str) -> None:
        """A connection to `address` was begun."""
        self._open[address] = self._open.get(address, 0) + 1

    def closed(self, address: str) -> None:
        """A connection to `address` has ended."""
        self._open[address] -= 1

    def penalize(self, address: str, until_s: float) -> None:
        """`address` refused or was too slow."""
        self._penalized_until_s[address] = until_s
        self._worked.discard(address)

    def works(self, address: str) -> None:
        """`address` took a connection."""
        self._penalized_until_s.pop(address, None)
        self._worked.add(address)


class Addresses:
    def __init__(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop,
        look_up: LookUp | None = None,
        *,
        whose: str = "of the endpoint",
    ) -> None:
        self.host = host
        self._whose = whose
        self.port = port
        self._loop = loop
        self._threads = DaemonThreads(MAX_LOOK_UPS, "s3-upload-resolver")
        self._look_up = look_up or self._in_thread
        self._closed = False
        self._known = _Known()
        self._resolving: asyncio.Task[None] | None = None
        self.record = _Record()

    async def candidates(self, avoid: str) -> list[str]:
        """Addresses to try, best first. Raises `AttemptError` (HOST_UNKNOWN, CLIENT_CLOSED)."""
        now_s = self._loop.time()
        if now_s - self._known.at_s > DNS_TTL_S:
            await (self._resolve_beside() if self._known.addresses else self._resolve())
        record = self.record
        ranked = sorted(self._known.addresses, key=lambda address: record.badness(address, avoid, now_s))
        if len(ranked) > MAX_CANDIDATES:
            likely = record.likely(ranked)
            if likely is not None:
                ranked.remove(likely)
                ranked.insert(1, likely)
        return ranked[:MAX_CANDIDATES]

    def penalize(self, address: str) -> None:
        """`address` refused or was too slow."""
        self.record.penalize(address, self._loop.time() + PENALTY_S)

    def close(self) -> None:
        """Ends a resolution under way; whoever waits for it is told that the client is closed."""
        self._closed = True
        if self._resolving is not None:
            self._resolving.cancel()
        self._threads.close()

    async def _resolve_beside(self) -> None:
        """Resolves, and returns soon: there are addresses to go on with."""
        resolving = self._begin()
        patience_s = self._known.asked_s + LOOK_S - self._loop.time()
        if patience_s > 0.0:
            await asyncio.wait((resolving,), timeout=patience_s)
        if self._closed:
            raise client_closed()

    async def _resolve(self) -> None:
        """Resolves once for all who wait."""
        resolving = self._begin()
        try:
            await asyncio.shield(resolving)
        except asyncio.CancelledError:
            if self._closed and resolving.cancelled():  # by `close`, before its first step
                raise client_closed() from None
            raise

    def _begin(self) -> asyncio.Task[None]:
        if self._resolving is None:
            self._known.asked_s = self._loop.time()
            self._resolving = self._loop.create_task(self._until_known())
            self._resolving.add_done_callback(self._resolved)
        return self._resolving

    def _resolved(self, task: asyncio.Task[None]) -> None:
        self._resolving = None
        seen(task)  # those who waited have it; with nobody waiting it is of no interest

    async def _until_known(self) -> None:
        try:
            await self._ask_often()
        except asyncio.CancelledError:
            if self._closed:
                raise client_closed() from None
            raise

    async def _ask_often(self) -> None:
        for left in range(FIRST_RESOLVE_TRIES - 1, -1, -1):
            try:
                self._known.addresses = await self._ask_patiently()
            except OSError as error:
                # Only "temporary failure" is worth another try before any success.
                if not self._known.addresses and left and error.errno == socket.EAI_AGAIN:
                    await asyncio.sleep(RESOLVE_PAUSE_S)
                    continue
                if not self._known.addresses:
                    message = f"the host name {self.host!r} {self._whose} cannot be resolved: "
                    raise AttemptError(FailureKind.HOST_UNKNOWN, message + plain_text(error)) from error
            self._known.at_s = self._loop.time()
            return

    async def _ask_patiently(self) -> list[str]:
        """A resolver that lacks a file descriptor says that there is no such host, or anything else."""
        until_s = self._loop.time() + PATIENCE_S
        while True:
            try:
                return await self._ask()
            except OSError:
                if self._known.addresses or self._loop.time() >= until_s or not none_left():
                    raise
            await asyncio.sleep(RESOLVE_PAUSE_S)

    async def _ask(self) -> list[str]:
        """One look-up. Raises `OSError`."""
        try:
            async with asyncio.timeout(DNS_TIMEOUT_S):
                return await self._look_up(self.host, self.port)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {DNS_TIMEOUT_S:.3g} s") from None

    async def _in_thread(self, host: str, port: int) -> list[str]:
        try:
            return _addresses_of(host, port, socket.AI_NUMERICHOST)
        except OSError:
            return await self._threads.call(lambda: _addresses_of(host, port))


def _addresses_of(host: str, port: int, flags: int = 0) -> list[str]:
    """What the system's resolver says, each address once. Blocks."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # its parts are empty, or too long
        raise socket.gaierror(socket.EAI_NONAME, f"it cannot be a host name: {error}") from error
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
