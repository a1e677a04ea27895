"""The network between the program and the store: addresses, handshakes, and asyncio transports.

Rules:

* `SimTransport` keeps the rules of asyncio's own: `write` never blocks, what the kernel does not take
  waits in the transport's buffer, `pause_writing` and `resume_writing` come at its limits, `abort`
  forgets that buffer.  What the kernel has it goes on sending after the end, as Linux does.
* What comes from the store (answers, FIN, RST) arrives in order and is small: a packet lost on its way
  back costs a retransmission timeout and is not modelled further.
* Callbacks of the program run in its loop, never from inside an event of the network.

The network also keeps the books that tell a false timeout from a just one: see `Cuts`.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from tests.sim.handshake import Address, Handshake
from tests.sim.loop import SimLoop
from tests.sim.tcp import Link, Path, Sender
from tests.sim.tcp_info import FakeSocket

TLS_ROUND_TRIPS = 2
MIN_SEND_BUFFER_BYTES = 85 << 10
MAX_SEND_BUFFER_BYTES = 4 << 20


@dataclass(slots=True)
class Cuts:
    """Connections that the program closed while a request was on its way.

    `false`: nothing had been injected that kept the answer back for good; it would have come, be it late.
    `false_bytes` is what the kernel had of them by then, and sends in vain.
    """

    false: int = 0
    just: int = 0
    false_bytes: int = 0
    false_connects: int = 0


class Handler(Protocol):
    """The store's end of one connection."""

    fault: str
    """What was injected that keeps the answer to the request under way back; "" for nothing."""

    def data(self, data: memoryview) -> None: ...
    def gone(self) -> None: ...


class Store(Protocol):
    def accept(self, channel: Channel) -> Handler: ...


