"""`python -m bench.unanswered`: how much longer an upload takes to a store that leaves some PUTs unanswered.

The store is the fault server of the tests, in a process of its own; the upload is the library's own, with its
defaults, over real sockets.  A pair is one upload without faults and one with; they take turns, so that a
busy spell of the machine hits both.  Every object must be there in the end, with the right size.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import uvloop

from s3_upload import Credentials, ObjectSource, S3Client, s3_upload_files
from tests.faults.actions import Action, Request, Stall
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

BUCKET = "bucket"


def serve(pipe: Connection, one_in: int) -> None:
    """The store: leaves one PUT in `one_in` unanswered (0: none). Ends with what it holds when told to."""
    stall = Stall()

    def script(request: Request) -> Action | None:
        return stall if one_in and request.number % one_in == 0 else None

    with FaultServer(script, record=False) as server:
        pipe.send(server.port)
        pipe.recv()
        pipe.send({key: len(body) for key, body in server.model.bodies(BUCKET).items()})


def sources(count: int, size: int) -> Iterator[ObjectSource]:
    body = bytes(size)
    return (ObjectSource.data(body, f"{number // 1000}/{number}") for number in range(count))


async def upload(port: int, count: int, size: int) -> float:
    """Uploads and returns the seconds that took. Raises `UploadsFailed` if an object failed."""
    started_s = time.perf_counter()
    async with S3Client(
        endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", credentials=Credentials("key", "secret")
    ) as client:
        summary = await s3_upload_files(client, BUCKET, sources(count, size))
    summary.raise_for_failures()
    return time.perf_counter() - started_s


def measure(one_in: int, count: int, size: int) -> float:
    """One upload to a store of its own."""
    pipe, its_pipe = multiprocessing.Pipe()
    store = multiprocessing.get_context("spawn").Process(target=serve, args=(its_pipe, one_in), daemon=True)
    store.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            took_s = runner.run(upload(pipe.recv(), count, size))
        pipe.send(None)
        sizes = pipe.recv()
        if sizes != dict.fromkeys((source.key for source in sources(count, size)), size):
            raise SystemExit(f"bench: the store holds {len(sizes)} of {count} objects, or of other sizes")
    finally:
        store.terminate()
        store.join()
    return took_s


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.unanswered", description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=4_096, help="bytes of an object")
    parser.add_argument("--one-in", type=int, default=100, help="one PUT in so many is never answered")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args(argv)
    if min(options.objects, options.one_in, options.pairs) < 1 or options.size < 0:
        parser.error("--objects, --one-in and --pairs must be at least 1, --size at least 0")
    ratios = []
    for _ in range(options.pairs):
        without_s, with_s = (measure(n, options.objects, options.size) for n in (0, options.one_in))
        ratios.append(with_s / without_s)
        print(f"{without_s:.2f} s without, {with_s:.2f} s with: {ratios[-1]:.2f} x", flush=True)
    print(
        f"{options.objects:,} objects, one PUT in {options.one_in} unanswered: median {median(ratios):.2f} x"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
