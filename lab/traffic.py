"""The foreground traffic and its sinks; each a process: `python -m lab.traffic ROLE ...`.

    sinks ADDRESS             on the far host: takes bulk flows in, answers probes and video chunks
    bulk ADDRESS ALGORITHM    one flow that sends as fast as it can
    probe ADDRESS             small HTTP requests, one after the other on each of `PROBES` connections
    video ADDRESS ALGORITHM   `CHUNK_BYTES` every `CHUNK_S`, as a live stream's encoder hands them out

All go on until their stdin ends, and then print one line of JSON with what they measured, in
seconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

BULK_PORT, PROBE_PORT, VIDEO_PORT = 5001, 5002, 5003
BIN_S = 0.1
CHUNK_BYTES, CHUNK_S = 625_000, 1.0
PROBES, PROBE_PAUSE_S = 4, 0.1
REQUEST = b"GET /probe HTTP/1.1\r\nhost: far\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + bytes(1000)


def bulk(address: str, algorithm: str) -> None:
    """Ends with a reset: what still waits in the kernel is not to be sent after the end."""
    with _connect(address, BULK_PORT, algorithm) as flow:
        flow.setblocking(False)
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data = bytes(1 << 18)
        print("ready", flush=True)
        while True:
            readable, writable, _ = select.select([sys.stdin], [flow], [])
            if readable:
                break
            if writable:
                flow.send(data)
    _tell({})


def _connect(address: str, port: int, algorithm: str) -> socket.socket:
    """The algorithm is chosen last: connecting takes that of the route."""
    flow = socket.create_connection((address, port))
    flow.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
    return flow


async def probe(address: str) -> None:
    took: list[tuple[float, float]] = []
    tasks = [asyncio.create_task(_probe(address, took, number)) for number in range(PROBES)]
    print("ready", flush=True)
    await _stdin_ends()
    for task in tasks:
        task.cancel()
    failed = [r for r in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(r, Exception)]
    _tell({"probes": sorted(took), "failed": [repr(error) for error in failed]})


async def _probe(address: str, took: list[tuple[float, float]], number: int) -> None:
    await asyncio.sleep(number * PROBE_PAUSE_S / PROBES)
    reader, writer = await asyncio.open_connection(address, PROBE_PORT)
    while True:
        started = time.monotonic()
        writer.write(REQUEST)
        await reader.readexactly(len(ANSWER))
        took.append((started, time.monotonic() - started))
        await asyncio.sleep(PROBE_PAUSE_S)


async def video(address: str, algorithm: str) -> None:
    """A chunk that is not through when the next is due delays it, as in an encoder's buffer."""
    flow = _connect(address, VIDEO_PORT, algorithm)
    reader, writer = await asyncio.open_connection(sock=flow)
    took: list[tuple[float, float]] = []
    due = time.monotonic()

    async def send() -> None:
        nonlocal due
        while True:
            writer.write(bytes(CHUNK_BYTES))
            await reader.readexactly(1)
            took.append((due, time.monotonic() - due))
            due += CHUNK_S
            await asyncio.sleep(due - time.monotonic())

    task = asyncio.create_task(send())
    print("ready", flush=True)
    await _stdin_ends()
    task.cancel()
    _tell({"chunks": took, "missing": missing(due, time.monotonic())})


def missing(due: float, now: float) -> list[tuple[float, float]]:
    """The chunks that are not through, of which the first was `due`, with their ages so far.

    One whose next is not due yet is none of them: it is not late, so its age says nothing.
    """
    moments = (due + number * CHUNK_S for number in range(max(0, int((now - due) / CHUNK_S))))
    return [(moment, now - moment) for moment in moments]


async def sinks(address: str) -> None:
    received: defaultdict[int, int] = defaultdict(int)
    listener = socket.create_server((address, BULK_PORT))
    threading.Thread(target=_take_bulk, args=(listener, received), daemon=True).start()
    await asyncio.start_server(_answer_probes, address, PROBE_PORT)
    await asyncio.start_server(_take_video, address, VIDEO_PORT)
    print("ready", flush=True)
    await _stdin_ends()
    _tell({"bulk": [[number * BIN_S, size] for number, size in sorted(received.items())]})


def _take_bulk(listener: socket.socket, received: defaultdict[int, int]) -> None:
    """One flow after the other. MSG_TRUNC: the kernel counts the bytes and throws them away."""
    nowhere = bytearray(1 << 20)
    while True:
        flow, _ = listener.accept()
        try:
            while size := flow.recv_into(nowhere, 0, socket.MSG_TRUNC):
                received[int(time.monotonic() / BIN_S)] += size
        except ConnectionError:
            pass  # the reset at its end
        flow.close()


async def _answer_probes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readexactly(len(REQUEST))
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _take_video(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readexactly(CHUNK_BYTES)
            writer.write(b".")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _tell(measured: dict[str, object]) -> NoReturn:
    """The last word: what still hangs on a connection needs no farewell."""
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        print(json.dumps(measured), flush=True)
    os._exit(0)


async def _stdin_ends() -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())


ROLES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"sinks": sinks, "probe": probe, "video": video}


def main(role: str, *arguments: str) -> None:
    if role == "bulk":
        bulk(*arguments)
    else:
        roles: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "sinks": sinks,
            "probe": probe,
            "video": video,
        }
        asyncio.run(roles[role](*arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