class Network:
    """See the module's rules."""

    def __init__(
        self, loop: SimLoop, link: Link, rng: random.Random, *, loss: float, trace: Callable[..., None]
    ) -> None:
        self.loop = loop
        self.link = link
        self.rng = rng
        self.loss = loss
        self.trace = trace
        self.store: Store
        self.names: dict[str, list[Address]] = {}
        self.resolver_fails: tuple[tuple[float, float], ...] = ()
        self.half_empty_info = False
        self.cuts = Cuts()
        self.counts: Counter[str] = Counter()
        self.open: dict[int, SimTransport] = {}
        self.closes_at_once = False
        """Whether a socket is closed already before `connection_lost` is told, and not only after it."""
        self.is_gone = False
        """Nothing is looked at any more, and no connection can be made."""
        self._handshakes: list[Handshake] = []
        self._numbers = 0

    def now(self) -> float:
        """The world's time."""
        return self.loop.time() - self.link.epoch_s

    def reset_all(self) -> None:
        """The store's process is killed: its kernel hangs up on everybody."""
        for transport in tuple(self.open.values()):
            transport.killed()

    def process_killed(self) -> None:
        """The program's process is killed: its kernel sends what it has, and hangs up."""
        for transport in tuple(self.open.values()):
            transport.orphaned()
        for handshake in self._handshakes:
            handshake.over = True
        self._handshakes.clear()

    async def resolve(self, host: str, port: int) -> list[tuple[Any, ...]]:
        await asyncio.sleep(0.002)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if any(first <= self.now() < last for first, last in self.resolver_fails):
            self.counts["resolver failed"] += 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        family = socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (a.ip, port)) for a in self.names[host]]

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, tls: bool
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if self.is_gone:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        address = next(a for group in self.names.values() for a in group if a.ip == host)
        path = Path(self.link, address.delay_s, self.loss, self.rng)
        established: asyncio.Future[float] = self.loop.create_future()
        handshake = Handshake(
            self.now, self.counts, path, address, established, TLS_ROUND_TRIPS if tls else 0
        )
        self._handshakes.append(handshake)
        handshake.send()
        started_s = self.loop.time()
        try:
            rtt_s = await established
        except asyncio.CancelledError:
            handshake.over = True
            if not (address.dead_until_s > self.now() or self.link.was_down_since(started_s)):
                self.cuts.false_connects += 1
            raise
        finally:
            self._handshakes = [other for other in self._handshakes if other is not handshake]
        self._numbers += 1
        self.trace("open", self._numbers, host)
        protocol = cast("asyncio.Protocol", factory())
        transport = SimTransport(self, path, protocol, self._numbers, rtt_s)
        made = self.loop.create_future()
        self.loop.call_soon(protocol.connection_made, transport)
        self.loop.call_soon(_set, made)
        try:
            await made
        except BaseException:
            transport.abort()
            raise
        return transport, protocol


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SimTransport(asyncio.Transport):
    """The program's end of one connection."""

    def __init__(
        self, network: Network, path: Path, protocol: asyncio.Protocol, number: int, rtt_s: float
    ) -> None:
        super().__init__()
        self.network = network
        self.number = number
        self.request_bytes = 0
        """Handed over since the last answer: a request is on its way while there are any."""
        self._loop = network.loop
        self._protocol = protocol
        self._buffer: deque[memoryview] = deque()
        self._buffered = 0
        self._high, self._low = 64 << 10, 16 << 10
        self._paused = False
        self._closing = False
        self._lost = False
        self._wakes = False
        self._request_s = 0.0
        self._request_at = 0  # where in the stream it begins
        self.sender = Sender(
            path,
            rtt_s=rtt_s,
            on_delivered=lambda size: self._channel.delivered(size),
            on_acked=self._acked,
            on_broken=self._broken,
        )
        self._socket = FakeSocket(self.sender, half_empty=network.half_empty_info)
        self._channel = Channel(self)
        network.open[number] = self
        network.counts["connections"] += 1
        self._channel.handler = network.store.accept(self._channel)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 << 10 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._buffered

    def pause_reading(self) -> None:
        raise AssertionError("the connection never pauses reading")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        if not self.request_bytes:
            self._request_s = self._loop.time()
            self._request_at = self.sender.limit + self._buffered
        self.request_bytes += len(data)
        self._buffer.append(memoryview(data))
        self._buffered += len(data)
        self._to_kernel()
        if self._buffered > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        assert not self._buffered, "closing with bytes to write is not modelled: use abort()"
        self.abort()

    def abort(self) -> None:
        if self._closing:
            return
        if self.request_bytes:
            self._book_cut()
        self._close(None)
        self._channel.close_when_sent()

    def orphaned(self) -> None:
        """Its process is gone."""
        self._closing = True
        self._buffer.clear()
        del self.network.open[self.number]
        self.network.trace("close", self.number)
        self._channel.close_when_sent()

    def _book_cut(self) -> None:
        cuts, handler = self.network.cuts, self._channel.handler
        if handler.fault or self.network.link.was_down_since(self._request_s):
            cuts.just += 1
        else:
            cuts.false += 1
            cuts.false_bytes += max(0, self.sender.limit - self._request_at)

    def _close(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._socket.closed = self.network.closes_at_once
        self._buffer.clear()
        self._buffered = 0
        self.network.trace("close", self.number)
        self._loop.call_soon(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        del self.network.open[self.number]
        self._lost = True
        self._protocol.connection_lost(error)
        self._socket.closed = True

    # --- the kernel ------------------------------------------------------------------------------

    def _to_kernel(self) -> None:
        sender = self.sender
        capacity = min(max(MIN_SEND_BUFFER_BYTES, int(2 * sender.cwnd)), MAX_SEND_BUFFER_BYTES)
        room = capacity - (sender.limit - sender.acked)
        moved = 0
        while self._buffer and room > 0:
            data = self._buffer[0]
            if len(data) > room:
                data, self._buffer[0] = data[:room], data[room:]
            else:
                self._buffer.popleft()
            self._channel.content.append(data)
            room -= len(data)
            moved += len(data)
        self._buffered -= moved
        if moved:
            sender.offer(moved)

    def _acked(self) -> None:
        if self._closing:
            self._channel.close_when_sent()
        elif self._buffered and not self._wakes:
            self._wakes = True
            self._loop.call_soon(self._write_ready)

    def _write_ready(self) -> None:
        self._wakes = False
        self._to_kernel()
        if self._paused and self._buffered <= self._low and not self._closing:
            self._paused = False
            self._protocol.resume_writing()

    def _broken(self) -> None:
        self._close(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
        self._channel.handler.gone()

    # --- what the store sent ---------------------------------------------------------------------

    def receive(self, data: bytes, final: Callable[[], None] | None) -> None:
        """`data` arrives; `final` is called if it ends an answer and the program takes it."""
        if not self._closing:
            self._loop.call_soon(self._receive, data, final)

    def _receive(self, data: bytes, final: Callable[[], None] | None) -> None:
        if self._closing:
            return
        if final is not None:
            self.request_bytes = 0
            final()
        self._protocol.data_received(data)

    def receive_eof(self) -> None:
        if not self._closing:
            self._loop.call_soon(self._receive_eof)

    def _receive_eof(self) -> None:
        if not self._closing:
            self.request_bytes = 0  # what follows is no cut of the program's
            self._protocol.eof_received()
            self.abort()

    def killed(self) -> None:
        self.request_bytes = 0  # what follows is no cut of the program's
        self._channel.closed = True
        self._channel.handler.gone()
        self.receive_reset()

    def receive_reset(self) -> None:
        self.sender.stop()
        self._close(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))


@dataclass(slots=True)
class Channel:
    """The wire of one connection, seen from the store."""

    transport: SimTransport
    content: deque[memoryview] = field(default_factory=deque)
    handler: Handler = field(init=False)
    reading: bool = True
    closed: bool = False
    ends: bool = False
    last_s: float = 0.0

    @property
    def number(self) -> int:
        return self.transport.number

    def delivered(self, size: int) -> None:
        """`size` more bytes have arrived."""
        while size:
            data = self.content.popleft()
            if len(data) > size:
                self.content.appendleft(data[size:])
                data = data[:size]
            size -= len(data)
            if self.closed:
                self._back(self.transport.receive_reset)
            elif self.reading:
                self.handler.data(data)
            else:
                self.transport.sender.unread += len(data)

    def send(self, data: bytes, final: Callable[[], None] | None = None) -> None:
        self._back(self.transport.receive, data, final)

    def close(self) -> None:
        """FIN; bytes that come later are answered by RST."""
        self.closed = True
        self._back(self.transport.receive_eof)

    def reset(self) -> None:
        self.closed = True
        self._back(self.transport.receive_reset)

    def close_when_sent(self) -> None:
        """The program closed its end: the kernel sends what it has, then the FIN."""
        sender = self.transport.sender
        if sender.acked == sender.limit and not self.ends:
            self.ends = True
            sender.stop()
            path = sender.path
            path.link.loop.at(path.link.loop.time() + path.delay_s, self._end)

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self.handler.gone()

    def _back(self, callback: Callable[..., None], *arguments: Any) -> None:
        path = self.transport.sender.path
        loop = path.link.loop
        at_s, rto_s = loop.time(), 0.2 + 2 * path.delay_s
        while path.link.is_down(at_s) or (path.loss and path.rng.random() < path.loss):
            at_s += rto_s
            rto_s = min(2 * rto_s, 120.0)
        self.last_s = max(self.last_s, at_s + path.delay_s)
        loop.at(self.last_s, callback, *arguments)
