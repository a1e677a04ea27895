"""One direction of a link, in virtual time: a queue, a serializer, a delay line, random loss.

    packet -> queue (drops when full) -> serializer (rate) -> random loss -> delay line -> out

Rules:

* No clock and no I/O: `now` is an argument, in seconds, and never goes back.
* Departures are computed from the link's own time, not from when somebody looked: a caller that
  comes late sends a packet late, but the link's rate stays exact.
* A packet is its bytes, an IPv4 packet of at most `MTU`.  On the link it takes `OVERHEAD_BYTES` more,
  as an Ethernet header would: the rate and the size of the queue count those too, as the kernel's
  TBF on an Ethernet device counts.

The fair queue is Deficit Round Robin (Shreedhar and Varghese 1995): a queue for each flow, each in
turn may send `QUANTUM_BYTES`.  When it is full, the longest queue loses its newest packet.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random

MTU = 1500
OVERHEAD_BYTES = 14
QUANTUM_BYTES = MTU + OVERHEAD_BYTES
NEVER = float("inf")


class Queue(Protocol):
    """What waits for the serializer. `size_bytes`: how much does, with overhead."""

    size_bytes: int
    dropped: int

    def push(self, packet: bytes) -> None: ...
    def pop(self) -> bytes: ...


class Fifo:
    """First in, first out; a packet that does not fit is dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.dropped = 0
        self._packets: deque[bytes] = deque()

    def push(self, packet: bytes) -> None:
        size = len(packet) + OVERHEAD_BYTES
        if self.size_bytes + size > self.limit_bytes:
            self.dropped += 1
            return
        self.size_bytes += size
        self._packets.append(packet)

    def pop(self) -> bytes:
        packet = self._packets.popleft()
        self.size_bytes -= len(packet) + OVERHEAD_BYTES
        return packet


class FairQueue:
    """Deficit Round Robin over flows; when full, the longest flow's newest packet is dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.dropped = 0
        self._flows: dict[bytes, _Flow] = {}
        self._turn: deque[_Flow] = deque()

    def push(self, packet: bytes) -> None:
        key = flow_of(packet)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(key)
            self._turn.append(flow)
        size = len(packet) + OVERHEAD_BYTES
        flow.packets.append(packet)
        flow.size_bytes += size
        self.size_bytes += size
        while self.size_bytes > self.limit_bytes:
            longest = max(self._turn, key=_Flow.size)
            lost = len(longest.packets.pop()) + OVERHEAD_BYTES
            longest.size_bytes -= lost
            self.size_bytes -= lost
            self.dropped += 1
            if not longest.packets:
                self._turn.remove(longest)
                del self._flows[longest.key]

    def pop(self) -> bytes:
        while True:
            flow = self._turn[0]
            size = len(flow.packets[0]) + OVERHEAD_BYTES
            if size <= flow.deficit_bytes:
                break
            flow.deficit_bytes += QUANTUM_BYTES
            self._turn.rotate(-1)
        flow.deficit_bytes -= size
        flow.size_bytes -= size
        self.size_bytes -= size
        packet = flow.packets.popleft()
        if not flow.packets:
            self._turn.popleft()
            del self._flows[flow.key]
        return packet


class _Flow:
    __slots__ = ("deficit_bytes", "key", "packets", "size_bytes")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.packets: deque[bytes] = deque()
        self.size_bytes = 0
        self.deficit_bytes = 0

    def size(self) -> int:
        return self.size_bytes


def flow_of(packet: bytes) -> bytes:
    """Protocol, addresses and ports of an IPv4 packet without options (the kernel sends no others)."""
    return packet[9:10] + packet[12:24]


class Link:
    """One direction. `delay_s`: one way; `loss`: the share of packets that is lost at random."""

    def __init__(
        self, queue: Queue, *, bits_per_s: float, delay_s: float, loss: float = 0.0, rng: random.Random
    ) -> None:
        self.queue = queue
        self.sent_bytes = [0] * 256
        """What the serializer has sent, with overhead, by the last byte of the sender's address."""
        self.lost = 0
        self._s_per_byte = 8 / bits_per_s
        self._delay_s = delay_s
        self._loss = loss
        self._rng = rng
        self._line: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0  # when the serializer can take the next packet

    def offer(self, now: float, packet: bytes) -> None:
        """A packet arrives at the queue."""
        if now > self._free_at:
            self.serve(now)
            self._free_at = max(self._free_at, now)  # idle: it starts at once
        self.queue.push(packet)

    def due(self) -> float:
        """When `take` has something to do next; `NEVER` while nothing is under way."""
        if self._line:
            return self._line[0][0]
        return self._free_at + self._delay_s if self.queue.size_bytes else NEVER

    def take(self, now: float) -> tuple[float, bytes] | None:
        """The next packet whose time has come, with that time; None if there is none."""
        self.serve(now)
        if self._line and self._line[0][0] <= now:
            return self._line.popleft()
        return None

    def waiting_s(self, now: float) -> float:
        """How long a packet that arrives now would wait for the serializer."""
        return max(0.0, self._free_at - now) + self.queue.size_bytes * self._s_per_byte

    def serve(self, now: float) -> None:
        """Serializes whatever can start by `now`; `sent_bytes` and `waiting_s` are then up to date."""
        queue, line, free_at = self.queue, self._line, self._free_at
        while queue.size_bytes and free_at <= now:
            packet = queue.pop()
            size = len(packet) + OVERHEAD_BYTES
            free_at += size * self._s_per_byte
            self.sent_bytes[packet[15]] += size
            if self._loss and self._rng.random() < self._loss:
                self.lost += 1
            else:
                line.append((free_at + self._delay_s, packet))
        self._free_at = free_at
