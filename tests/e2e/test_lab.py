"""The lab's network, for real: needs root, and is skipped without."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab.__main__ import unable
from lab.check import TbfPath
from lab.emulator import LinkPlan
from lab.network import ADDRESS, Hosts, Network, name_of, run
from lab.traffic import ANSWER, PROBE_PORT, REQUEST

pytestmark = pytest.mark.skipif(bool(unable()), reason=unable() or "able")

CLIENT = f"""
import socket, time
with socket.create_connection(("{ADDRESS["far"]}", {PROBE_PORT})) as line:
    started = time.monotonic()
    line.sendall({REQUEST!r})
    got = 0
    while got < {len(ANSWER)}:
        got += len(line.recv(100_000))
    print(got, time.monotonic() - started)
"""


def request_from(hosts: Hosts) -> tuple[int, float]:
    """A probe's request, by hand: bytes of the answer, seconds."""
    hosts.start("far", "lab.traffic", "sinks", ADDRESS["far"])
    client = hosts.spawn("fg", [sys.executable, "-c", CLIENT], stdout=subprocess.PIPE)
    answer, _ = client.communicate(timeout=20)
    size, seconds = answer.split()
    return int(size), float(seconds)


def spaces() -> str:
    return run("ip", "netns", "list")


def test_a_request_crosses_the_link_and_nothing_stays_behind() -> None:
    with Network(LinkPlan(100e6, rtt_s=0.2, queue_bytes=100_000)) as network:
        size, seconds = request_from(network)
        recording = network.stop()
        assert name_of("far") in spaces()
    assert size == len(ANSWER)
    assert seconds >= 0.2  # a link may be slow, but never faster than its delay
    assert recording.packets >= 5
    assert recording.unread == 0
    assert name_of("far") not in spaces()


def test_the_path_it_is_checked_against() -> None:
    with TbfPath(100e6, queue_bytes=100_000) as path:
        assert request_from(path)[0] == len(ANSWER)
    assert name_of("far") not in spaces()


def test_a_failure_while_it_is_built_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> int:
        raise OSError("no more devices")

    monkeypatch.setattr("lab.network.open_tun", fail)
    with pytest.raises(OSError, match="no more devices"):
        Network(LinkPlan(100e6, 0.0, 100_000)).__enter__()
    assert name_of("up") not in spaces()
