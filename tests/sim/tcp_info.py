"""A socket that says of a simulated connection what Linux says of a real one."""

from __future__ import annotations

import socket
import struct

from tests.sim.tcp import PACKET_BYTES, Sender

SO_MAX_PACING_RATE = 47
TCP_INFO = 11
TCP_CONGESTION = 13
_UNLIMITED = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_FORMAT = struct.Struct("=8B24I4Q6I4Q2I2Q4I")
"""struct tcp_info up to tcpi_snd_wnd (linux/tcp.h, 5.4 and later)."""


_FILLED_IN = (0, 2), (8, 12), (68, 84)
"""Of struct tcp_info: the states; the RTO; SRTT, RTTVAR, ssthresh and cwnd."""


class FakeSocket:
    """What `Transport.get_extra_info("socket")` gives; once `closed` it raises as uvloop's does."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM

    def __init__(self, sender: Sender, *, half_empty: bool = False) -> None:
        self._sender = sender
        self._half_empty = half_empty
        self.closed = False

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self._look()
        if (level, option) == (socket.SOL_SOCKET, SO_MAX_PACING_RATE):
            rate = int.from_bytes(value, "little") if isinstance(value, bytes) else value
            self._sender.pace(float("inf") if rate in _UNLIMITED else float(max(rate, 1)))
        if (level, option) == (socket.IPPROTO_TCP, TCP_CONGESTION):
            self._sender.heedless = value == b"bbr"

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        self._look()
        if (level, option) == (socket.IPPROTO_TCP, TCP_CONGESTION):
            return (b"bbr" if self._sender.heedless else b"cubic").ljust(size, b"\0")
        if (level, option) != (socket.IPPROTO_TCP, TCP_INFO):
            return b"" if size else 0
        packed = _pack(self._sender)[:size]
        return half_empty(packed) if self._half_empty else packed

    def _look(self) -> None:
        if self.closed:
            raise ValueError("negative file descriptor")


def half_empty(packed: bytes) -> bytes:
    """As gVisor tells it: round trips and the window, and nothing of what was sent or acknowledged."""
    empty = bytearray(len(packed))
    for start, end in _FILLED_IN:
        empty[start:end] = packed[start:end]
    return bytes(empty)


def _pack(sender: Sender) -> bytes:
    now_s = sender.path.link.loop.time()
    micro = 1e6
    acked_ms = int((now_s - sender.last_acked_s) * 1e3)
    unacked = -(-sender.in_flight // PACKET_BYTES)
    ssthresh = 0x7FFFFFFF if sender.ssthresh == float("inf") else int(sender.ssthresh / PACKET_BYTES)
    max_rate = _UNLIMITED[1] if sender.next_rate == float("inf") else int(sender.next_rate)
    rate = int(sender.cwnd / sender.srtt_s)
    head = (1, 0, sender.timeouts, 0, sender.timeouts, 0, 0, 0)
    words = (
        int(sender.rto_s * micro), 40_000, PACKET_BYTES, PACKET_BYTES,
        unacked, sender.early_bytes // PACKET_BYTES, 0, 0, 0,
        acked_ms, 0, acked_ms, acked_ms,
        1500, 65_535, int(sender.srtt_s * micro), int(sender.rttvar_s * micro),
        ssthresh, int(sender.cwnd / PACKET_BYTES), PACKET_BYTES, 3, 0, 65_535, sender.retransmits,
    )  # fmt: skip
    sums = (rate, max_rate, sender.acked + 1, 0)  # the SYN counts as a byte
    more = (sender.segments, sender.acks, sender.limit - sender.next, int(sender.min_rtt_s * micro), 0, 0)
    last = (rate, 0, 0, 0, 0, 0, sender.wire_bytes, 0, 0, 0, 0, 65_535)
    return _FORMAT.pack(*head, *words, *sums, *more, *last)
