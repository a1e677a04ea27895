"""A TCP-like sender: what makes a virtual network behave like one.

Rules:

* Bytes are counted here, not kept: what they say travels beside (see `network`), or not at all (a
  flow in the background).
* Segments are of one packet to `MAX_SEGMENT_BYTES`, growing with the congestion window: a fast flow
  costs few events.  One that is held to a pace sends what that allows in `PACED_S`, at least two packets,
  as Linux sizes its own.  A lost segment is lost as a whole.

Theory of operation.  As Linux does it, without its refinements: slow start until a loss or until the
delay grows (HyStart, RFC 9406), CUBIC (RFC 9438) with its Reno-friendly region from then on; loss is
told by later segments having been acknowledged (RACK, RFC 8985: links here keep the order) or by the
RTO (RFC 6298, with Linux's 200 ms), which doubles each time; after `MAX_TIMEOUTS` the connection is
dead.  The receiver has room for RECEIVE_BUFFER_BYTES as long as its program reads; one that stops has
soon taken in STOPPED_BUFFER_BYTES more, and nothing is acknowledged from then on.
A link is a FIFO with a rate and a bounded queue; what does not fit is dropped.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.loop import SimLoop

PACKET_BYTES = 1448
MAX_SEGMENT_BYTES = 64 << 10
PACED_S = 0.001
INITIAL_PACKETS = 10
MIN_RTO_S = 0.2
MAX_RTO_S = 120.0
MAX_TIMEOUTS = 15
RECEIVE_BUFFER_BYTES = 4 << 20
STOPPED_BUFFER_BYTES = 256 << 10
"""Of a program that reads no more: what its kernel still takes in."""
CUBIC_C = 0.4
CUBIC_BETA = 0.7


@dataclass(slots=True)
class Link:
    """A shared one-way bottleneck: a FIFO of `queue_bytes` drained at a rate that may change.

    `rates`: (from when, bytes per second), ascending.  `down`: intervals in which nothing passes.
    Instants are seconds since the world began.
    """

    loop: SimLoop
    rates: list[tuple[float, float]]
    queue_bytes: int
    down: list[tuple[float, float]]
    epoch_s: float
    busy_until_s: float = 0.0
    sent_bytes: int = 0
    dropped: int = 0

    def rate(self) -> float:
        now_s = self.loop.time() - self.epoch_s
        return [rate for since_s, rate in self.rates if since_s <= now_s][-1]

    def is_down(self, at_s: float | None = None) -> bool:
        if not self.down:
            return False
        now_s = (self.loop.time() if at_s is None else at_s) - self.epoch_s
        return any(first <= now_s < last for first, last in self.down)

    def was_down_since(self, since_s: float) -> bool:
        first_s, now_s = since_s - self.epoch_s, self.loop.time() - self.epoch_s
        return any(first < now_s and last > first_s for first, last in self.down)

    def enter(self, size: int) -> float | None:
        """When `size` bytes will have left the queue, None if they are dropped."""
        now_s = self.loop.time()
        rate = self.rate() if len(self.rates) > 1 else self.rates[0][1]
        start_s = max(now_s, self.busy_until_s)
        if self.is_down() or (start_s - now_s) * rate + size > self.queue_bytes:
            self.dropped += 1
            return None
        self.busy_until_s = start_s + size / rate
        self.sent_bytes += size
        return self.busy_until_s


@dataclass(slots=True)
class Path:
    """The way to one address and back: the shared link, then `delay_s` each way; `loss` per packet."""

    link: Link
    delay_s: float
    loss: float
    rng: random.Random
    passed_bytes: int = 0
    """What has left the link, also to be lost behind it."""

    def forward(self, size: int) -> float | None:
        """When `size` bytes sent now arrive, None if never."""
        left_s = self.link.enter(size)
        self.passed_bytes += size if left_s is not None else 0
        if left_s is None or (self.loss and self.rng.random() < 1 - (1 - self.loss) ** (size / PACKET_BYTES)):
            return None
        return left_s + self.delay_s

    def back(self) -> float | None:
        """When a small packet sent back now arrives, None if never."""
        return None if self.link.is_down() else self.link.loop.time() + self.delay_s


class Segment:
    """`order`: of its last sending; -1 once it is acknowledged. `flying`: counted as in flight."""

    __slots__ = ("flying", "order", "sent_s", "size", "start", "tries")

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.order = 0
        self.sent_s = 0.0
        self.tries = 0
        self.flying = False


class Sender:
    """Sends a stream of `limit` bytes (it may grow: `offer`).

    `on_delivered(n)`: n more bytes have arrived, in order, on the other side.  `on_acked()`: more has
    been acknowledged.  `on_broken()`: too many retransmissions.  `rtt_s`: what the handshake took.
    """

    def __init__(
        self,
        path: Path,
        *,
        rtt_s: float,
        on_delivered: Callable[[int], None],
        on_acked: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self.path = path
        self._loop = path.link.loop
        self._on_delivered = on_delivered
        self._on_acked = on_acked
        self._on_broken = on_broken
        self._max_segment_bytes = max(PACKET_BYTES, min(MAX_SEGMENT_BYTES, path.link.queue_bytes // 8))
        self.limit = 0
        self.next = 0  # the first byte never sent
        self.acked = 0
        self.in_flight = 0
        self.cwnd = float(INITIAL_PACKETS * PACKET_BYTES)
        self.ssthresh = float("inf")
        self.srtt_s, self.rttvar_s, self.min_rtt_s = rtt_s, rtt_s / 2, rtt_s
        self.timeouts = 0
        self.wire_bytes = 0
        self.segments = self.retransmits = self.acks = 0
        self.early_bytes = 0  # acknowledged selectively
        self.last_acked_s = self._loop.time()
        self.max_rate = self.next_rate = float("inf")  # now, and from the next acknowledgement on
        self.unread = 0  # delivered, and never taken by a program that stopped reading
        self.stopped = False
        self._arrived_to = 0
        self._early: dict[int, int] = {}
        self._edge = RECEIVE_BUFFER_BYTES
        self._sent: deque[tuple[int, Segment]] = deque()
        self._lost: deque[Segment] = deque()
        self._orders = 0
        self._recovery_order = 0
        self.heedless = False
        """Held back by its pace alone, as BBR is where that is less than the link would carry."""
        self._w_max = 0.0
        self._cut_s = 0.0
        self._progress_s = self._loop.time()
        self._rto_armed = False
        self._free_s = 0.0
        self._wake_armed = False

    @property
    def rto_s(self) -> float:
        base_s = self.srtt_s + max(4 * self.rttvar_s, MIN_RTO_S)
        return float(min(base_s * 2.0**self.timeouts, MAX_RTO_S))

    def offer(self, size: int) -> None:
        """There are `size` more bytes to send."""
        self.limit += size
        self.pump()

    def stop(self) -> None:
        """The connection is gone: nothing is sent, delivered or told any more."""
        self.stopped = True

    # --- sending ---------------------------------------------------------------------------------

    def pump(self) -> None:
        """Sends what the windows and the pace allow."""
        while not self.stopped:
            while self._lost and self._lost[0].order < 0:
                self._lost.popleft()
            if not self._lost and self.next >= min(self.limit, self._edge):
                return
            if self.in_flight and self.in_flight + PACKET_BYTES > self.cwnd:
                return
            now_s = self._loop.time()
            if self._free_s > now_s:
                if not self._wake_armed:
                    self._wake_armed = True
                    self._loop.at(self._free_s, self._wake)
                return
            if self._lost:
                self._send(self._lost.popleft(), now_s)
            else:
                quarter = max(PACKET_BYTES, int(self.cwnd) // 4)
                paced = max(2.0 * PACKET_BYTES, self.max_rate * PACED_S)
                end = self.next + int(min(quarter, self._max_segment_bytes, paced))
                end = min(end, self.limit, self._edge)
                segment = Segment(self.next, end - self.next)
                self.next = end
                self._send(segment, now_s)

    def pace(self, bytes_per_s: float) -> None:
        """SO_MAX_PACING_RATE: less counts at once, more from the next acknowledgement on, as in Linux
        (sk_setsockopt in net/core/sock.c, tcp_update_pacing_rate in net/ipv4/tcp_input.c)."""
        self.next_rate = bytes_per_s
        self.max_rate = min(self.max_rate, bytes_per_s)

    def _wake(self) -> None:
        self._wake_armed = False
        self.pump()

    def _send(self, segment: Segment, now_s: float) -> None:
        self._orders += 1
        segment.order = self._orders
        segment.sent_s = now_s
        segment.tries += 1
        segment.flying = True
        if not self._sent:
            self._progress_s = now_s
        self._sent.append((segment.order, segment))
        self.in_flight += segment.size
        self.wire_bytes += segment.size
        self.segments += 1
        self.retransmits += segment.tries > 1
        self._free_s = now_s + segment.size / self.max_rate
        arrival_s = self.path.forward(segment.size)
        if arrival_s is not None:
            self._loop.at(arrival_s, self._arrived, segment, segment.order)
        if not self._rto_armed:
            self._rto_armed = True
            self._loop.at(now_s + self.rto_s, self._check_rto)

    # --- the other side ----------------------------------------------------------------------------

    def _arrived(self, segment: Segment, order: int) -> None:
        if self.stopped:
            return
        if segment.start == self._arrived_to:
            before = self._arrived_to
            self._arrived_to += segment.size
            while self._arrived_to in self._early:
                self._arrived_to += self._early.pop(self._arrived_to)
            self._on_delivered(self._arrived_to - before)
        elif segment.start > self._arrived_to:
            self._early[segment.start] = segment.size
        back_s = self.path.back()
        if back_s is not None and not self.stopped:
            room = STOPPED_BUFFER_BYTES if self.unread else RECEIVE_BUFFER_BYTES
            edge = self._arrived_to + room - self.unread
            self._loop.at(back_s, self._acknowledged, segment, order, self._arrived_to, edge)

    # --- acknowledgements --------------------------------------------------------------------------

    def _acknowledged(self, segment: Segment, order: int, arrived_to: int, edge: int) -> None:
        if self.stopped:
            return
        now_s = self._loop.time()
        self.acks += 1
        self.max_rate = self.next_rate
        self._edge = max(edge, self.next)
        if segment.order >= 0:
            if segment.flying:
                self.in_flight -= segment.size
                segment.flying = False
            if segment.tries == 1:  # Karn's rule
                self._sample(now_s - segment.sent_s)
            segment.order = -1
            self.early_bytes += segment.size
            self.timeouts = 0
            self._progress_s = now_s
            self._find_losses(order, now_s)
            self._grow(segment.size, now_s)
        if arrived_to > self.acked:
            self.early_bytes = max(0, self.early_bytes - (arrived_to - self.acked))
            self.acked = arrived_to
            self.last_acked_s = now_s
            self._on_acked()
        self.pump()

    def _sample(self, rtt_s: float) -> None:
        self.rttvar_s += (abs(self.srtt_s - rtt_s) - self.rttvar_s) / 4
        self.srtt_s += (rtt_s - self.srtt_s) / 8
        self.min_rtt_s = min(self.min_rtt_s, rtt_s)
        if self.cwnd < self.ssthresh and rtt_s > self.min_rtt_s + max(0.004, self.min_rtt_s / 8):
            self.ssthresh = self._w_max = self.cwnd
            self._cut_s = self._loop.time()

    def _find_losses(self, order: int, now_s: float) -> None:
        """What was sent before a segment that has arrived, and has not, is lost."""
        sent = self._sent
        cut = False
        while sent and sent[0][0] <= order:
            its_order, segment = sent.popleft()
            if segment.order != its_order:
                continue  # acknowledged, or sent again since
            self.in_flight -= segment.size
            segment.flying = False
            self._lost.append(segment)
            cut = cut or its_order > self._recovery_order
        if cut:
            self._cut(CUBIC_BETA, now_s)

    def _cut(self, factor: float, now_s: float) -> None:
        self._recovery_order = self._orders
        if self.heedless:
            return
        self._w_max = self.cwnd
        self._cut_s = now_s
        self.cwnd = self.ssthresh = max(2.0 * PACKET_BYTES, self.cwnd * factor)

    def _grow(self, size: int, now_s: float) -> None:
        if self.in_flight + size + self._max_segment_bytes < self.cwnd:
            return  # not filled: says nothing about the network
        if self.cwnd < self.ssthresh or self.heedless:
            self.cwnd += size
            return
        since_s = now_s - self._cut_s
        w_max = self._w_max / PACKET_BYTES
        k_s = (w_max * (1 - CUBIC_BETA) / CUBIC_C) ** (1 / 3)
        cubic = CUBIC_C * (since_s - k_s) ** 3 + w_max
        reno = w_max * CUBIC_BETA + 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) * since_s / self.srtt_s
        target = min(max(cubic, reno) * PACKET_BYTES, 1.5 * self.cwnd)
        if target > self.cwnd:
            self.cwnd += (target - self.cwnd) * size / self.cwnd

    def _check_rto(self) -> None:
        self._rto_armed = False
        while self._sent and self._sent[0][1].order != self._sent[0][0]:
            self._sent.popleft()
        if self.stopped or not self._sent:
            return
        now_s = self._loop.time()
        due_s = self._progress_s + self.rto_s
        if now_s < due_s - 1e-9:
            self._rto_armed = True
            self._loop.at(due_s, self._check_rto)
            return
        self.timeouts += 1
        if self.timeouts > MAX_TIMEOUTS:
            self.stopped = True
            self._on_broken()
            return
        lost = [segment for order, segment in self._sent if segment.order == order]
        for segment in lost:
            segment.flying = False
        lost += [segment for segment in self._lost if segment.order >= 0]
        self._lost = deque(sorted(lost, key=lambda segment: segment.start))
        self._sent.clear()
        self.in_flight = 0
        self._cut(0.5, now_s)
        self.cwnd = float(PACKET_BYTES)
        self._progress_s = now_s
        self._free_s = 0.0
        self.pump()
