"""What the kernel knows of a TCP connection, Linux's TCP_INFO, and how fast it may send.

Layout: `struct tcp_info` in linux/tcp.h; it only ever grows at its end, so an old kernel's answer is
shorter and a new one's longer than what is read here.  On other systems, and for transports without
a kernel socket, `read` gives None and callers fall back on what the transport's buffer says.

Some systems have the option and fill in half of it: in gVisor `bytes_acked` and what is under way stay
0, so that every transfer seems to stand still.  So it is tried out once in each process, on a connection
to ourselves, before anything is built on it (`works`).
"""

from __future__ import annotations

import functools
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from s3_upload.report import ConnectionSample

SO_MAX_PACING_RATE = 47
"""Linux's number (asm-generic/socket.h); Python has no name for it."""
HEEDLESS = b"bbr"
"""The algorithm that does not slow down for losses (draft-cardwell-iccrg-bbr-congestion-control)."""
UNLIMITED = 0xFFFF_FFFF_FFFF_FFFF

# 8 bytes of flags; 24 u32 from rto to total_retrans; 4 u64 from pacing_rate to bytes_received;
# 6 u32 from segs_out to data_segs_out; u64 delivery_rate.
_LAYOUT = struct.Struct("=8x24I4Q6IQ")
_MSS = 2
_SRTT = 15
_BYTES_ACKED = 26
_MIN_RTT = 31
_NAME_BYTES = 16  # TCP_CA_NAME_MAX (net/tcp.h)
_TCP_INFO = getattr(socket, "TCP_INFO", None)
LOOPBACK_SEGMENT_BYTES = 16_384
"""Segments over loopback are as large as this, up to 64 KiB; those of an Ethernet have up to 9,000 bytes."""
UNREADABLE = (OSError, ValueError, AttributeError)
"""What options of a socket raise that is closed (asyncio's, uvloop's) or is none of the kernel's."""
AVAILABLE = sys.platform == "linux" and _TCP_INFO is not None
TRIAL_S = 1.0
"""How long the trial waits at most for what the kernel does at once."""


class TcpInfo(msgspec.Struct, frozen=True, gc=False):
    """The fields of TCP_INFO in use here; times in seconds, sizes in bytes, rates in bytes per second.

    `rtt_s` and `rttvar_s` are the kernel's SRTT and its mean deviation (RFC 6298); `last_ack_age_s`
    the time since the last acknowledgement came; `unacked` counts segments in flight, of `mss_bytes` each;
    `bytes_acked` counts from the connection's begin.
    """

    unacked: int
    mss_bytes: int
    last_ack_age_s: float
    rtt_s: float
    rttvar_s: float
    min_rtt_s: float
    bytes_acked: int
    notsent_bytes: int


@functools.cache
def works() -> bool:
    """Whether this system tells what a connection has acknowledged."""
    if not AVAILABLE:
        return False
    try:
        return tells(_values)
    except OSError:  # no connections to ourselves, or no descriptor left: nothing speaks against it
        return True


def tells(values_of: Callable[[Any], tuple[Any, ...] | None]) -> bool:
    """Whether a new connection shows anything acknowledged.  Its SYN must be, which counts as a byte
    (Linux: tcp_snd_una_update in net/ipv4/tcp_input.c).  Raises `OSError`."""
    with socket.socket() as listener, socket.socket() as sock:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        sock.settimeout(TRIAL_S)
        sock.connect(listener.getsockname())
        values = values_of(sock)
    return values is not None and values[_BYTES_ACKED] > 0


def read(sock: Any) -> TcpInfo | None:
    """TCP_INFO of a socket, or None where there is none (not Linux, not TCP, closed, half empty)."""
    values = _values(sock) if works() else None
    if values is None:
        return None
    return TcpInfo(
        unacked=values[4],
        mss_bytes=values[_MSS],
        last_ack_age_s=values[12] / 1e3,
        rtt_s=values[_SRTT] / 1e6,
        rttvar_s=values[16] / 1e6,
        bytes_acked=values[_BYTES_ACKED],
        notsent_bytes=values[30],
        min_rtt_s=values[_MIN_RTT] / 1e6,
    )


