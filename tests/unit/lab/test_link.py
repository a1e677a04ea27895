"""The link of the lab in virtual time: what leaves it, and when."""

from __future__ import annotations

import random

import pytest

from lab.link import NEVER, OVERHEAD_BYTES, FairQueue, Fifo, Link, flow_of

BITS_PER_S = 8_000.0  # a byte takes a millisecond
SIZE = 100 - OVERHEAD_BYTES  # so a packet takes 0.1 s


def packet(number: int = 0, *, flow: int = 0, size: int = SIZE) -> bytes:
    """As much of an IPv4 header as the link looks at: a number, the protocol, addresses and ports."""
    head = bytes([0x45, 0, 0, 0, 0, number, 0, 0, 0, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 9, 0, flow, 0, 80])
    return head + bytes(size - len(head))


def link(
    queue: Fifo | FairQueue | None = None, *, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0
) -> Link:
    queue = queue or Fifo(10_000)
    return Link(queue, bits_per_s=BITS_PER_S, delay_s=delay_s, loss=loss, rng=random.Random(seed))


def departures(of: Link, until: float = 1e9) -> list[tuple[float, int]]:
    """When each packet is due, and its number; asked at each moment at which something is due."""
    found = []
    while (due := of.due()) <= until:
        item = of.take(due)
        if item is not None:
            found.append((round(item[0], 9), item[1][5]))
    return found


def test_a_packet_takes_its_time_on_the_line_and_the_delay() -> None:
    line = link(delay_s=0.5)
    line.offer(1.0, packet(1))
    assert line.take(1.59) is None
    assert departures(line) == [(1.6, 1)]
    assert line.due() == NEVER


def test_packets_wait_for_each_other() -> None:
    line = link()
    for number in range(3):
        line.offer(2.0, packet(number))
    assert departures(line) == [(2.1, 0), (2.2, 1), (2.3, 2)]


def test_an_idle_line_starts_afresh() -> None:
    line = link()
    line.offer(0.0, packet(1))
    line.offer(5.0, packet(2))
    assert departures(line) == [(0.1, 1), (5.1, 2)]


def test_one_who_comes_late_finds_the_rate_unchanged() -> None:
    """What was due long ago comes out at once, each with the time at which it was due."""
    line = link()
    for number in range(5):
        line.offer(0.0, packet(number))
    taken = [line.take(100.0) for _ in range(5)]
    assert [round(item[0], 9) for item in taken if item] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_the_rate_is_kept_over_many_packets_that_come_in_bursts() -> None:
    line = link(Fifo(1_000_000))
    for burst in range(10):
        for number in range(100):
            line.offer(burst * 1.0, packet(number))
    assert departures(line)[-1][0] == pytest.approx(100.0)  # 1,000 packets of 0.1 s
    assert line.sent_bytes[1] == 1000 * 100


def test_a_full_queue_drops_what_comes() -> None:
    line = link(Fifo(250))
    for number in range(5):
        line.offer(0.0, packet(number))
    assert [number for _, number in departures(line)] == [0, 1]
    assert line.queue.dropped == 3


def test_the_packet_on_the_line_waits_no_more() -> None:
    line = link(Fifo(250))
    line.offer(0.0, packet(0))
    line.serve(0.05)
    for number in (1, 2, 3):
        line.offer(0.05, packet(number))
    assert [number for _, number in departures(line)] == [0, 1, 2]


def test_the_wait_is_what_the_next_packet_would_wait() -> None:
    line = link()
    assert line.waiting_s(0.0) == 0.0
    for number in range(3):
        line.offer(0.0, packet(number))
    line.serve(0.0)
    assert line.waiting_s(0.0) == pytest.approx(0.3)
    line.serve(0.15)
    assert line.waiting_s(0.15) == pytest.approx(0.15)


def test_loss_is_that_of_the_seed_and_of_its_share() -> None:
    def lost(seed: int) -> list[int]:
        line = link(Fifo(1_000_000), loss=0.25, seed=seed)
        for number in range(200):
            line.offer(0.0, packet(number))
        there = [number for _, number in departures(line)]
        assert line.lost == 200 - len(there)
        return there

    assert lost(1) == lost(1) != lost(2)
    assert 120 < len(lost(1)) < 180


def test_flows_are_told_apart_by_their_ports() -> None:
    assert flow_of(packet(1, flow=1)) == flow_of(packet(2, flow=1, size=60))
    assert flow_of(packet(1, flow=1)) != flow_of(packet(1, flow=2))


def popped(queue: FairQueue) -> list[int]:
    found = []
    while queue.size_bytes:
        found.append(queue.pop()[21])
    return found


def test_fair_queueing_gives_flows_equal_bytes() -> None:
    queue = FairQueue(1_000_000)
    for _ in range(60):
        queue.push(packet(flow=1, size=1500))
    for _ in range(180):
        queue.push(packet(flow=2, size=500))
    sent = {1: 0, 2: 0}
    for flow in popped(queue)[:100]:
        sent[flow] += 1500 if flow == 1 else 500
    assert sent[1] == pytest.approx(sent[2], rel=0.1)


def test_a_new_flow_does_not_wait_behind_an_old_one() -> None:
    queue = FairQueue(1_000_000)
    for _ in range(50):
        queue.push(packet(flow=1, size=1500))
    queue.push(packet(flow=2, size=60))
    assert popped(queue).index(2) <= 2


def test_a_full_fair_queue_takes_from_the_longest() -> None:
    queue = FairQueue(10 * 100)
    for _ in range(20):
        queue.push(packet(flow=1))
    for _ in range(3):
        queue.push(packet(flow=2))
    assert queue.size_bytes <= queue.limit_bytes
    assert popped(queue).count(2) == 3
    assert queue.dropped == 13


def test_an_emptied_fair_queue_is_as_new() -> None:
    queue = FairQueue(150)
    for _ in range(2):
        queue.push(packet(flow=1, size=1500))
    assert (queue.size_bytes, queue.dropped) == (0, 2)
    queue.push(packet(flow=1))
    assert popped(queue) == [1]
