"""The emulator's loop, with sockets that keep packets apart in the place of TUN devices."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lab.emulator import Emulator, LinkPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND, FAR = 1, 2, 9


class Rig(NamedTuple):
    emulator: Emulator
    hosts: dict[int, socket.socket]


def packet(source: int, target: int, payload: bytes = b"", version: int = 4) -> bytes:
    head = bytearray(40)
    head[0], head[9], head[15], head[19] = version << 4 | 5, 6, source, target
    return bytes(head) + payload


@contextmanager
def running(plan: LinkPlan) -> Iterator[Rig]:
    with ExitStack() as stack:
        pairs = {host: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for host in (FIRST, SECOND, FAR)}
        for device, host in pairs.values():
            device.setblocking(False)
            host.settimeout(20)
            stack.enter_context(device)
            stack.enter_context(host)
        stop, go = os.pipe()
        stack.callback(os.close, stop)
        near = {host: pairs[host][0].fileno() for host in (FIRST, SECOND)}
        emulator = Emulator(plan, near, pairs[FAR][0].fileno())
        thread = threading.Thread(target=emulator.run, args=(stop,))
        thread.start()
        try:
            yield Rig(emulator, {number: pair[1] for number, pair in pairs.items()})
        finally:
            os.close(go)
            thread.join()


FAST = LinkPlan(bits_per_s=1e9, rtt_s=0.002, queue_bytes=1_000_000)


def test_packets_go_to_the_far_host_and_answers_to_whom_they_are_for() -> None:
    with running(FAST) as rig:
        for host in (FIRST, SECOND):
            rig.hosts[host].send(packet(host, FAR, b"ask"))
            assert rig.hosts[FAR].recv(2048) == packet(host, FAR, b"ask")
            rig.hosts[FAR].send(packet(FAR, host, b"answer"))
            assert rig.hosts[host].recv(2048) == packet(FAR, host, b"answer")
    assert rig.emulator.packets == 4


def test_order_is_kept_and_nothing_is_lost() -> None:
    with running(FAST) as rig:
        sent = [packet(FIRST, FAR, bytes([number])) for number in range(100)]
        got = []
        for one in sent:  # a socket's own queue is short: one by one
            rig.hosts[FIRST].send(one)
            got.append(rig.hosts[FAR].recv(2048))
    assert got == sent
    assert rig.emulator.forward.sent_bytes[FIRST] == 100 * (41 + 14)


@pytest.mark.parametrize(
    "stray", [packet(FIRST, FAR, b"v6", version=6), packet(FAR, 77, b"to nobody")], ids=["IPv6", "nobody"]
)
def test_what_is_not_for_this_link_is_let_drop(stray: bytes) -> None:
    with running(FAST) as rig:
        rig.hosts[FAR].send(stray)
        rig.hosts[FAR].send(packet(FAR, FIRST, b"good"))
        assert rig.hosts[FIRST].recv(2048) == packet(FAR, FIRST, b"good")


def test_it_says_how_late_it_was() -> None:
    with running(FAST) as rig:
        rig.hosts[FIRST].send(packet(FIRST, FAR))
        rig.hosts[FAR].recv(2048)
    assert rig.emulator.rows
    assert all(len(row) == 6 and row[5] >= 0 for row in rig.emulator.rows)