class Sums(msgspec.Struct, frozen=True, gc=False):
    """What has come together since a connection's begin, as in `ConnectionSample`."""

    acked_bytes: int = 0
    sent_segments: int = 0
    retransmits: int = 0


NO_SUMS = Sums()


def sums(sock: Any) -> Sums:
    """Those of a socket until now; none where there is no TCP_INFO."""
    values = _values(sock) if works() else None
    return NO_SUMS if values is None else _sums(values)


def _sums(values: tuple[Any, ...]) -> Sums:
    return Sums(values[_BYTES_ACKED] + values[5] * values[_MSS], values[28], values[23])


def _over_loopback(sock: Any, mss_bytes: int) -> bool:
    """Whether late acknowledgements and what is sent again because of them say nothing of a link.

    Linux sends at least two segments at a time (tcp_min_tso_segs), so that the receiver acknowledges them at
    once, but no more than 64 KiB.  So over loopback it sends one: at a slow pace each is acknowledged 40 ms
    later (TCP_DELACK_MIN, net/tcp.h), often after a probe (RFC 8985, section 7).  That would pass for a
    queue, and for losses.  (InfiniBand may have segments as large, and is a link.)
    """
    if mss_bytes < LOOPBACK_SEGMENT_BYTES:
        return False
    try:
        peer: str = sock.getpeername()[0]
        return bool(peer == sock.getsockname()[0]) or peer.startswith("127.")
    except UNREADABLE:
        return False


def sample(sock: Any, number: int, *, busy: bool, before: Sums = NO_SUMS) -> ConnectionSample | None:
    """What the controllers want to know of connection `number`, without what was `before`; None where
    there is no TCP_INFO."""
    values = _values(sock) if works() else None
    if values is None:
        return None
    now, loopback = _sums(values), _over_loopback(sock, values[_MSS])
    return ConnectionSample(
        number=number,
        rtt_s=values[_MIN_RTT if loopback else _SRTT] / 1e6,
        min_rtt_s=values[_MIN_RTT] / 1e6,
        acks=values[29],
        acked_bytes=now.acked_bytes - before.acked_bytes,
        sent_segments=now.sent_segments - before.sent_segments,
        retransmits=0 if loopback else now.retransmits - before.retransmits,
        window_bytes_per_s=values[18] * values[_MSS] * 1e6 / max(values[_MIN_RTT], 1),
        busy=busy,
        waiting=values[30] > 0,
    )


def pace(sock: Any, bytes_per_s: float) -> bool:
    """Has the kernel send at most so fast (math.inf: as fast as it likes); whether it does.

    TCP paces by itself where the queueing discipline does not (Linux 4.13 and later).
    """
    rate = UNLIMITED if bytes_per_s >= UNLIMITED else max(1, int(bytes_per_s))
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("=Q", rate))
    except UNREADABLE:
        return False
    return works()


def congestion_control(sock: Any) -> bytes:
    """The name of the algorithm that decides how fast it sends; b"" where that is not to be known."""
    try:
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _NAME_BYTES)
    except UNREADABLE:
        return b""
    return bytes(name).partition(b"\0")[0]


def set_congestion_control(sock: Any, name: bytes) -> bool:
    """Has that algorithm decide; False if it is not to be had: the kernel lacks it, or does not let
    everybody use it (net.ipv4.tcp_allowed_congestion_control)."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
    except UNREADABLE:
        return False
    return True


def _values(sock: Any) -> tuple[Any, ...] | None:
    if sock is None or _TCP_INFO is None:
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAYOUT.size)
    except UNREADABLE:
        return None
    return _LAYOUT.unpack(raw) if len(raw) >= _LAYOUT.size else None
